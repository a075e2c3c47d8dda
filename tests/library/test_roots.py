"""Which folders are a library's own: folders inside folders, left-out ones, and all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sterna.errors import LibraryError, ModelError, UsageError
from sterna.library import Library
from tests.library.fake import save
from tests.library.test_indexing import counts, names


def roots(library: Library) -> list[str]:
    return [root.path.name for root in library.status().roots]


@pytest.fixture
def hidden(colours: Path) -> Path:
    """A hidden folder inside the root, with a photograph, and one of thumbnails with another."""
    save(colours / "Thumbs" / "teal.png", "teal")
    return save(colours / "trips" / ".private" / "navy.png", "navy").parent


def test_a_root_that_the_walk_around_it_leaves_out_stays_a_root(
    library: Library, colours: Path, hidden: Path
) -> None:
    assert counts(library.index(hidden, colours / "Thumbs")) == {"new": 2}
    assert counts(library.index(colours)) == {"new": 3}
    assert roots(library) == ["photos", "Thumbs", ".private"]
    assert counts(library.index()) == {}
    assert len(names(library)) == 5


def test_a_folder_that_the_walk_of_its_root_leaves_out_becomes_a_root(
    library: Library, colours: Path, hidden: Path
) -> None:
    assert counts(library.index(colours)) == {"new": 3}
    assert counts(library.index(hidden)) == {"new": 1}
    assert counts(library.index(colours / "Thumbs")) == {"new": 1}
    save(hidden / "2020" / "gold.png", "gold")
    assert counts(library.index(hidden / "2020")) == {"new": 1}  # it lies in a root of its own by now
    assert roots(library) == ["photos", "Thumbs", ".private"]
    assert len(names(library)) == 6


@pytest.mark.parametrize("pattern", ["raw", "trips/raw", "*/raw/*"])
def test_an_excluded_folder_is_a_root_until_it_is_excluded_no_more(
    library: Library, colours: Path, pattern: str
) -> None:
    raw = save(colours / "trips" / "raw" / "navy.png", "navy").parent
    assert counts(library.index(colours, exclude=[pattern])) == {"new": 3}
    assert counts(library.index(raw)) == {"new": 1}
    assert roots(library) == ["photos", "raw"]
    assert counts(library.index(colours, exclude=[""])) == {}
    assert roots(library) == ["photos"]
    assert len(names(library)) == 4


def test_patterns_of_a_folder_go_on_for_it_alone(library: Library, colours: Path) -> None:
    inner = colours / "trips [1]"
    for name in ("keep.png", "sub/keep.png", "sub/other.gif", "raw/one.png", "sub/raw/two.png", "plain.png"):
        save(inner / name, (len(name), 9, 200))
        save(colours / "others" / name, (len(name), 200, 9))
    library.index(inner, exclude=["keep*", "*.gif", "raw/*"])
    assert names(library) == ["plain.png", "two.png"]
    assert counts(library.index(colours)) == {"new": 9}
    assert len(names(library, folder=inner)) == 2
    assert len(names(library, folder=colours / "others")) == 6
    assert counts(library.index()) == {}


def test_new_patterns_for_a_folder_replace_those_of_the_folders_inside_it(
    library: Library, colours: Path
) -> None:
    library.index(colours / "trips", exclude=["green*"])
    assert counts(library.index(colours, exclude=[""])) == {"new": 2}
    assert library.status().roots[0].exclude == ()


def test_a_file_in_a_known_folder_is_not_taken_for_the_folder(library: Library, colours: Path) -> None:
    library.index(colours)
    with pytest.raises(UsageError, match=r"red\.png: a file, not a folder; name the folder it lies in"):
        library.index(colours / "red.png")
    (colours / "trips").rename(colours.parent / "elsewhere")
    assert counts(library.index(colours / "trips")) == {"removed": 2}


def test_folders_that_become_part_of_one_around_them_are_told(library: Library, colours: Path) -> None:
    other = save(colours.parent / "scans" / "white.png", "white").parent
    library.index(colours / "trips" / "sea", other)
    assert library.index(colours / "trips").taken_in == ((colours / "trips" / "sea", colours / "trips"),)
    report = library.index(colours.parent)
    around = colours.parent
    assert report.taken_in == ((colours / "trips", around), (other, around))
    assert (report.removed, report.moved, report.new) == (0, 0, 1)
    assert library.index(around).taken_in == library.index(colours).taken_in == ()


def test_a_folder_named_with_one_inside_it_is_one_root(library: Library, colours: Path) -> None:
    assert counts(library.index(colours / "trips", colours, colours / "trips" / "sea")) == {"new": 3}
    assert roots(library) == ["photos"]


def test_no_folder_is_added_where_one_of_them_is_wrong(library: Library, colours: Path) -> None:
    library.index(colours / "trips" / "sea")
    other = save(colours.parent / "scans" / "white.png", "white").parent
    with pytest.raises(UsageError, match="no such folder"):
        library.index(other, colours / "nowhere")
    assert roots(library) == ["sea"]


def test_no_folder_is_added_where_the_model_does_not_load(
    tmp_path: Path, colours: Path, library: Library
) -> None:
    with pytest.raises(ModelError):
        library.index(colours, model=tmp_path)
    assert not library.path.exists()
    library.index(colours / "trips")
    with pytest.raises(ModelError):
        library.index(colours, model=tmp_path)
    assert roots(library) == ["trips"]


def test_a_link_is_followed_unless_it_is_not_to_be(
    library: Library, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(colours)
    monkeypatch.chdir(tmp_path)
    library.index(colours / "trips", follow_links=False)
    for named in (tmp_path / "link", "link", tmp_path / "link" / "trips", "./link/../link"):
        with pytest.raises(LibraryError, match=r"is a link, or lies behind one; nothing was added"):
            library.index(colours, named, follow_links=False)
        assert roots(library) == ["trips"]
    library.index(f"{colours}/trips/../", follow_links=False)  # as it is, however it is written
    assert roots(library) == ["photos"]
    library.index(tmp_path / "link")
    assert roots(library) == ["photos"]
