"""Photographs without a question: the newest first."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from sterna.errors import LibraryError, UsageError
from sterna.library import Library
from tests.library.fake import ColourEncoder, save


def at(path: Path, when: str) -> None:
    seconds = datetime.fromisoformat(when).timestamp()
    os.utime(path, (seconds, seconds))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    root = tmp_path / "photos"
    at(save(root / "old.png", "red"), "2010-01-01T12:00:00")
    at(save(root / "trips" / "new.png", "lime", size=(24, 32)), "2020-01-01T12:00:00")
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2015:06:01 10:00:00"
    Image.new("RGB", (32, 24), "blue").save(root / "dated.jpg", exif=exif)
    at(root / "dated.jpg", "2024-01-01T12:00:00")  # its own date counts
    (root / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    opened = Library.open(tmp_path / "library", model=ColourEncoder())
    opened.index(root)
    return opened


def test_photographs_come_newest_first_and_in_pages(library: Library) -> None:
    names = [photo.path.name for photo in library.photos()]
    assert names == ["new.png", "dated.jpg", "old.png"]
    pages = [library.photos(k=1, offset=offset) for offset in range(4)]
    assert [photo.path.name for page in pages for photo in page] == names
    assert library.photos(k=1)[0] == library.photo(library.photos(k=1)[0].photo_id)


def test_filters_are_those_of_a_search(library: Library) -> None:
    def found(**filters: object) -> list[str]:
        return [photo.path.name for photo in library.photos(**filters)]  # type: ignore[arg-type]

    assert found(folder="trips") == ["new.png"]
    assert found(after="2015", before="2016") == ["dated.jpg"]
    assert found(orientation="portrait") == ["new.png"]
    assert found(name="o*.png") == ["old.png"]
    assert found(min_size=100) == []
    everything = {hit.path.name for hit in library.search("red", min_score=None, after="2012")}
    assert set(found(after="2012")) == everything


def test_a_photograph_at_two_paths_comes_once(library: Library, tmp_path: Path) -> None:
    copy = tmp_path / "photos" / "trips" / "copy.png"
    copy.write_bytes((tmp_path / "photos" / "old.png").read_bytes())
    library.index()
    assert len(library.photos()) == 3
    (found,) = library.photos(folder="trips", name="copy")
    assert (found.path.name, [path.name for path in found.also]) == ("copy.png", ["old.png"])


def test_arguments_that_mean_nothing_are_told(library: Library, tmp_path: Path) -> None:
    for wrong in ({"k": 0}, {"offset": -1}, {"after": "soon"}, {"orientation": "round"}):
        with pytest.raises(UsageError):
            library.photos(**wrong)  # type: ignore[arg-type]
    with pytest.raises(LibraryError, match="nothing is indexed"):
        Library.open(tmp_path / "none").photos()


def test_folders_are_told_with_what_is_in_them_and_below(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    save(root / "red.png", "red")
    save(root / "a" / "b" / "lime.png", "lime")
    save(root / "a b" / "blue.png", "blue")
    (root / "a" / "copy.png").write_bytes((root / "a" / "b" / "lime.png").read_bytes())
    (root / "broken").mkdir()
    (root / "broken" / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    save(tmp_path / "more" / "grey.png", "grey")
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root, tmp_path / "more")
    found = [(one.path, one.photos) for one in library.folders()]
    assert found == [
        (tmp_path / "more", 1),
        (root, 3),
        (root / "a", 1),  # an equal photograph counts once
        (root / "a" / "b", 1),
        (root / "a b", 1),
    ]
    for folder, count in found:
        assert len(library.photos(folder=folder)) == count
    assert {one.root for one in library.folders(k=1)} == {tmp_path / "more"}
    assert [one.path for one in library.folders(k=2, offset=3)] == [root / "a" / "b", root / "a b"]
    with pytest.raises(UsageError, match="k=0"):
        library.folders(k=0)


def test_what_is_gone_is_told_and_the_generation_grows(library: Library, tmp_path: Path) -> None:
    assert Library.open(tmp_path / "nothing").generation == 0
    assert Library.open(tmp_path / "nothing").gone([1]) == [1]
    photos = {photo.path.name: photo.photo_id for photo in library.photos()}
    asked = [*photos.values(), 999]
    assert library.gone(asked) == [999]
    before = library.generation
    assert library.generation == before
    (tmp_path / "photos" / "old.png").unlink()
    Library.open(tmp_path / "library", model=ColourEncoder()).index()
    assert library.generation > before
    assert library.gone(asked) == [photos["old.png"], 999]
    assert library.gone([1 << 63]) == [1 << 63]
    for wrong in (-1, 1.5, "1", True):
        with pytest.raises(UsageError, match="photo_ids="):
            library.gone([wrong])


def test_the_generation_grows_with_what_filters_and_lists_tell_and_with_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    save(root / "red.png", "red")
    (root / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    seen = [library.generation]

    def grown() -> bool:
        library.index()
        seen.append(library.generation)
        return seen[-1] > seen[-2]

    assert not grown()
    (root / "red.txt").write_text("a wall\n", encoding="utf-8")
    assert grown()
    assert library.photos(caption="wall")
    assert not grown()
    (root / "red.txt").unlink()
    assert grown()
    os.utime(root / "red.png", (1e9, 1e9))
    assert grown()
    (root / "copies").mkdir()
    shutil.copy2(root / "red.png", root / "copies" / "red.png")
    assert grown()
    assert [one.path.name for one in library.folders()] == ["photos", "copies"]
    assert not grown()
