"""HDF5 in the layouts that people have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from sterna.errors import DataError
from sterna.features import find_store, import_features
from tests.features import foreign
from tests.features.foreign import Image, some_images
from tests.features.test_formats import counts, holds


def whole(file: Any, images: list[Image]) -> None:
    """`features` [N, R, D] padded, with numbers of regions."""
    most = max(len(one.values) for one in images)
    features, boxes = (
        np.zeros((len(images), most, 6), np.float32),
        np.zeros((len(images), most, 4), np.float32),
    )
    for row, image in enumerate(images):
        features[row, : len(image.values)], boxes[row, : len(image.boxes)] = image.values, image.boxes
    file["features"], file["boxes"] = features, boxes
    file["num_boxes"] = [len(one.values) for one in images]
    file["image_ids"] = [int(one.name) for one in images]
    file["image_w"], file["image_h"] = [one.width for one in images], [one.height for one in images]


def one_after_the_other(file: Any, images: list[Image]) -> None:
    """`image_features` [sum of R, D] with `pos_boxes`, as adaptive features for question answering lie."""
    ends = np.cumsum([len(one.values) for one in images])
    file["image_features"] = np.concatenate([one.values for one in images])
    file["image_bb"] = np.concatenate([one.boxes for one in images])
    file["pos_boxes"] = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    file["ids"] = np.array([one.name.encode() for one in images])
    file["sizes"] = np.array([(one.width, one.height) for one in images])


def groups(file: Any, images: list[Image]) -> None:
    for image in images:
        group = file.create_group(image.name)
        group["features"], group["boxes"] = image.values, image.boxes
        group.attrs["image_w"], group.attrs["image_h"] = image.width, image.height


def groups_with_sizes(file: Any, images: list[Image]) -> None:
    for image in images:
        group = file.create_group(image.name)
        group["feat"], group["bbox"] = image.values, image.boxes
        group["image_w"], group["image_h"] = image.width, image.height


def flat_keys(file: Any, images: list[Image]) -> None:
    """`ID_features`, `ID_boxes` and `ID_size`, height first, as grid and region features of captioning lie."""
    for image in images:
        file[f"{image.name}_features"], file[f"{image.name}_boxes"] = image.values, image.boxes
        file[f"{image.name}_size"] = np.array([[image.height, image.width]])
        file[f"{image.name}_grids"] = image.values * 2


@pytest.mark.parametrize("write", [whole, one_after_the_other, groups, groups_with_sizes, flat_keys])
def test_every_layout_gives_every_image(tmp_path: Path, write: Callable[[Any, list[Image]], None]) -> None:
    images = some_images(6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, images)
    report = import_features(tmp_path / "a.h5", tmp_path / "f", dtype="float32")
    assert (report.format, *counts(report)) == ("hdf5", 6, 0, 0, 0)
    holds(tmp_path / "f", images)
    assert counts(import_features(tmp_path / "a.h5", tmp_path / "f", dtype="float32")) == (0, 6, 0, 0)
    store = find_store(tmp_path / "f", "images")
    for image in images:
        assert store.row("sizes", store.index_of(image.name)).tolist() == [[image.width, image.height]]


def test_an_array_for_each_image_has_no_boxes(tmp_path: Path) -> None:
    images = some_images(4)
    with h5py.File(tmp_path / "cocobu_att.hdf5", "w") as file:
        for image in images:
            file[image.name] = image.values
    import_features(tmp_path / "cocobu_att.hdf5", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images, boxes=False)


def test_rows_without_ids_are_numbered_and_a_map_names_them(tmp_path: Path) -> None:
    images = some_images(3, regions=2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = np.stack([one.values for one in images])
        file["boxes"] = np.stack(
            [one.relative for one in images]
        )  # as none is above 1, they are taken for 0..1
    import_features(tmp_path / "a.h5", tmp_path / "f", dtype="float32")
    assert find_store(tmp_path / "f", "images").ids == ("0", "1", "2")
    (tmp_path / "map.json").write_text('["100", "101", "102"]')
    import_features(tmp_path / "a.h5", tmp_path / "g", ids=tmp_path / "map.json", dtype="float32")
    holds(tmp_path / "g", images)


def test_what_is_wrong_with_one_image_is_named(tmp_path: Path) -> None:
    images = some_images(5, regions=3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        groups(file, images)
        del file["101/features"], file["102/boxes"]
        del file["103/features"]
        file["103/features"] = np.ones((3, 5), np.float32)
    report = import_features(tmp_path / "a.h5", tmp_path / "f", dtype="float32")
    assert counts(report) == (2, 0, 0, 3)
    assert report.problems == [
        "a.h5:101: has no features",
        "a.h5:102: has no boxes",
        "a.h5:103: has 5 values a row where the others have 6",
    ]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        whole(file, images)
        file["num_boxes"][1] = 9
    report = import_features(tmp_path / "b.h5", tmp_path / "g", dtype="float32")
    assert report.problems == ["b.h5:features[1]: is said to have 9 regions where there are 3"]


def test_files_that_are_none_or_hold_nothing_known_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"a.h5: is no readable HDF5 file"):
        import_features(tmp_path / "a.h5", tmp_path / "f")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["numbers"] = [1, 2, 3]
    with pytest.raises(DataError, match=r"b.h5: holds no data set of features that is known \(numbers\)"):
        import_features(tmp_path / "b.h5", tmp_path / "f")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["features"] = np.zeros((3, 2, 6), np.float32)
        file["ids"] = ["a", "b"]
    with pytest.raises(DataError, match="c.h5: 2 ids for 3 images"):
        import_features(tmp_path / "c.h5", tmp_path / "f")


@pytest.mark.parametrize("padded", [0, 3])
def test_groups_by_image_may_be_padded_and_say_how_many_regions_they_have(
    tmp_path: Path, padded: int
) -> None:
    images = some_images(4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for image in images:
            group = file.create_group(image.name)
            group["features"] = np.pad(image.values, [(0, padded), (0, 0)])
            group["bbox"] = np.pad(image.boxes, [(0, padded), (0, 0)])
            group["image_w"], group["image_h"] = image.width, image.height
            group["num_boxes"] = len(image.boxes)
    import_features(tmp_path / "a.h5", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)


def test_groups_of_features_and_of_boxes_are_read(tmp_path: Path) -> None:
    images = some_images(4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for image in images:
            file[f"features/{image.name}"], file[f"boxes/{image.name}"] = image.values, image.boxes
    sizes = foreign.write_sizes(tmp_path / "s.csv", images)
    import_features(tmp_path / "a.h5", tmp_path / "f", sizes=sizes, dtype="float32")
    holds(tmp_path / "f", images)


def test_an_image_may_be_called_like_an_array(tmp_path: Path) -> None:
    image = some_images(1)[0]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x/features"] = image.values
    import_features(tmp_path / "a.h5", tmp_path / "f", dtype="float32")
    image.name = "x"
    holds(tmp_path / "f", [image], boxes=False)


@pytest.mark.parametrize("count", [9, -1])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_number_of_regions_that_cannot_be_is_named(tmp_path: Path, count: int, grouped: bool) -> None:
    values = np.ones((2, 4, 3), np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in (("features", values), ("num_boxes", np.array([2, count]))):
            if grouped:
                file[f"0/{name}"], file[f"1/{name}"] = array
            else:
                file[name] = array
    report = import_features(tmp_path / "a.h5", tmp_path / "f")
    assert (report.done, report.failed) == (1, 1)
    assert report.problems[0].endswith(f"is said to have {count} regions where there are 4")
    assert find_store(tmp_path / "f", "images").row("original", 0).shape == (2, 3)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: file.create_dataset("features", data=3.0), "holds no data set of features"),
        (lambda file: file.create_group("7").create_dataset("features", data=3.0), "has a single value"),
        (lambda file: file.create_group("7").create_group("features"), "7/features is a group, not an array"),
        (lambda file: file.__setitem__("7", h5py.ExternalLink("none.h5", "/x")), "holds no data set of"),
    ],
)
def test_what_is_no_array_of_features_is_told(tmp_path: Path, fill, message: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        fill(file)
    with pytest.raises(DataError, match=message):
        import_features(tmp_path / "a.h5", tmp_path / "f")


def test_ids_that_are_whole_floats_are_numbers(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"], file["ids"] = np.ones((2, 1, 3), np.float32), np.array([9.0, 20.0])
    import_features(tmp_path / "a.h5", tmp_path / "f")
    assert find_store(tmp_path / "f", "images").ids == ("9", "20")
