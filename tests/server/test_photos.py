"""Photographs by id: what is told, small pictures, files, and what is not given away."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from sterna.library import Library, Original
from sterna.server._decoding import Decoders
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import Running, serving, until


def test_a_photograph_is_told_of(service: Running, ids: dict[str, int], root: Path) -> None:
    said = service.get(f"/api/photos/{ids['green.png']}").json
    assert (said["id"], said["path"], said["width"]) == (ids["green.png"], "trips/green.png", 24)
    assert str(root.parent) not in service.get(f"/api/photos/{ids['green.png']}").body.decode()
    assert service.get(f"/api/photos/{ids['red.png']}").json["captions"] == ["a red wall", "all lime"]


def test_a_thumbnail_is_small_and_not_sent_twice(service: Running, ids: dict[str, int]) -> None:
    path = f"/api/photos/{ids['blue.png']}/thumbnail?size=128"
    answer = service.get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(answer.body)) as image:
        assert image.size == (32, 24)
        assert image.getpixel((9, 9))[2] > 200
    again = service.get(path, If_None_Match=answer.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert service.get(path, If_None_Match='"x"').body == answer.body
    assert answer.headers["cache-control"] == "private, max-age=3600"


def test_a_large_photograph_becomes_as_small_as_was_asked(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "large.jpg", "red", size=(2000, 1000))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    with serving(library) as service:
        number = service.post("/api/search", {"text": "red"}).json["hits"][0]["id"]
        for size in (128, 512):
            body = service.get(f"/api/photos/{number}/thumbnail?size={size}").body
            with Image.open(io.BytesIO(body)) as image:
                assert image.size == (size, size // 2)


@pytest.mark.parametrize("size", ["0", "-1", "100000", "257", "x", "", "128.5", "1e9"])
def test_a_thumbnail_has_one_of_a_few_sizes(service: Running, ids: dict[str, int], size: str) -> None:
    answer = service.get(f"/api/photos/{ids['red.png']}/thumbnail?size={size}")
    assert (answer.status, answer.problem) == (422, "invalid")


def test_an_original_is_the_file(service: Running, ids: dict[str, int], root: Path) -> None:
    answer = service.get(f"/api/photos/{ids['red.png']}/original")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert answer.body == (root / "red.png").read_bytes()
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-disposition"] == "inline; filename*=UTF-8''red.png"
    again = service.get(f"/api/photos/{ids['red.png']}/original", If_None_Match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_a_picture_is_told_of_without_being_sent(service: Running, ids: dict[str, int]) -> None:
    for path in (
        f"/api/photos/{ids['red.png']}/original",
        f"/api/photos/{ids['red.png']}/thumbnail?size=128",
    ):
        whole = service.get(path)
        told = service.ask("HEAD", path)
        assert (told.status, told.body) == (200, b"")
        changing = {"date", "x-request-id"}
        assert {k: v for k, v in told.headers.items() if k not in changing} == {
            k: v for k, v in whole.headers.items() if k not in changing
        }
        assert told.headers["content-length"] == str(len(whole.body))
        known = service.ask("HEAD", path, headers={"If-None-Match": whole.headers["etag"]})
        assert (known.status, known.body) == (304, b"")
    assert service.ask("HEAD", "/api/photos/999/original").status == 404
    assert service.ask("HEAD", f"{path}&sise=1").status == 422


def test_a_part_of_an_original_is_that_part(service: Running, ids: dict[str, int], root: Path) -> None:
    data = (root / "red.png").read_bytes()
    size = len(data)
    path = f"/api/photos/{ids['red.png']}/original"
    assert service.get(path).headers["accept-ranges"] == "bytes"
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, size),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-7", size - 7, size),
        ("BYTES = 2 - 999999", 2, size),
        (f"bytes=-{size + 5}", 0, size),
    ):
        part = service.get(path, Range=asked)
        assert (part.status, part.body) == (206, data[start:end]), asked
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.headers["content-length"] == str(end - start)
        assert part.headers["content-type"] == "image/png"
    for asked in (f"bytes={size}-", "bytes=999999-1999999", "bytes=-0"):
        behind = service.get(path, Range=asked)
        assert (behind.status, behind.problem) == (416, "no-such-part"), asked
        assert behind.headers["content-range"] == f"bytes */{size}"
    for asked in (
        "bytes=0-1,4-5",
        "bytes=5-2",
        "bytes=-",
        "bytes",
        "lines=1-2",
        "bytes=x-",
        "bytes=+1-2",
        "",
    ):
        whole = service.get(path, Range=asked)
        assert (whole.status, whole.body) == (200, data), asked
    told = service.ask("HEAD", path, headers={"Range": "bytes=0-1"})
    assert (told.status, told.headers["content-length"]) == (200, str(size))


def test_a_part_is_of_the_file_that_who_asks_knows(service: Running, ids: dict[str, int]) -> None:
    path = f"/api/photos/{ids['red.png']}/original"
    told = service.get(path).headers
    for known, status in (
        (told["etag"], 206), (told["last-modified"], 206), ('"another"', 200), ("W/" + told["etag"], 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200), ("", 200),
    ):  # fmt: skip
        assert service.get(path, Range="bytes=0-3", If_Range=known).status == status, known
    assert service.get(path, If_Modified_Since=told["last-modified"]).status == 304
    for since in ("Thu, 01 Jan 1970 00:00:00 GMT", "yesterday", "Mon, 01 Jan 0001 00:00:00 -2359"):
        assert service.get(path, If_Modified_Since=since).status == 200
    both = service.get(path, If_Modified_Since=told["last-modified"], If_None_Match='"another"')
    assert both.status == 200  # the tag knows better
    assert service.get(path, If_None_Match=told["etag"], Range="bytes=999999-").status == 304


def test_files_that_are_told_of_and_sent_in_parts_are_closed(service: Running, ids: dict[str, int]) -> None:
    path = f"/api/photos/{ids['red.png']}/original"

    def ask() -> int:
        service.ask("HEAD", path)
        for asked in ("bytes=0-1", "bytes=999999-", "bytes=3-"):
            service.get(path, Range=asked)
        service.get(path, If_None_Match="*")
        return len(list(Path("/dev/fd").iterdir()))

    before = ask()
    for _ in range(5):
        ask()
    until(lambda: len(list(Path("/dev/fd").iterdir())) <= before + 4)


@pytest.mark.parametrize("what", ["", "/thumbnail", "/original", "/captions", "/similar"])
@pytest.mark.parametrize(
    "number",
    [
        "999",
        "-1",
        "0x1",
        "1.5",
        "99999999999999999999999",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "1%00",
        "1;ls",
        "\u0661",
        "%ff",
    ],
)
def test_an_id_that_is_none_leads_nowhere(service: Running, number: str, what: str) -> None:
    path = f"/api/photos/{number}{what}".encode().decode("latin-1")
    answer = service.raw(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    status = int(answer.split()[1])
    assert status in {400, 404, 422}, answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/api/photos/../../../../etc/passwd", "//etc/passwd", "/.%2e/etc/passwd"]
)
def test_no_path_leads_to_a_file(service: Running, path: str) -> None:
    answer = service.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert int(answer.split()[1]) in {400, 404, 422}
    assert b"root:" not in answer


def test_what_came_in_a_photograph_s_place_is_not_shown(tmp_path: Path) -> None:
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    secret = save(tmp_path / "elsewhere" / "red.png", "red")
    with serving(library) as service:
        number = service.post("/api/search", {"text": "red", "k": 1}).json["hits"][0]["id"]
        assert service.get(f"/api/photos/{number}/thumbnail").status == 200

        def refused() -> None:
            for what in ("original", "thumbnail"):
                assert service.ask("HEAD", f"/api/photos/{number}/{what}").status == 404
                assert service.get(f"/api/photos/{number}/{what}", Range="bytes=0-9").status == 404
                answer = service.get(f"/api/photos/{number}/{what}")
                assert (answer.status, answer.problem) == (404, "photo-not-there")
                assert b"secret" not in answer.body

        path = root / "red.png"
        path.unlink()
        path.symlink_to(secret)
        refused()
        path.unlink()
        path.write_text("a secret text", encoding="utf-8")
        refused()
        path.unlink()
        os.mkfifo(path)
        refused()
        path.unlink()
        refused()
        path.mkdir()
        before = len(list(Path("/dev/fd").iterdir()))
        for _ in range(5):
            refused()
        assert len(list(Path("/dev/fd").iterdir())) < before + 5  # what was opened is closed
        path.rmdir()
        path.write_bytes(secret.read_bytes()[:60])  # begins as a photograph and ends too early
        cut = service.get(f"/api/photos/{number}/thumbnail")
        assert (cut.status, cut.problem) == (422, "unreadable-photo")


def test_an_original_above_a_limit_is_there_and_is_not_made_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "photos" / "large.png", "red", size=(400, 300))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    number = library.photos()[0].photo_id
    monkeypatch.setenv("STERNA_MAX_PIXELS", "100000")  # of the processes that decode
    with serving(library) as service:
        large = service.get(f"/api/photos/{number}/thumbnail")
        assert (large.status, large.problem) == (422, "unreadable-photo")
        assert large.json["detail"].startswith(
            "the photograph cannot be shown: 400 x 300 pixels: more than the limit of 0.1 megapixels"
        )
        assert service.get(f"/api/photos/{number}/original").status == 200
        monkeypatch.setattr("sterna.server._photos._MOST", 100)
        long = service.get(f"/api/photos/{number}/thumbnail?size=128")
        assert (long.status, long.problem) == (422, "unreadable-photo")
        assert "the file is longer than 100 bytes" in long.json["detail"]


def test_names_that_are_no_text_are_told_with_question_marks(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    name = os.fsdecode(b'photos/\xff"\r\n\xe9.png')
    Image.new("RGB", (8, 8), "red").save(tmp_path / name)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    with serving(library) as service:
        hit = service.post("/api/search", {"text": "red"}).json["hits"][0]
        assert hit["path"] == '\ufffd"\r\n\ufffd.png'
        answer = service.get(f"/api/photos/{hit['id']}/original")
        assert answer.status == 200
        assert "%0D%0A" in answer.headers["content-disposition"]
        assert service.get("/api/status").status == 200


class Asleep(io.RawIOBase):
    """A file on a drive that takes its time: `reading` once it is read, which ends when it is `awake`."""

    def __init__(self) -> None:
        self.reading, self.awake, self.shut = threading.Event(), threading.Event(), threading.Event()

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        self.reading.set()
        assert self.awake.wait(60)
        return 0

    def close(self) -> None:
        self.shut.set()
        super().close()


@pytest.mark.parametrize("what", ["thumbnail", "original"])
def test_who_leaves_while_a_drive_is_asleep_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    number, other = (photo.photo_id for photo in library.photos(k=2))
    file, open_photo = Asleep(), library.open_photo

    def opened(photo_id: int) -> Original:
        if photo_id != number:
            return open_photo(photo_id)
        # the thumbnail's facts are read first, of a file that need not be read
        slow = io.BufferedReader(file) if what == "original" or asked else io.BytesIO()
        asked.append(photo_id)
        return Original(slow, tmp_path / "a.png", "image/png", 1 << 20, 0)  # type: ignore[arg-type]

    asked: list[int] = []
    monkeypatch.setattr(library, "open_photo", opened)
    with serving(library) as service:
        try:
            with socket.create_connection(("127.0.0.1", service.port)) as leaving:
                leaving.sendall(
                    f"GET /api/photos/{number}/{what} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                )
                assert file.reading.wait(60)
            for _ in range(10):  # whoever was asked for it has noticed by then that nobody waits for it
                began = time.monotonic()
                assert service.get("/healthz").status == 200
                assert service.get(f"/api/photos/{other}/original").status == 200
                assert time.monotonic() - began < 5
                time.sleep(0.02)
            assert not file.shut.is_set()
        finally:
            threading.Timer(0, file.awake.set).start()
        assert file.shut.wait(60)


def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection(tmp_path: Path) -> None:
    folder = colours(tmp_path)
    with (folder / "red.png").open("ab") as file:
        file.write(bytes(60_000_000))  # what follows an image's end is no part of it
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(folder)
    number = next(hit.photo_id for hit in library.search("red", k=1))
    with serving(library) as service, socket.create_connection(("127.0.0.1", service.port), 20) as connection:
        connection.sendall(f"GET /api/photos/{number}/original HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        came = len(connection.recv(1000))
        os.truncate(folder / "red.png", 1_000_000)
        while part := connection.recv(1 << 20):
            came += len(part)
    assert came < 60_000_000


def test_no_more_files_are_read_than_can_be_made_small_at_one_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    numbers = [photo.photo_id for photo in library.photos(k=10)]
    reading, most, gate = 0, 0, threading.Event()
    lock = threading.Lock()

    def thumbnail(_: Decoders, data: bytes, side: int) -> bytes:
        nonlocal reading, most
        with lock:
            reading, most = reading + 1, max(most, reading + 1)
        gate.wait(30)
        with lock:
            reading -= 1
        return data

    monkeypatch.setattr(Decoders, "thumbnail", thumbnail)
    opened: list[int] = []
    was = Library.open_photo
    monkeypatch.setattr(Library, "open_photo", lambda self, one: opened.append(one) or was(self, one))
    with serving(library, limits={"decoders": 1}) as service, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(service.get, f"/api/photos/{number}/thumbnail?size=128") for number in numbers]
        until(lambda: reading == 1 and len(opened) == len(numbers) + 1)  # each is looked at, one is read
        gate.set()
        assert [answer.result().status for answer in asked] == [200] * len(numbers)
    assert most == 1
