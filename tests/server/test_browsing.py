"""Folders, what is gone, and several files as one."""

from __future__ import annotations

import http.client
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import Running, serving


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
