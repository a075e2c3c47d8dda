from __future__ import annotations

from pathlib import Path

import pytest

from sterna import errors
from sterna.data import read
from tests.data.writing import by_image, touch, write, write_json


def _image(number: int, *, split: str, **more: object) -> dict[str, object]:
    sentences = [
        {"raw": f"raw {number} {k}", "tokens": ["tokens"], "imgid": number, "sentid": 5 * number + k}
        for k in range(2)
    ]
    name = {"filename": f"{number}.jpg", "imgid": number, "split": split}
    return {**name, "sentids": [5 * number, 5 * number + 1], "sentences": sentences, **more}


@pytest.fixture
def karpathy(tmp_path: Path) -> Path:
    touch(tmp_path / "images", [f"{number}.jpg" for number in range(4)])
    images = [_image(number, split=split) for number, split in enumerate(["train", "val", "test", "restval"])]
    write_json(tmp_path / "dataset_flickr8k.json", {"dataset": "flickr8k", "images": images})
    return tmp_path


def test_images_splits_and_ids_are_those_of_the_file(karpathy: Path) -> None:
    for path in (karpathy, karpathy / "dataset_flickr8k.json"):
        data = read(path)
        assert data.format == "karpathy"
        assert by_image(data) == {
            "0": ("train", ["raw 0 0", "raw 0 1"]),
            "1": ("val", ["raw 1 0", "raw 1 1"]),
            "2": ("test", ["raw 2 0", "raw 2 1"]),
            "3": ("train", ["raw 3 0", "raw 3 1"]),
        }
        assert data.caption_ids == ("0", "1", "5", "6", "10", "11", "15", "16")
        assert data.paths[2] == karpathy / "images" / "2.jpg"


def test_restval_can_be_left_out(karpathy: Path) -> None:
    assert read(karpathy, split="train").image_ids == ("0", "3")
    assert read(karpathy, split="train", restval=False).image_ids == ("0",)


def test_cocos_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "photos" / "val2014", ["7.jpg"])
    images = [_image(7, split="val", filepath="val2014", cocoid=123)]
    write_json(tmp_path / "dataset_coco.json", {"images": images})
    assert read(tmp_path).paths[0].parts[-2:] == ("val2014", "7.jpg")
    assert read(tmp_path, images=tmp_path / "photos").image_ids == ("7",)


def test_what_is_broken_is_named_by_its_place(karpathy: Path) -> None:
    images = [
        _image(0, split="train"),
        {"imgid": 9, "sentences": []},
        "no image",
        _image(
            1,
            split="val",
            sentences=[{"sentid": 40}, {"tokens": ["two", "dogs"], "sentid": 41}, {"raw": " "}],
        ),
        _image(2, split="test", imgid=0),
        _image(8, split="test"),
        _image(3, split="train", sentences=[{"raw": "again", "sentid": 1}]),
    ]
    write_json(karpathy / "dataset_flickr8k.json", {"images": images})
    data = read(karpathy)
    file = "dataset_flickr8k.json"
    first = f"{file}:images[0].sentences[1]"
    assert data.problems == (
        f"{file}:images[1]: has no 'filename'",
        f"{file}:images[2]: has no 'filename'",
        f"{file}:images[3]: sentences[0] has neither 'raw' nor 'tokens'",
        f"{file}:images[3].sentences[2]: the caption is empty",
        f"{file}:images[4]: the image id '0' is that of '0.jpg' already",
        f"{file}:images[6].sentences[0]: the caption's id '1' was used before, at {first}",
        f"{file}:images[5]: the photograph '8.jpg' is not there",
    )
    assert by_image(data)["1"] == ("val", ["two dogs"])


def test_json_that_is_cut_short_is_named_with_its_line(karpathy: Path) -> None:
    write(karpathy / "dataset_flickr8k.json", '{"images": [\n{"sentences": [], "filename": ')
    with pytest.raises(errors.DataError, match=r"dataset_flickr8k\.json:2: not valid JSON"):
        read(karpathy)


def test_several_data_sets_must_be_chosen_from(karpathy: Path) -> None:
    write_json(karpathy / "dataset_other.json", {"images": [_image(0, split="train")]})
    with pytest.raises(errors.DataError, match="there are several data sets"):
        read(karpathy)


def test_a_file_without_images_is_refused(karpathy: Path) -> None:
    write(karpathy / "dataset_flickr8k.json", '{"sentences": []}')
    with pytest.raises(errors.DataError, match="holds no list named 'images'"):
        read(karpathy)


def test_ids_that_are_null_are_as_if_not_there(karpathy: Path) -> None:
    images = [
        _image(number, split="val", imgid=None, sentences=[{"raw": f"of {number}", "sentid": None}])
        for number in range(2)
    ]
    write_json(karpathy / "dataset_flickr8k.json", {"images": images})
    data = read(karpathy)
    assert by_image(data) == {"0.jpg": ("val", ["of 0"]), "1.jpg": ("val", ["of 1"])}
    assert data.caption_ids == ("0.jpg#0", "1.jpg#0")


def test_ids_that_no_file_can_hold_are_named(karpathy: Path) -> None:
    half = "\ud83d"
    images = [
        _image(0, split="val", imgid=half),
        _image(1, split="val", sentences=[{"raw": "one", "sentid": half}, {"raw": "two", "sentid": 5}]),
    ]
    write_json(karpathy / "dataset_flickr8k.json", {"images": images})
    data = read(karpathy)
    assert by_image(data) == {"1": ("val", ["two"])}
    assert data.problems == (
        "dataset_flickr8k.json:images[0]: the image id '\\ud83d' is not UTF-8 text",
        "dataset_flickr8k.json:images[1].sentences[0]: the caption's id '\\ud83d' is not UTF-8 text",
    )
