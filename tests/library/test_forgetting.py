"""Taking a folder out of a library: its photographs are no longer found, and nothing on the disk is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sterna.errors import LibraryError, LockedError, UsageError
from sterna.files import FileLock
from sterna.library import Forgotten, Library, _tidy
from tests.library.fake import save


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Another root: a white photograph, and one that is in `colours` too."""
    root = tmp_path / "scans"
    save(root / "white.png", "white")
    save(root / "red again.png", "red")
    return root


def test_a_forgotten_folder_is_not_found_and_not_touched(
    library: Library, colours: Path, scans: Path
) -> None:
    library.index(colours, scans)
    before = {file: file.read_bytes() for file in scans.iterdir()}
    assert library.forget(scans) == Forgotten(scans, files=2, photos=1)
    assert {file: file.read_bytes() for file in scans.iterdir()} == before
    assert [root.path for root in library.status().roots] == [colours]
    hits = library.search("red", k=10)
    assert [hit.path.name for hit in hits] == ["red.png", "green.png", "blue.png"] or len(hits) == 3
    assert hits[0].also == ()
    assert library.check() == []
    assert library.index(scans).new == 1  # the red one is known from the other folder


def test_a_folder_that_is_not_there_can_be_forgotten(library: Library, colours: Path, scans: Path) -> None:
    library.index(colours, scans)
    shutil.rmtree(scans)
    assert library.forget(str(scans)).photos == 1
    assert len(library.search("red", k=10)) == 3


def test_the_id_of_a_forgotten_folder_is_not_another_one_s(
    library: Library, colours: Path, scans: Path, tmp_path: Path
) -> None:
    library.index(colours, scans)
    first, last = (root.root_id for root in library.roots())
    library.forget(scans)
    library.index(scans)
    assert [root.root_id for root in library.roots()] == [first, last + 1]
    library.index(tmp_path, exclude=["nothing"])  # takes both in
    (whole,) = library.roots()
    library.forget(tmp_path)
    library.index(colours)
    assert library.roots()[0].root_id == whole.root_id + 1 == last + 3


def test_folders_are_told_without_counting_anything(library: Library, colours: Path, scans: Path) -> None:
    assert library.roots() == ()
    library.index(colours)
    library.index(scans, exclude=["*.gif"])
    shutil.rmtree(scans)
    assert [(root.path, root.online, root.exclude) for root in library.roots()] == [
        (colours, True, ()),
        (scans, False, ("*.gif",)),
    ]
    assert [root.root_id for root in library.roots()] == [root.root_id for root in library.status().roots]


def test_what_it_was_known_by_before_a_link_moved_still_names_it(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(colours)
    library.index(tmp_path / "link")
    assert library.forget(tmp_path / "link").path == colours


def test_an_unknown_folder_is_refused_with_those_that_are_known(
    library: Library, colours: Path, scans: Path, tmp_path: Path
) -> None:
    library.index(colours, scans)
    with pytest.raises(UsageError, match=f"not a folder of this library; its folders: {colours}, {scans}"):
        library.forget(tmp_path)
    with pytest.raises(UsageError, match=f"a part of {colours}, which is forgotten as a whole"):
        library.forget(colours / "trips")
    with pytest.raises(UsageError, match="an empty path"):
        library.forget("")
    assert library.status().indexed == 4


def test_the_room_of_its_vectors_comes_back_with_index(
    library: Library, colours: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(colours, scans)
    library.forget(colours)
    monkeypatch.setattr(_tidy, "_WORTH", 1)
    library.index()
    (segment,) = (library.path / "vectors").rglob("*.f16")
    assert segment.stat().st_size == 2 * 2 * 49  # two photographs of float16
    assert library.check() == []


def test_the_last_folder_can_go_and_another_come(library: Library, colours: Path, scans: Path) -> None:
    library.index(colours)
    library.forget(colours)
    assert library.search("red") == []
    assert library.index(scans).new == 2


def test_nobody_forgets_while_another_writes(library: Library, colours: Path) -> None:
    library.index(colours)
    with (
        FileLock(library.path / "lock", what="the library"),
        pytest.raises(LockedError, match="is being written by another process"),
    ):
        library.forget(colours)
    assert library.status().indexed == 3


def test_nothing_can_be_forgotten_before_anything_is_indexed(library: Library, colours: Path) -> None:
    with pytest.raises(LibraryError, match="nothing is indexed yet"):
        library.forget(colours)
    assert not library.path.exists()
