"""Folders that mean no good: every file is found or named with a reason."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from sterna.library import Library
from tests.library.fake import ColourEncoder, save

NAMES = [
    b"new\nline.png", b"quote'\".png", "emoji \U0001f426\u200d\u2b1b.png".encode(), b"not utf-8 \xff\xfe.png",
    b" spaces .png", b"per%cent?#&.png", b"-dash.png", b"UPPER.PNG", b"tab\t.png", b"\xe2\x80\xaertl.png",
    b"x" * 200 + b".png", b"two.dots..png", b"back\\slash.png",
]  # fmt: skip


def test_names_of_any_bytes_are_found_and_moved(
    library: Library, tmp_path: Path, encoder: ColourEncoder
) -> None:
    root = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        save(tmp_path / "one.png", (number * 9, 200, 7))
        folder = os.fsencode(root) + b"/folder " + name
        Path(os.fsdecode(folder)).mkdir(parents=True)
        shutil.move(tmp_path / "one.png", folder + b"/" + name)
    assert library.index(root).new == len(NAMES)
    found = {os.fsencode(hit.path) for hit in library.search("red", k=100)}
    assert found == {os.fsencode(root) + b"/folder " + name + b"/" + name for name in NAMES}
    for path in found:
        (hit,) = library.search(image=Path(os.fsdecode(path)), k=1)
        assert (os.fsencode(hit.path), hit.score) == (path, 1.0)
    report = library.index()
    assert (report.new, report.moved, report.removed) == (0, 0, 0)
    (root / os.fsdecode(b"folder " + NAMES[3])).rename(root / os.fsdecode(b"renamed \xf0"))
    assert library.index().moved == 1
    assert len(encoder.embedded) == len(NAMES)
    (hit,) = library.search("red", k=100, folder=os.fsdecode(b"renamed \xf0"))
    assert hit.path.name == os.fsdecode(NAMES[3])


def test_what_cannot_be_read_is_named_with_a_reason_and_not_tried_again(
    library: Library, tmp_path: Path, encoder: ColourEncoder
) -> None:
    root = tmp_path / "photos"
    good = save(root / "good.png", "red")
    (root / "empty.jpg").touch()
    (root / "text.jpg").write_text("not a photograph", encoding="utf-8")
    (root / "cut.png").write_bytes(good.read_bytes()[:60])
    (root / os.fsdecode(b"bad \xff.jpg")).write_bytes(b"\xff\xd8\xff\xe0 and nothing more")
    os.mkfifo(root / "pipe.jpg")
    for path in root.iterdir():
        if path.is_file():
            os.utime(path, (1_000_000_000, 1_000_000_000))
    report = library.index(root)
    assert (report.new, report.failed) == (1, 5)
    failed = {path.path.name: path.reason for path in library.status().failed}
    assert sorted(failed) == sorted(
        ["empty.jpg", "text.jpg", "cut.png", os.fsdecode(b"bad \xff.jpg"), "pipe.jpg"]
    )
    assert all(len(reason) > 8 and "\n" not in reason for reason in failed.values())
    assert json.loads(json.dumps(library.status().as_json()))["failed"]

    looked: list[str] = []
    plain = encoder.stream_images
    encoder.stream_images = lambda photos: plain(looked.append(p) or p for p in photos)  # type: ignore[method-assign]
    again = library.index()
    assert (again.new, again.failed, looked) == (0, 5, [])
    shutil.copy(good, root / "empty.jpg")
    save(root / "text.jpg", "blue")
    mended = library.index()
    assert (mended.new, mended.failed) == (1, 3)  # one of them holds the good one's content


def test_a_file_too_large_for_a_photograph_is_refused_before_it_is_read(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = colours / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(20_000_000_000)
    opened: list[object] = []
    plain = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: opened.append(path) or plain(path, *rest, **more)
    )
    report = library.index(colours)
    assert (report.new, report.failed) == (3, 1)
    (failure,) = report.failures
    assert (failure.path, failure.reason) == (huge, "the file has 20.0 GB: more than the limit of 1.1 GB")
    assert str(huge) not in opened


def test_a_missing_extra_is_tried_again_and_a_bad_file_is_not(tmp_path: Path, colours: Path) -> None:
    class Picky(ColourEncoder):
        missing = True

        def stream_images(self, photos):
            from sterna.encoders import EncodedPhoto
            from sterna.errors import PhotoError

            for source, answer in (
                (path, one) for path in photos for one in super(Picky, self).stream_images([path])
            ):
                extra = PhotoError("HEIC needs an extra part: pip install 'sterna[heic]'", path=source)
                yield EncodedPhoto(None, None, extra) if self.missing and "red" in source else answer

    encoder = Picky()
    library = Library.open(tmp_path / "library", model=encoder)
    assert (library.index(colours).failed, library.status().indexed) == (1, 2)
    assert library.index().failed == 1
    encoder.missing = False
    report = library.index()
    assert (report.new, report.failed) == (1, 0)
    assert library.search("red")[0].path.name == "red.png"


def test_links_stay_inside_and_loops_end(library: Library, tmp_path: Path, encoder: ColourEncoder) -> None:
    root = tmp_path / "photos"
    save(root / "a" / "red.png", "red")
    save(root / ".store" / "blue.png", "blue")
    outside = save(tmp_path / "outside" / "white.png", "white")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "up.jpg").symlink_to(root, target_is_directory=True)
    (root / "self.png").symlink_to("self.png")
    (root / "broken.png").symlink_to("nowhere.png")
    (root / "out").symlink_to(outside.parent, target_is_directory=True)
    (root / "out.png").symlink_to(outside)
    (root / "annexed.png").symlink_to(".store/blue.png")
    (root / "device.png").symlink_to("/dev/zero")
    report = library.index(root)
    assert (report.new, report.failed) == (2, 5)
    assert sorted(encoder.embedded) == ["annexed.png", "red.png"]
    reasons = {one.path.name: one.reason for one in library.status().failed}
    assert "in circles" in reasons["self.png"]
    assert "nowhere" in reasons["broken.png"]
    assert "leads out of the indexed folder" in reasons["out.png"]
    assert reasons["out"] == reasons["out.png"]
    assert "device" in reasons["device.png"]
    assert library.index().failed == 5
    assert library.search("red")[0].path == root / "a" / "red.png"


def test_a_link_that_comes_to_lead_out_loses_what_was_found_behind_it(
    library: Library, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    blue = save(root / ".store" / "blue.png", "blue")
    outside = save(tmp_path / "outside" / "blue.png", "white").parent
    (root / "in").symlink_to(blue.parent)
    assert (library.index(root).new, library.index().failed) == (1, 0)
    (root / "in").unlink()
    (root / "in").symlink_to(outside)
    report = library.index()
    assert (report.removed, [one.path for one in report.failures]) == (1, [root / "in"])
    (root / "in").unlink()
    assert library.index().failed == 0


def test_a_photograph_whose_name_becomes_a_link_to_a_folder_is_gone(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    library.index(colours)
    (colours / "red.png").unlink()
    (colours / "red.png").symlink_to(colours / "trips")
    report = library.index()
    assert (report.removed, report.failed, library.status().indexed) == (1, 0, 2)


def test_a_link_in_circles_hides_nothing_beside_it(library: Library, colours: Path) -> None:
    for name in ("a", "z"):
        (colours / name).symlink_to(colours / name)
    report = library.index(colours)
    assert (report.new, report.failed) == (3, 0)


@pytest.mark.parametrize("moment", [10_413_792_000, -10_413_792_000])  # in 2300, and in 1640
def test_a_time_that_the_catalogue_cannot_hold_stops_nothing(
    library: Library, colours: Path, encoder: ColourEncoder, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (colours / "red.txt").write_text("a red wall", encoding="utf-8")
    plain_stat, plain_scandir = os.stat, os.scandir

    class Odd:
        """A status or an entry of a folder whose time is odd, whatever this drive can hold."""

        def __init__(self, of: object) -> None:
            self.of = of
            self.st_mtime_ns = moment * 10**9

        def __getattr__(self, name: str) -> object:
            return getattr(self.of, name)

        def stat(self, **options: object) -> object:
            return Odd(self.of.stat(**options))  # type: ignore[attr-defined]

    class Listed(list[object]):
        def __enter__(self) -> Listed:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "stat", lambda path, **options: Odd(plain_stat(path, **options)))
    monkeypatch.setattr(os, "scandir", lambda path: Listed(Odd(entry) for entry in plain_scandir(path)))
    assert library.index(colours).new == 3
    assert library.search("red", k=1)[0].captions == ("a red wall",)
    opened: list[str] = []
    plain_open = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: opened.append(str(path)) or plain_open(path, *rest, **more)
    )
    report = library.index()
    assert (report.new, report.changed, report.removed, report.failed) == (0, 0, 0, 0)
    assert not [path for path in opened if path.endswith(".png")]  # unchanged: not even looked into
    assert len(encoder.embedded) == 3
    assert len(library.search("red", after="2020")) == (3 if moment > 0 else 0)


def test_a_root_reached_through_a_link_is_the_folder_itself(
    library: Library, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(colours)
    assert library.index(tmp_path / "link").new == 3
    monkeypatch.chdir(tmp_path)
    assert library.index("photos").new == 0
    assert [root.path for root in library.status().roots] == [colours]


def test_folders_that_cannot_be_listed_lose_nothing(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(colours)
    plain = os.scandir
    closed = os.fsencode(colours / "trips")

    def scandir(path):
        if bytes(path).rstrip(b"/") == closed:
            raise PermissionError(13, "Permission denied")
        return plain(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        report = library.index()
    assert (report.removed, report.failed) == (0, 1)
    assert report.unlisted == (colours / "trips",)
    assert report.as_json()["unlisted"] == [str(colours / "trips")]
    (failure,) = library.status().failed
    assert (failure.path, failure.reason) == (
        colours / "trips",
        "cannot be listed: you have no permission to read it",
    )
    assert library.status().indexed == 3
    again = library.index()
    assert (again.failed, again.unlisted) == (0, ())


def test_a_file_that_the_drive_refuses_keeps_what_was_known_of_it(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(colours)
    plain = os.open

    def refuse(path, *rest, **more):
        if str(path).endswith("red.png"):
            raise OSError(5, "Input/output error")
        return plain(path, *rest, **more)

    os.utime(colours / "red.png", (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        report = library.index()
    assert (report.failed, report.changed, report.removed) == (1, 0, 0)
    assert library.status().failed[0].reason == "cannot be read: the drive reports an error"
    assert library.search("red")[0].path.name == "red.png"
    report = library.index()
    assert (report.failed, report.new) == (0, 0)
