from __future__ import annotations

from pathlib import Path

import pytest

from sterna import errors
from sterna.data import read
from tests.data.writing import by_image, touch, write_json


def _captions(images: dict[int, str], captions: list[tuple[int, int, str]]) -> dict[str, object]:
    return {
        "info": {"description": "a test"},
        "images": [
            {"id": number, "file_name": name, "height": 1, "width": 1} for number, name in images.items()
        ],
        "annotations": [
            {"id": number, "image_id": image, "caption": text} for number, image, text in captions
        ],
    }


def test_one_file_beside_its_images_has_no_splits(tmp_path: Path) -> None:
    touch(tmp_path / "images", ["x.jpg", "y.jpg"])
    write_json(
        tmp_path / "captions.json",
        _captions({10: "x.jpg", 20: "y.jpg"}, [(1, 20, "a y"), (2, 10, "an x"), (3, 20, "y again")]),
    )
    for path in (tmp_path, tmp_path / "captions.json"):
        data = read(path)
        assert (data.format, data.split_names) == ("coco", ())
        assert by_image(data) == {"10": (None, ["an x"]), "20": (None, ["a y", "y again"])}
        assert data.caption_ids == ("1", "2", "3")


@pytest.mark.parametrize("where", ["{}2014", "images/{}2014", "{}", "images/{}", "images"])
def test_several_files_are_several_splits_wherever_their_images_lie(tmp_path: Path, where: str) -> None:
    for number, split in enumerate(["train", "val"], start=1):
        touch(tmp_path / where.format(split), [f"{number}.jpg"])
        content = _captions({number: f"{number}.jpg"}, [(number, number, f"caption {number}")])
        write_json(tmp_path / "annotations" / f"captions_{split}2014.json", content)
        write_json(
            tmp_path / "annotations" / f"instances_{split}2014.json", {"images": [], "annotations": []}
        )
    data = read(tmp_path)
    assert by_image(data) == {"1": ("train", ["caption 1"]), "2": ("val", ["caption 2"])}
    alone = read(tmp_path / "annotations" / "captions_val2014.json")
    assert by_image(alone) == {"2": ("val", ["caption 2"])}


def test_splits_that_count_from_one_each_keep_all_their_images(tmp_path: Path) -> None:
    for split in ("dev", "test"):
        touch(tmp_path / split, ["1.jpg"])
        write_json(tmp_path / f"captions_{split}.json", _captions({1: "1.jpg"}, [(1, 1, f"one of {split}")]))
    data = read(tmp_path)
    assert by_image(data) == {"dev/1": ("dev", ["one of dev"]), "test/1": ("test", ["one of test"])}
    assert data.caption_ids == ("dev/1", "test/1")
    assert [path.parent.name for path in data.paths] == ["dev", "test"]
    assert data.problems == ()


def test_one_image_in_two_splits_is_noted(tmp_path: Path) -> None:
    touch(tmp_path / "images", ["1.jpg"])
    for number, split in enumerate(["dev", "test"]):
        write_json(
            tmp_path / f"captions_{split}.json", _captions({number: "1.jpg"}, [(number, number, split)])
        )
    data = read(tmp_path)
    assert data.splits == ("dev",)
    assert data.problems == (
        "captions_test.json:images[0]: the photograph '1.jpg' is there already with the id '0'",
        "captions_test.json:images[0]: '0' is in the split 'dev' already and is not put in 'test' too",
    )


def test_what_is_broken_is_named_by_its_place(tmp_path: Path) -> None:
    touch(tmp_path / "images", ["x.jpg", "y.jpg"])
    content = _captions(
        {1: "x.jpg", 2: "gone.jpg"},
        [
            (1, 1, "good"),
            (1, 1, "same id"),
            (3, 99, "whose?"),
            (4, 2, "missing"),
            (5, 1, ""),
            (6, 1, "\ud83d"),
        ],
    )
    content["images"] += [{"id": 1, "file_name": "y.jpg"}, {"id": 5}, None]  # type: ignore[operator]
    content["annotations"] += [{"id": 6, "image_id": 1}, 7]  # type: ignore[operator]
    write_json(tmp_path / "captions.json", content)
    data = read(tmp_path)
    assert by_image(data) == {"1": (None, ["good"])}
    assert data.problems == (
        "captions.json:images[2]: the image id 1 was used before in this file",
        "captions.json:images[3]: has no 'id' or no 'file_name'",
        "captions.json:images[4]: has no 'id' or no 'file_name'",
        "captions.json:annotations[1]: the caption's id '1' was used before, at captions.json:annotations[0]",
        "captions.json:annotations[2]: names the image id 99, which is not among the images",
        "captions.json:annotations[4]: the caption is empty",
        "captions.json:annotations[5]: the caption is not UTF-8 text",
        "captions.json:annotations[6]: has no 'image_id' or no 'caption'",
        "captions.json:annotations[7]: has no 'image_id' or no 'caption'",
        "captions.json:images[1]: the photograph 'gone.jpg' is not there",
    )


def test_ids_that_are_null_are_as_if_not_there(tmp_path: Path) -> None:
    touch(tmp_path, ["x.jpg", "y.jpg", "z.jpg"])
    content = _captions({1: "x.jpg", 2: "y.jpg"}, [(1, 1, "one"), (2, 1, "two"), (3, 2, "three")])
    for annotation in content["annotations"]:  # type: ignore[attr-defined]
        annotation["id"] = None
    content["images"].append({"id": None, "file_name": "z.jpg"})  # type: ignore[attr-defined]
    write_json(tmp_path / "captions.json", content)
    data = read(tmp_path)
    assert by_image(data) == {"1": (None, ["one", "two"]), "2": (None, ["three"])}
    assert data.caption_ids == ("1#0", "1#1", "2#2")
    assert data.problems == ("captions.json:images[2]: has no 'id' or no 'file_name'",)
    for split, name in (("dev", "x.jpg"), ("test", "y.jpg")):  # null is nobody's number
        images = [{"id": split, "file_name": name}, {"id": None, "file_name": "z.jpg"}]
        annotation = {"id": None, "image_id": split, "caption": split}
        write_json(tmp_path / f"captions_{split}.json", {"images": images, "annotations": [annotation]})
    (tmp_path / "captions.json").unlink()
    assert by_image(read(tmp_path)) == {"dev": ("dev", ["dev"]), "test": ("test", ["test"])}


def test_two_years_of_one_split_must_be_chosen_from(tmp_path: Path) -> None:
    touch(tmp_path, ["x.jpg"])
    for year in (2014, 2017):
        write_json(tmp_path / f"captions_val{year}.json", _captions({1: "x.jpg"}, [(1, 1, "one")]))
    with pytest.raises(errors.DataError, match=r"several files of captions for one split .*captions_val2017"):
        read(tmp_path)


def test_a_file_without_annotations_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "captions.json", {"info": {}, "images": []})
    with pytest.raises(errors.DataError, match=r"captions\.json: holds no list named 'annotations'"):
        read(tmp_path)
