from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sterna import errors
from sterna.data import read
from tests.data.writing import by_image, touch, write


def test_a_folder_of_photographs_needs_no_captions(photos: Path) -> None:
    data = read(photos)
    assert (data.format, len(data), data.captions, data.split_names) == ("folder", 12, (), ())
    assert data.image_ids[-1] == "trip/photo-11.jpg"
    assert data.owners.dtype == "int64"


def test_captions_lie_beside_photographs_one_a_line(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg", "b.JPG", "sub/c.png", "notes.md", ".hidden/d.jpg", ".e.jpg"])
    write(tmp_path / "a.txt", "one\n\ntwo\r\n")
    write(tmp_path / "a.jpg.txt", "three")
    write(tmp_path / "sub" / "c.txt", "four")
    data = read(tmp_path)
    assert by_image(data) == {
        "a.jpg": (None, ["one", "two", "three"]),
        "b.JPG": (None, []),
        "sub/c.png": (None, ["four"]),
    }
    assert data.caption_ids == ("a.jpg#0", "a.jpg#1", "a.jpg#2", "sub/c.png#0")


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for place in ("one", "two/deeper"):
        touch(tmp_path / place, ["b.jpg", "a.jpg", "z/a.jpg"])
    assert (
        read(tmp_path / "one").image_ids
        == read(tmp_path / "two/deeper").image_ids
        == ("a.jpg", "b.jpg", "z/a.jpg")
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system composes names")
def test_two_names_that_differ_in_composition_alone_are_one(tmp_path: Path) -> None:
    touch(tmp_path, ["caf\u00e9.jpg", "cafe\u0301.jpg"])
    data = read(tmp_path)
    assert data.image_ids == ("caf\u00e9.jpg",)
    assert len(data.problems) == 1


def test_an_empty_folder_is_not_in_a_known_format(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match=r"not in a known format \(flickr: lines NAME"):
        read(tmp_path)
