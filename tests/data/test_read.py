from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sterna.data
from sterna import errors
from sterna.data import FORMATS, read
from tests.data.writing import touch, write, write_json


def test_the_door_names_what_is_public() -> None:
    assert sterna.data.__all__ == ["FORMATS", "CaptionedImages", "Format", "read"]
    assert all(hasattr(sterna.data, name) for name in sterna.data.__all__)


def test_the_formats_are_listed() -> None:
    assert list(FORMATS) == ["flickr", "karpathy", "coco", "table", "folder"]


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match=r"format 'excel' is not known; known: flickr, karpathy"):
        read(tmp_path, format="excel")


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_folder_in_another_format_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    with pytest.raises(errors.DataError, match=str(tmp_path)) as caught:
        read(tmp_path, format=kind)
    assert "\n" not in str(caught.value)


def test_two_formats_in_one_folder_must_be_chosen_from(tmp_path: Path) -> None:
    touch(tmp_path / "images", ["a.jpg"])
    write(tmp_path / "captions.token.txt", "a.jpg#0\tfrom flickr\n")
    write(tmp_path / "captions.csv", "image,caption\na.jpg,from a table\n")
    with pytest.raises(errors.DataError, match=r"several formats \(flickr, table\)"):
        read(tmp_path)
    assert read(tmp_path, format="table").captions == ("from a table",)
    assert read(tmp_path / "captions.token.txt").captions == ("from flickr",)
    assert read(tmp_path, format="folder").captions == ()


@pytest.mark.parametrize("path", ["nowhere", "a\0b", "~nobody-of-this-name/x"])
def test_a_path_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(errors.DataError, match="no such file or folder"):
        read(path)


def test_a_file_that_is_no_folder_of_photographs_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "captions.csv", "image,caption\na.jpg,one\n")
    with pytest.raises(errors.DataError, match="not a folder of photographs"):
        read(tmp_path, images=tmp_path / "captions.csv")


def test_json_of_another_kind_is_not_taken(tmp_path: Path) -> None:
    path = write_json(tmp_path / "x.json", {"rows": []})
    with pytest.raises(errors.DataError, match="not in a known format"):
        read(path)


def test_reading_needs_no_torch_and_no_pyarrow() -> None:
    code = "import sys, sterna.data, sterna.evaluation; print({'torch', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_photographs_need_not_be_there_where_they_are_not_wanted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "here.jpg").write_bytes(b"")
    rows = "image,caption,split\nhere.jpg,a dog,train\ngone.jpg,a cat,dev\n../../out.jpg,a cow,dev\n"
    (tmp_path / "table.csv").write_text(rows)
    assert read(tmp_path).image_ids == ("here.jpg",)
    data = read(tmp_path, photographs=False)
    assert data.image_ids == ("here.jpg", "gone.jpg")
    assert data.paths == (tmp_path / "images/here.jpg", tmp_path / "images/gone.jpg")
    assert data.captions == ("a dog", "a cat")
    assert data.splits == ("train", "dev")
    assert len(data.problems) == 1
    assert "points outside the data's folder" in data.problems[0]
