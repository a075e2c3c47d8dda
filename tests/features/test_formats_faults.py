"""Sources that are wrong in part: what is told of them, and that nothing wrong is taken silently."""

from __future__ import annotations

import base64
import csv
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sterna.errors import DataError, DiskError, UsageError
from sterna.features import export_features, find_store, import_features, in_words
from tests.features import foreign
from tests.features.foreign import some_images
from tests.features.test_formats import counts, holds


def write_one(folder: Path, **arrays: Any) -> Path:
    """Two files as the extractors of bottom-up attention write them, the second with other arrays."""
    folder.mkdir()
    for image, more in zip(some_images(2, regions=5), ({}, arrays), strict=True):
        size = {"image_w": image.width, "image_h": image.height, "num_bbox": 5}
        np.savez(folder / image.name, **{"features": image.values, "bbox": image.boxes, **size, **more})
    return folder


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image_w": 0}, r"says that its photograph is of 0 x \d+ pixels"),
        ({"image_h": -5}, r"says that its photograph is of \d+ x -5 pixels"),
        ({"image_w": np.nan}, r"a count, width or height is array\(nan\)"),
        ({"image_w": 1j}, "a count, width or height is"),
        ({"image_w": np.empty(0)}, "a count, width or height is"),
        ({"bbox": base64.b64encode(b"abcdefgh")}, "has boxes of 2 values as text; 4 for each box are needed"),
        ({"features": np.array([], dtype="U3")}, "holds 0 texts where the base64 of one array is needed"),
        ({"features": np.float32(3)}, "is said to have 5 regions where there are 1"),
        ({"num_bbox": 9}, "is said to have 9 regions where there are 5"),
        ({"bbox": np.float32(3)}, r"has boxes float32\[\] for 5 regions"),
        ({"features": np.ones((5, 6), complex)}, "is complex128"),
        ({"features": np.full((5, 6), np.inf)}, "holds values that are no finite numbers"),
    ],
)
def test_one_files_numbers_that_cannot_be_are_named(tmp_path: Path, arrays: dict, message: str) -> None:
    report = import_features(write_one(tmp_path / "npz", **arrays), tmp_path / "f", dtype="float32")
    assert counts(report) == (1, 0, 0, 1)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(report.problems[0])
    holds(tmp_path / "f", some_images(2, regions=5)[:1])


@pytest.mark.parametrize(
    ("what", "values", "message"),
    [
        ("objects_conf", np.full(5, np.nan), "has scores that are no finite numbers"),
        ("objects_conf", np.array(list("abcde")), "has scores that are no finite numbers"),
        ("objects_conf", np.ones(4), r"has scores of shape \[4\] for 5 rows"),
        ("objects_id", np.full(5, 2**40), "has classes that are no whole numbers of 32 bits"),
        ("objects_id", np.full(5, 0.5), "has classes that are no whole numbers of 32 bits"),
        ("objects_id", np.array(list("abcde")), "has classes that are no finite numbers"),
    ],
)
def test_scores_and_classes_that_are_none_are_named(
    tmp_path: Path, what: str, values: np.ndarray, message: str
) -> None:
    folder = write_one(tmp_path / "npz", **{what: values})
    with np.load(folder / "100.npz") as there:
        np.savez(folder / "100.npz", **there, **{what: np.arange(5)})
    report = import_features(folder, tmp_path / "f")
    assert counts(report) == (1, 0, 0, 1)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(report.problems[0])


def test_arrays_that_are_padded_end_where_the_count_says(tmp_path: Path) -> None:
    images = some_images(3)
    (tmp_path / "npz").mkdir()
    for image in images:
        pad = [(0, 9 - len(image.boxes)), (0, 0)]
        size = {"image_w": image.width, "image_h": image.height, "num_bbox": len(image.boxes)}
        padded = {"features": np.pad(image.values, pad), "bbox": np.pad(image.boxes, pad)}
        np.savez(tmp_path / "npz" / image.name, **padded, **size)
    import_features(tmp_path / "npz", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)


@pytest.mark.parametrize("boxes", [4, 6])
def test_a_pair_of_which_one_has_more_rows_is_refused_and_not_cut(tmp_path: Path, boxes: int) -> None:
    images = some_images(3, regions=5, dim=7)
    folder = foreign.write_pairs(tmp_path / "bu", images)
    np.save(folder / "cocobu_box" / "101.npy", np.resize(images[1].boxes, (boxes, 4)))
    sizes = foreign.write_sizes(tmp_path / "s.csv", images)
    report = import_features(folder, tmp_path / "f", sizes=sizes, dtype="float32")
    assert report.problems == [f"cocobu_att/101.npz: has boxes float32[{boxes}, 4] for 5 regions"]
    holds(tmp_path / "f", images[::2])


def test_scores_and_classes_of_other_widths_are_read(tmp_path: Path) -> None:
    images = some_images(4, regions=4)
    foreign.write_lxmert(tmp_path / "a.tsv", images)
    with (tmp_path / "a.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, foreign.LXMERT, delimiter="\t"))
    conf = np.linspace(1, 0.25, 4)
    rows[0] |= {
        "objects_conf": foreign.text_of(conf),
        "objects_id": foreign.text_of(np.arange(4, dtype="i4")),
    }
    rows[1] |= {"objects_conf": foreign.text_of(conf.astype("f2"))}
    with (tmp_path / "b.tsv").open("w", newline="") as file:
        csv.DictWriter(file, foreign.LXMERT, delimiter="\t").writerows(rows)
    report = import_features(tmp_path / "b.tsv", tmp_path / "f")
    assert report.problems == ["b.tsv:2: objects_conf holds 2 bytes a box; one number of 4 or 8 is needed"]
    store = find_store(tmp_path / "f", "images")
    assert store.row("original.scores", 0).tolist() == conf.tolist()
    assert store.row("original.classes", 0).tolist() == [0, 1, 2, 3]


def test_reasons_are_told_once_each_with_how_many_items_they_are_of(tmp_path: Path) -> None:
    images = some_images(8, regions=3)
    rows = [[str(cell) for cell in foreign.butd_row(image).values()] for image in images]
    for place in (0, 2, 3):
        rows[place][3] = str(70 + place)
    rows[1][5] = "%%"
    (tmp_path / "a.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    report = import_features(tmp_path / "a.tsv", tmp_path / "f")
    assert (report.done, report.failed, len(report.problems)) == (4, 4, 4)
    assert [(one.example.partition(" ")[0], one.count) for one in report.reasons] == [
        ("a.tsv:1:", 3),
        ("a.tsv:2:", 1),
    ]
    said = in_words(report.reasons[::-1])
    assert said[0].startswith("a.tsv:1: features holds 18 values, which do not divide among 70 boxes")
    assert said[0].endswith(" (and 2 more like it)")
    assert said[1].startswith("a.tsv:2: features is not base64")
    assert not said[1].endswith("like it)")
    (tmp_path / "b.tsv").write_text("".join("\t".join(row) + "\n" for row in rows[:4]))
    with pytest.raises(DataError) as error:
        import_features(tmp_path / "b.tsv", tmp_path / "g")
    told = "; ".join(in_words(report.reasons)).replace("a.tsv", "b.tsv")
    assert str(error.value) == f"{tmp_path / 'b.tsv'}: no item could be used: {told}"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("100.jpg", "100"),
        ("dir/100.png", "100"),
        ("COCO_val2014_000000000100.jpg", "100"),
        ("100", "dir/100"),
        ("100.JPG", "100.jpg"),
        ("100", "COCO_val2014_000000000100"),
        ("100", "100.jpg"),
    ],
)
def test_sizes_are_found_with_and_without_suffix_folder_and_cocos_zeros(
    tmp_path: Path, written: str, name: str
) -> None:
    images = some_images(2, regions=3)
    folder = tmp_path / "bu"
    for kind, array in (("att", images[0].values), ("box", images[0].boxes)):
        (folder / f"x_{kind}" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"x_{kind}" / f"{name}.npy", array)
    width, height = images[0].width, images[0].height
    (tmp_path / "s.csv").write_text(f"100.5,9,9\n7,9,9\n{written},{width},{height}\n10,9,9\n")
    import_features(folder, tmp_path / "f", sizes=tmp_path / "s.csv")
    assert find_store(tmp_path / "f", "images").row("sizes", 0).tolist() == [[width, height]]


def test_a_size_that_two_photographs_of_a_name_have_differently_is_not_guessed(tmp_path: Path) -> None:
    images = some_images(1)
    folder = foreign.write_pairs(tmp_path / "bu", images)
    (tmp_path / "s.csv").write_text("a/100.jpg,640,480\nb/100.jpg,480,640\n")
    with pytest.raises(DataError, match="nothing tells how large the photographs are"):
        import_features(folder, tmp_path / "f", sizes=tmp_path / "s.csv")


def scan(folder: Path, ids: list[str] | None = None, *, repeated: bool = False, boxes: bool = False) -> Path:
    foreign.write_scan(folder, "dev", some_images(6, regions=3), repeated=repeated, boxes=boxes)
    if ids is not None:
        (folder / "dev_ids.txt").write_text("".join(f"{one}\n" for one in ids))
    return folder


CAPTIONS = [f"{image}.jpg#{k}" for image in range(6) for k in range(5)]


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (CAPTIONS, [f"{image}.jpg" for image in range(6)]),
        ([str(number) for number in range(30)], ["0", "5", "10", "15", "20", "25"]),
    ],
)
def test_ids_of_captions_are_not_taken_for_images(
    tmp_path: Path, ids: list[str], expected: list[str], repeated: bool
) -> None:
    images = some_images(6, regions=3)
    import_features(scan(tmp_path / "a", ids, repeated=repeated), tmp_path / "f", dtype="float32")
    for image, name in zip(images, expected, strict=True):
        image.name = name
    holds(tmp_path / "f", images, boxes=False)
    from sterna.data import read

    data = read(tmp_path / "f" / "data.csv", photographs=False)
    assert data.owners.tolist() == np.repeat(np.arange(6), 5).tolist()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda sizes: sizes * np.nan, r"its size is float64\[nan, nan\]; width and height are needed"),
        (lambda sizes: sizes[:, 0], "width and height are needed"),
        (lambda sizes: sizes[:, :1], "width and height are needed"),
        (lambda sizes: sizes * 0, "says that its photograph is of 0 x 0 pixels"),
    ],
)
def test_sizes_of_a_split_that_are_none_are_named(
    tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    folder = scan(tmp_path / "a", boxes=True)
    np.save(folder / "dev_img_sizes.npy", spoil(np.load(folder / "dev_img_sizes.npy")))
    with pytest.raises(DataError, match=r"dev_ims.npy\[0\]: .*" + message + r" \(and 5 more like it\)"):
        import_features(folder, tmp_path / "f")


def test_captions_that_fit_no_images_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    folder = scan(tmp_path / "a")
    (folder / "dev_caps.txt").write_text("")
    with pytest.raises(DataError, match=r"dev_caps.txt: 0 captions for 6 images; .* or no such file"):
        import_features(folder, tmp_path / "f")
    assert not (tmp_path / "f").exists()
    np.save(folder / "dev_ims.npy", np.empty((0, 3, 6), np.float32))
    (folder / "dev_ids.txt").write_text("")
    with pytest.raises(DataError, match="no item could be used: it holds none"):
        import_features(folder, tmp_path / "f")


def test_captions_of_images_that_could_not_be_used_are_left_out(tmp_path: Path) -> None:
    from sterna.data import read

    folder = scan(tmp_path / "a")
    data = (folder / "dev_ims.npy").read_bytes()
    (folder / "dev_ims.npy").write_bytes(data[:-100])
    assert counts(import_features(folder, tmp_path / "f")) == (4, 0, 0, 2)
    assert read(tmp_path / "f" / "data.csv", photographs=False).image_ids == ("100", "101", "102", "103")
    (folder / "dev_ims.npy").write_bytes(data)
    assert counts(import_features(folder, tmp_path / "f")) == (2, 4, 0, 0)
    assert len(read(tmp_path / "f" / "data.csv", photographs=False).captions) == 30


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
def test_arrays_that_lie_column_by_column_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, block: int
) -> None:
    from sterna.features._formats import _arrays

    monkeypatch.setattr(_arrays, "_GATHERED", block)
    images = some_images(6, regions=3)
    folder = scan(tmp_path / "a", boxes=True)
    for what in ("ims", "boxes", "img_sizes"):
        array = np.load(folder / f"dev_{what}.npy")
        kept = array.astype(dtype) if what == "ims" else array
        np.save(folder / f"dev_{what}.npy", np.asfortranarray(kept))
    for image in images:
        image.values = image.values.astype(dtype).astype(np.float32)
    import_features(folder, tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)
    whole = (folder / "dev_ims.npy").read_bytes()
    (folder / "dev_ims.npy").write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"the file ends before this row \(0 of 6 rows are whole\)"):
        import_features(folder, tmp_path / "g")


def test_sorted_names_that_begin_like_running_numbers_are_read_to_the_end(tmp_path: Path) -> None:
    from sterna.data import read

    names = [(number, 3 * number, f"COCO_val2014_{3 * number:012}.jpg") for number in range(400)]
    path = foreign.write_karpathy(tmp_path / "dataset_coco.json", names, captions=1)
    images = some_images(400, regions=1, first=0)
    for place, image in enumerate(images):
        image.name, image.values = str(3 * place), np.full((1, 2), 3 * place, np.float32)
    foreign.write_butd(tmp_path / "a.tsv", images)
    import_features(tmp_path / "a.tsv", tmp_path / "f", ids=path)
    store = find_store(tmp_path / "f", "images")
    for _, number, name in names[::50]:
        assert store.row("original", store.index_of(name)).tolist() == [[number, number]]
    data = read(path, photographs=False)
    import_features(tmp_path / "a.tsv", tmp_path / "g", data=data)
    assert find_store(tmp_path / "g", "images").ids == data.image_ids


def test_what_the_names_of_a_map_are_can_be_said(tmp_path: Path) -> None:
    names = [(number, 5 - number, f"{number}.jpg") for number in range(6)]
    path = foreign.write_karpathy(tmp_path / "k.json", names)
    images = some_images(6, first=0)
    foreign.write_butd(tmp_path / "a.tsv", images)
    with pytest.raises(UsageError, match="its names can be taken for imgid or cocoid of .*; say which with"):
        import_features(tmp_path / "a.tsv", tmp_path / "f", ids=path)
    for by, expected in (("imgid", images[1]), ("cocoid", images[4])):
        import_features(tmp_path / "a.tsv", tmp_path / by, ids=path, names=by, dtype="float32")
        store = find_store(tmp_path / by, "images")
        assert np.array_equal(store.row("original", store.index_of("1.jpg")), expected.values)
    with pytest.raises(UsageError, match="names='row': names of images are one of imgid, cocoid, position"):
        import_features(tmp_path / "a.tsv", tmp_path / "f", ids=path, names="row")


def test_an_item_that_comes_again_with_other_boxes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sterna.features import FeatureStore

    images = some_images(4, regions=3)
    other = some_images(4, regions=3)[1]
    other.boxes = other.boxes / 2
    foreign.write_butd(tmp_path / "a.tsv", [*images[:2], other, images[0], *images[2:], images[2]])
    parts: list[int] = []
    append = FeatureStore.append_missing
    monkeypatch.setattr(
        FeatureStore, "append_missing", lambda *args: parts.append(append(*args)) or parts[-1]
    )
    report = import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    assert counts(report) == (4, 2, 0, 1)
    assert report.problems == ["a.tsv:3: '101' came before, in a.tsv:2, with other values"]
    assert parts == [4]  # one part, however often items come again
    holds(tmp_path / "f", images)


def test_what_a_format_has_no_place_for_is_told(tmp_path: Path) -> None:
    foreign.write_lxmert(tmp_path / "a.tsv", some_images(3, regions=3))
    import_features(tmp_path / "a.tsv", tmp_path / "f")
    left = {
        kind: export_features(tmp_path / "f", tmp_path / kind, format=kind).left_out
        for kind in ("tsv", "scan", "npz")
    }
    assert left == {"tsv": ["scores", "classes"], "scan": ["scores", "classes"], "npz": []}


def test_an_export_of_which_nothing_can_be_written_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "grid_att"
    folder.mkdir()
    for image in some_images(3):
        np.savez(folder / image.name, feat=image.values)
    import_features(folder, tmp_path / "f")
    with pytest.raises(
        DataError,
        match=r"no item could be written as tsv: 100: has no boxes or no size .* \(and 2 more like it\)",
    ):
        export_features(tmp_path / "f", tmp_path / "a.tsv", format="tsv")
    assert not (tmp_path / "a.tsv").exists()


def test_an_export_does_not_go_on_with_one_of_another_view(tmp_path: Path) -> None:
    from sterna.features import ColumnSpec, FeatureStore

    store = FeatureStore.create(
        tmp_path / "s", {name: ColumnSpec("float32", 2) for name in ("original", "flip")}
    )
    ids = [str(number) for number in range(3)]
    store.append(
        ids, {name: [np.full((1, 2), sign, np.float32)] * 3 for name, sign in (("original", 1), ("flip", -1))}
    )

    def stop(_: object) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        export_features(tmp_path / "s", tmp_path / "out", format="npz", progress=stop)
    with pytest.raises(UsageError, match="another export was begun there"):
        export_features(tmp_path / "s", tmp_path / "out", format="npz", view="flip")
    assert export_features(tmp_path / "s", tmp_path / "out", format="npz").skipped == 3


def test_a_mask_of_another_length_is_named(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    np.savez(tmp_path / "bert" / "1.npz", feat=np.ones((4, 3)), mask=[1, 1, 0, 0])
    np.savez(tmp_path / "bert" / "2.npz", feat=np.ones((4, 3)), mask=[1, 1, 0])
    report = import_features(tmp_path / "bert", tmp_path / "f")
    assert report.problems == ["2.npz: has a mask of 3 for 4 tokens"]
    assert find_store(tmp_path / "f", "captions").row("values", 0).shape == (2, 3)


class Full(io.BytesIO):
    """A file on a disk that is full: what was not written yet makes closing it fail, too."""

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        self.write(b"")


@pytest.mark.parametrize(
    ("kind", "name"), [("tsv", "out.part"), ("scan", "all_ims.npy.part"), ("npz", "sizes.csv.part")]
)
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    import_features(foreign.write_butd(tmp_path / "a.tsv", some_images(3, regions=2)), tmp_path / "f")
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *args, **more: Full() if self.name == name else opened(self, *args, **more)
    )
    if kind == "npz":
        monkeypatch.setattr(Full, "__exit__", lambda *_: None)
        monkeypatch.setattr(
            csv, "writer", lambda file, **_: type("W", (), {"writerow": staticmethod(file.write)})
        )
    with pytest.raises(DiskError, match="the disk is full; free some space and run the command again"):
        export_features(tmp_path / "f", tmp_path / "out", format=kind)


def test_hdf5_takes_its_space_before_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    import_features(foreign.write_butd(tmp_path / "a.tsv", some_images(3)), tmp_path / "f")

    def full(_: int, start: int, size: int) -> None:
        assert start == 0
        assert size > 3 * 6 * 2
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DiskError, match="out.h5: the disk is full"):
        export_features(tmp_path / "f", tmp_path / "out.h5", format="hdf5")
    monkeypatch.undo()
    assert export_features(tmp_path / "f", tmp_path / "out.h5", format="hdf5").done == 3


@pytest.mark.parametrize(
    ("width", "right", "kept"),
    [(1000, 1010, True), (1000, 1011, False), (100, 102, True), (100, 103, False)],
)
def test_a_box_may_reach_out_by_a_hundredth_or_two_pixels_and_ends_at_the_edge(
    tmp_path: Path, width: int, right: int, kept: bool
) -> None:
    images = some_images(2)
    images[1].width = images[1].height = width
    images[1].boxes = np.float32([[0, 0, right, width]] * len(images[1].values))
    report = import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "f")
    assert counts(report) == ((2, 0, 0, 0) if kept else (1, 0, 0, 1))
    if kept:
        boxes = find_store(tmp_path / "f", "images").row("original.boxes", 1)
        assert boxes.tolist() == [[0, 0, 1, 1]] * len(boxes)


def test_parts_are_written_before_they_are_heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sterna.features import _import

    monkeypatch.setattr(_import, "_PART_BYTES", 1)
    import_features(foreign.write_butd(tmp_path / "a.tsv", some_images(3)), tmp_path / "f")
    assert len(list((tmp_path / "f" / "images" / "parts").iterdir())) == 3


def test_boxes_of_whole_pixels_are_exported_as_whole_pixels(tmp_path: Path) -> None:
    image = some_images(1)[0]
    image.width, image.height = 640, 480
    image.boxes = np.float32([[x, 2 * x, 640 - x, 480 - x] for x in range(len(image.values))])
    import_features(foreign.write_butd(tmp_path / "a.tsv", [image]), tmp_path / "f")
    export_features(tmp_path / "f", tmp_path / "npz", format="npz")
    assert np.array_equal(np.load(tmp_path / "npz" / "features_box" / "100.npy"), image.boxes)


def test_sources_that_differ_at_their_end_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sterna.features import _imported

    monkeypatch.setattr(_imported, "_BLOCK", 50)
    images = some_images(3)
    import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "f")
    images[-1].values = images[-1].values[:, ::-1]
    import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "g")
    one, two = (find_store(tmp_path / name, "images").meta["fingerprint"] for name in "fg")
    assert one != two


@pytest.mark.parametrize("largest", [1.0, 1.005])
def test_boxes_up_to_about_one_are_relative_where_hdf5_does_not_say(tmp_path: Path, largest: float) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = np.ones((1, 1, 3), np.float32)
        file["boxes"], file["sizes"] = np.float32([[[0, 0.5, largest, 1]]]), [[640, 480]]
    import_features(tmp_path / "a.h5", tmp_path / "f")
    assert find_store(tmp_path / "f", "images").row("original.boxes", 0).tolist() == [[0, 0.5, 1, 1]]
