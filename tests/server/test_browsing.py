"""Folders, what is gone, and several files as one."""

from __future__ import annotations

import asyncio
import http.client
import io
import logging
import socket
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sterna.library import Library
from sterna.server import Limits, ServerSettings, create_app
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import Running, serving, until


def test_folders_are_listed_in_pages(service: Running) -> None:
    said = service.get("/api/folders").json
    assert [(one["path"], one["root"]["name"], one["photos"]) for one in said["folders"]] == [
        ("", "photos", 3),
        ("trips", "photos", 2),
        ("trips/sea", "photos", 1),
    ]
    assert said["next"] is None
    page = service.get("/api/folders?k=2").json
    assert page["next"] == 2
    assert service.get("/api/folders?k=2&offset=2").json["folders"] == said["folders"][2:]
    assert service.get("/api/folders?k=10001").problem == "invalid"


def test_folders_are_counted_once_until_the_library_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    root = colours(tmp_path)
    library.index(root)
    real, counted = library.folders, []

    def counting(**asked: int) -> object:
        counted.append(asked)
        return real(**asked)

    monkeypatch.setattr(library, "folders", counting)
    with serving(library) as service:
        until(lambda: service.get("/readyz").status == 200)
        pages = [service.get(f"/api/folders?k=1&offset={offset}").json for offset in range(3)]
        assert [page["folders"][0]["photos"] for page in pages] == [3, 2, 1]
        assert [page["next"] for page in pages] == [1, 2, None]
        assert len(counted) == 1
        save(root / "trips" / "white.png", "white")
        Library.open(tmp_path / "library", model=ColourEncoder()).index(root)
        assert [one["photos"] for one in service.get("/api/folders").json["folders"]] == [4, 3, 1]


def test_what_is_gone_is_told(service: Running, ids: dict[str, int]) -> None:
    assert service.post("/api/photos/gone", {"ids": [*ids.values(), 999]}).json == {"gone": [999]}
    assert service.post("/api/photos/gone", {"ids": []}).json == {"gone": []}
    assert service.post("/api/photos/gone", {"ids": [-1]}).problem == "invalid"
    assert service.post("/api/photos/gone", {"ids": [1] * 10_001}).problem == "invalid"


def test_the_generation_is_another_once_the_library_has_changed(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    with serving(library) as service:
        assert service.get("/api/generation").json == {"generation": 0}
        Library.open(tmp_path / "library", model=ColourEncoder()).index(colours(tmp_path))
        assert service.get("/api/generation").json["generation"] > 0


def packed(service: Running, *ids: int) -> dict[str, bytes]:
    answer = service.get("/api/photos/zip?" + "&".join(f"ids={one}" for one in ids))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/zip"), answer
    assert answer.headers["content-disposition"] == 'attachment; filename="photographs.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.body)) as file:
        assert file.testzip() is None
        assert {one.compress_type for one in file.infolist()} == {zipfile.ZIP_STORED}
        return {name: file.read(name) for name in file.namelist()}


def test_several_files_come_as_one(service: Running, ids: dict[str, int], root: Path) -> None:
    files = packed(service, ids["red.png"], ids["blue.png"], ids["red.png"])
    assert files == {
        "red.png": (root / "red.png").read_bytes(),
        "blue.png": (root / "trips" / "sea" / "blue.png").read_bytes(),
    }


def test_names_in_one_file_are_unique_and_can_be_unpacked_anywhere(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    names = ["a/one.png", "b/ONE.png", "c/one.png", "d/x\\up.png", "e/ünd.png"]
    for place, name in enumerate(names):
        save(root / name, (40 * place, 0, 0))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    by_path = {str(one.path.relative_to(root)): one.photo_id for one in library.photos()}
    with serving(library) as service:
        files = packed(service, *(by_path[name] for name in names))
    assert list(files) == ["one.png", "ONE (2).png", "one (3).png", "x_up.png", "ünd.png"]
    assert files["one (3).png"] == (root / "c" / "one.png").read_bytes()


def test_names_in_one_file_are_names_on_every_system(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    long = "ü" * 125 + ".png"
    names = [
        "a/caf\u00e9.png",
        "b/cafe\u0301.png",
        f"a/{long}",
        f"b/{long}",
        "a/con.png",
        "a/Lpt1.x.png",
        "a/console.png",
        "a/gnp\u202e.\u2066png\x85.png",
        "a/" + "x" * 251 + ".png",
        "b/" + "x" * 251 + ".png",
        "a/line\nline.png",
    ]
    for place, name in enumerate(names):
        save(root / name, (20 * place, 0, 0))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    by_path = {str(one.path.relative_to(root)): one.photo_id for one in library.photos()}
    (root / "a" / "line\nline.png").unlink()
    with serving(library) as service:
        files = packed(service, *(by_path[name] for name in names))
    told = files.pop("not-there.txt").decode()
    assert list(files) == [
        "caf\u00e9.png",
        "cafe\u0301 (2).png",
        long,
        "ü" * 123 + " (2).png",
        "_con.png",
        "_Lpt1.x.png",
        "console.png",
        "gnp_._png_.png",
        "x" * 251 + ".png",
        "x" * 247 + " (2).png",
    ]
    assert all(len(name.encode()) <= 255 for name in files)
    assert "line_line.png: " in told


def test_files_that_are_not_there_are_named_in_the_one(tmp_path: Path) -> None:
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    ids = {one.path.name: one.photo_id for one in library.photos()}
    (root / "red.png").unlink()
    outside = save(tmp_path / "outside.png", "white")
    (root / "trips" / "green.png").unlink()
    (root / "trips" / "green.png").symlink_to(outside)  # no link is followed out of the root
    with serving(library) as service:
        files = packed(service, *ids.values())
        assert set(files) == {"blue.png", "not-there.txt"}
        assert b"red.png: " in files["not-there.txt"]
        assert b"green.png: " in files["not-there.txt"]
        nothing = service.get(f"/api/photos/zip?ids={ids['red.png']}")
        assert (nothing.status, nothing.problem) == (404, "photo-not-there")
        assert service.get("/api/photos/zip?ids=999").problem == "photo-not-there"
        files = packed(service, 999, ids["blue.png"])
        assert set(files) == {"blue.png", "not-there.txt"}
        assert b"photograph 999: " in files["not-there.txt"]


def test_files_that_vanish_while_others_are_sent_are_named_in_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    ids = {one.path.name: one.photo_id for one in library.photos()}
    real, opened = library.open_photo, []

    def once(number: int) -> object:
        opened.append(number)
        return real(999 if number == ids["red.png"] and opened.count(number) > 1 else number)

    monkeypatch.setattr(library, "open_photo", once)
    with serving(library) as service:
        files = packed(service, ids["red.png"], ids["blue.png"])
    assert set(files) == {"blue.png", "not-there.txt"}
    assert b"red.png: no longer in the library" in files["not-there.txt"]


@pytest.mark.parametrize("query", ["", "?ids=", "?ids=x", "?ids=-1", "?" + "&".join(["ids=1"] * 501)])
def test_a_file_of_many_is_asked_for_by_a_few_ids(service: Running, query: str) -> None:
    answer = service.get(f"/api/photos/zip{query}")
    assert (answer.status, answer.problem) == (422, "invalid")


def test_a_file_of_many_is_sent_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "photos"
    save(root / "red.png", "red")
    (root / "red.png").write_bytes((root / "red.png").read_bytes() + bytes(3 << 20))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    sizes: list[int] = []
    real = library.open_photo

    def opened(number: int) -> object:
        found = real(number)
        read = found.file.read

        def reading(size: int) -> bytes:
            sizes.append(size)
            return read(size)

        monkeypatch.setattr(found.file, "read", reading, raising=False)
        return found

    monkeypatch.setattr(library, "open_photo", opened)
    with serving(library) as service:
        files = packed(service, library.photos()[0].photo_id)
    assert files["red.png"] == (root / "red.png").read_bytes()
    assert len(sizes) > 10
    assert max(sizes) <= 1 << 18


def test_a_file_that_becomes_shorter_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    real = library.open_photo
    monkeypatch.setattr(library, "open_photo", lambda number: replace(real(number), size=1 << 20))
    ids = [one.photo_id for one in library.photos()]
    with serving(library) as service:
        with pytest.raises(http.client.IncompleteRead):
            service.get("/api/photos/zip?" + "&".join(f"ids={one}" for one in ids))
        assert service.get("/healthz").status == 200


def many(tmp_path: Path, count: int) -> Library:
    for place in range(count):
        save(tmp_path / "photos" / f"{place}.png", (place, 0, 0))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    return library


def zip_of(library: Library) -> str:
    return "/api/photos/zip?" + "&".join(f"ids={one.photo_id}" for one in library.photos(k=500))


def test_files_are_no_longer_looked_at_for_who_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = many(tmp_path, 100)
    real, opened, go_on = library.open_photo, [], threading.Event()

    def slowly(number: int) -> object:
        opened.append(number)
        assert go_on.wait(30)
        return real(number)

    monkeypatch.setattr(library, "open_photo", slowly)
    asked = f"GET {zip_of(library)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with serving(library) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as one:
            one.sendall(asked)
            until(lambda: opened)
        until(lambda: b'status="499"} 1.0' in service.get("/metrics").body, seconds=10)
        go_on.set()
        assert service.get("/readyz").status in {200, 503}
    assert len(opened) <= 20


def test_photographs_are_shown_while_files_are_looked_at_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = many(tmp_path, 30)
    number = library.photos()[0].photo_id
    real, begun, go_on = library.open_photo, threading.Event(), threading.Event()

    def slowly(asked: int) -> object:
        if threading.current_thread() is not shows and not begun.is_set():
            begun.set()
            assert go_on.wait(30)
        return real(asked)

    shows = threading.main_thread()
    monkeypatch.setattr(library, "open_photo", slowly)
    address = zip_of(library)
    with serving(library, limits={"threads": 1, "zips": 1}) as service, ThreadPoolExecutor() as pool:
        first = pool.submit(service.get, address)
        assert begun.wait(30)
        assert service.get(f"/api/photos/{number}/original").status == 200
        second = service.get(address)
        assert (second.status, second.problem) == (503, "busy")
        assert int(second.headers["retry-after"]) >= 1
        go_on.set()
        assert first.result().status == 200
        assert service.get(address).status == 200  # its turn was given back


def test_who_leaves_while_a_file_is_sent_leaves_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = many(tmp_path, 2)
    path, _, query = zip_of(library).partition("?")
    app = create_app(library, settings=ServerSettings(limits=Limits(zips=1)))
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip

    async def leave() -> None:
        begun = asyncio.Event()

        async def receive() -> dict[str, object]:
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "http.response.body":
                begun.set()
                await asyncio.Event().wait()  # nobody takes it

        await asyncio.wait_for(app(dict(scope), receive, send), 30)

    async def twice() -> None:
        await leave()
        await leave()  # the first one's turn was given back

    with caplog.at_level(logging.INFO, logger="sterna.server"):
        asyncio.run(twice())
    told = [record.getMessage() for record in caplog.records if "/api/photos/zip" in record.getMessage()]
    assert len(told) == 2
    assert all("status=499" in line and "fault" not in line for line in told), told
