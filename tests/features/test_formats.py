"""Features of others: what the formats' own scripts write comes into a store, value by value."""

from __future__ import annotations

import base64
import csv
import pickle
from pathlib import Path

import numpy as np
import pytest

from sterna.errors import DataError, StoreError, UsageError
from sterna.features import FORMATS, FeatureStore, ImportReport, import_features
from tests.features import foreign
from tests.features.foreign import Image, some_images


def held(store: FeatureStore, column: str, identity: str) -> np.ndarray:
    return np.asarray(store.row(column, store.index_of(identity)))


def images_of(out: Path) -> FeatureStore:
    store = FeatureStore.open(out / "images")
    store.verify()
    return store


def holds(out: Path, images: list[Image], *, dtype: type = np.float32, boxes: bool = True) -> None:
    """The store at `out` has these images and no others, each with what its source says."""
    store = images_of(out)
    assert sorted(store.ids) == sorted(image.name for image in images)
    for image in images:
        assert np.array_equal(held(store, "original", image.name), image.values.astype(dtype))
        expected = image.relative if boxes else np.tile(np.float32([0, 0, 1, 1]), (len(image.values), 1))
        assert np.array_equal(held(store, "original.boxes", image.name), expected)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.done, report.skipped, report.unmatched, report.failed


def test_the_formats_are_listed() -> None:
    assert list(FORMATS) == ["tsv", "scan", "npz", "bert", "hdf5"]
    assert all(kind.looks and kind.write is not None for kind in FORMATS.values())


@pytest.mark.parametrize(
    "write",
    [
        foreign.write_butd,
        lambda path, images: foreign.write_butd(path, images, header=True),
        foreign.write_butd_python3,
        foreign.write_lxmert,
        lambda path, images: foreign.write_lxmert(path, images, header=True),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_bottom_up_rows_are_read_whoever_wrote_them(tmp_path: Path, write, dtype: str) -> None:
    images = some_images(9)
    report = import_features(write(tmp_path / "a.tsv", images), tmp_path / "f", dtype=dtype)
    assert (report.format, report.kind, *counts(report)) == ("tsv", "images", 9, 0, 0, 0)
    holds(tmp_path / "f", images, dtype=np.dtype(dtype).type)
    store = images_of(tmp_path / "f")
    for image in images:
        assert held(store, "sizes", image.name).tolist() == [[image.width, image.height]]


def test_a_store_of_imported_features_says_where_they_are_from(tmp_path: Path) -> None:
    source = foreign.write_butd(tmp_path / "a.tsv", some_images(3))
    import_features(source, tmp_path / "f")
    meta = images_of(tmp_path / "f").meta
    assert {key: meta[key] for key in ("kind", "backbone", "dim", "sources", "dtype")} == {
        "kind": "images", "backbone": "imported", "dim": 6, "sources": [6], "dtype": "float16",
    }  # fmt: skip
    assert (meta["size"], meta["fit"], meta["regions"]) == (None, None, None)
    assert [(one["format"], one["source"]) for one in meta["imported"]] == [("tsv", "a.tsv")]
    (tmp_path / "copy").mkdir()
    copied = tmp_path / "copy" / "a.tsv"
    copied.write_bytes(source.read_bytes())
    import_features(copied, tmp_path / "g")
    assert images_of(tmp_path / "g").meta["fingerprint"] == meta["fingerprint"]  # wherever the source lies
    import_features(foreign.write_butd(copied, some_images(3, seed=1)), tmp_path / "h")
    assert images_of(tmp_path / "h").meta["fingerprint"] != meta["fingerprint"]


def test_extra_columns_are_left_alone_and_columns_may_come_in_any_order(tmp_path: Path) -> None:
    images = some_images(3)
    with (tmp_path / "a.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ("cls", *reversed(foreign.BUTD), "more"), delimiter="\t")
        writer.writeheader()
        for image in images:
            writer.writerow(foreign.butd_row(image) | {"cls": "x\ty", "more": '"quoted"'})
    import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)
    with (tmp_path / "b.tsv").open("w", newline="") as file:
        for image in images:
            csv.writer(file, delimiter="\t").writerow([*foreign.butd_row(image).values(), "more", "and more"])
    import_features(tmp_path / "b.tsv", tmp_path / "g", dtype="float32")
    holds(tmp_path / "g", images)


def test_text_that_old_python_broke_into_lines_is_read(tmp_path: Path) -> None:
    images = some_images(3, dim=40)
    with (tmp_path / "a.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        for image in images:
            broken = [base64.encodebytes(one.tobytes()).decode() for one in (image.boxes, image.values)]
            assert all("\n" in one for one in broken)
            writer.writerow([image.name, image.width, image.height, len(image.boxes), *broken])
    import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)


def test_boxes_of_float64_are_read(tmp_path: Path) -> None:
    images = some_images(3)
    with (tmp_path / "a.tsv").open("w") as file:
        for image in images:
            row = foreign.butd_row(image) | {"boxes": foreign.text_of(image.boxes.astype(np.float64))}
            file.write("\t".join(map(str, row.values())) + "\n")
    import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)


def test_several_files_of_a_folder_are_one_source(tmp_path: Path) -> None:
    images = some_images(6)
    folder = tmp_path / "trainval"
    folder.mkdir()
    foreign.write_butd(folder / "karpathy_train.tsv.0", images[:2])
    foreign.write_butd(folder / "karpathy_train.tsv.1", images[2:4])
    foreign.write_butd(folder / "karpathy_val.tsv", images[4:])
    (folder / "README.txt").write_text("not features")
    assert counts(import_features(folder, tmp_path / "f", dtype="float32")) == (6, 0, 0, 0)
    holds(tmp_path / "f", images)


def test_classes_and_scores_of_a_detector_are_kept(tmp_path: Path) -> None:
    images = some_images(4)
    import_features(foreign.write_lxmert(tmp_path / "a.tsv", images), tmp_path / "f")
    store = images_of(tmp_path / "f")
    for image in images:
        count = len(image.boxes)
        scores = held(store, "original.scores", image.name)
        assert (scores.dtype, held(store, "original.classes", image.name).dtype) == (np.float32, np.int32)
        assert np.array_equal(scores, np.linspace(1, 0.5, count, dtype=np.float32))
        assert held(store, "original.classes", image.name).tolist() == list(range(count))


BAD_ROWS = [
    ("cut off", lambda row: "\t".join(row)[:-30], "do not divide among|is not base64|holds .* bytes"),
    ("no features", lambda row: "\t".join(row[:4]), "has 4 cells where 6 are needed; the file may be cut off"),
    ("bad text", lambda row: "\t".join([*row[:5], "%%%%"]), "features is not base64"),
    ("no width", lambda row: "\t".join([row[0], "0", *row[2:]]), "image_w is '0'; a whole number above 0"),
    ("no number", lambda row: "\t".join([*row[:3], "x", *row[4:]]), "num_boxes is 'x'; a whole number"),
    ("no name", lambda row: "\t".join(["", *row[1:]]), "names no image_id"),
    ("other count", lambda row: "\t".join([*row[:3], "7", *row[4:]]), "do not divide among 7 boxes"),
    ("small", lambda row: "\t".join([row[0], "3", "3", *row[3:]]), "has a box that reaches to .* of a photograph of 3 x 3"),
    ("corners", lambda row: "\t".join([*row[:4], foreign.text_of(np.tile(np.float32([5, 5, 1, 1]), (3, 1))), row[5]]), r"far corner comes first, \[.*\] of x1 y1 x2 y2; are they x y w h\?"),
    ("too wide", lambda row: "\t".join([*row[:5], foreign.text_of(np.ones((3, 8), np.float32))]), "has 8 values a row where the others have 6"),
    ("not a number", lambda row: "\t".join([*row[:5], foreign.text_of(np.full((3, 6), np.nan, np.float32))]), "no finite numbers"),
    ("too large", lambda row: "\t".join([*row[:5], foreign.text_of(np.full((3, 6), 1e6, np.float32))]), "too large for float16; keep it as float32"),
    ("quotes", lambda row: '"' + "\t".join(row), "is no row"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "spoil", "message"), BAD_ROWS, ids=[one[0] for one in BAD_ROWS])
def test_a_bad_row_is_named_by_its_line_and_spoils_no_other(
    tmp_path: Path, what: str, spoil, message: str
) -> None:
    images = some_images(5, regions=3)
    rows = [[str(cell) for cell in foreign.butd_row(image).values()] for image in images]
    lines = ["\t".join(row) for row in rows]
    lines[2] = spoil(rows[2])
    (tmp_path / "a.tsv").write_text("\n".join(lines) + "\n")
    report = import_features(tmp_path / "a.tsv", tmp_path / "f")
    bad = 3 if what == "quotes" else 1  # a quote that is not closed takes the rest of the file with it
    assert counts(report) == (5 - bad, 0, 0, 1)
    assert len(report.problems) == 1
    (problem,) = report.problems
    assert problem.startswith("a.tsv:3: ")
    import re

    assert re.search(message, problem), problem
    holds(tmp_path / "f", [*images[:2], *images[3 if bad == 1 else 5 :]], dtype=np.float16)


def test_an_item_that_comes_twice_is_kept_once_and_named_where_it_differs(tmp_path: Path) -> None:
    images = some_images(4)
    other = some_images(1, seed=9)[0]
    other.name = images[1].name
    foreign.write_butd(tmp_path / "a.tsv", [*images, images[0], other])
    report = import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    assert counts(report) == (4, 1, 0, 1)
    assert report.problems == ["a.tsv:6: '101' came before, in a.tsv:2, with other values"]
    holds(tmp_path / "f", images)
    again = import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    assert counts(again) == (0, 5, 0, 1)


def test_more_sources_of_the_same_kind_are_added_and_others_refused(tmp_path: Path) -> None:
    images = some_images(6)
    foreign.write_butd(tmp_path / "a.tsv", images[:3])
    foreign.write_butd(tmp_path / "b.tsv", images[3:])
    import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    first = images_of(tmp_path / "f").meta["fingerprint"]
    import_features(tmp_path / "b.tsv", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)
    meta = images_of(tmp_path / "f").meta
    assert [one["source"] for one in meta["imported"]] == ["a.tsv", "b.tsv"]
    assert meta["fingerprint"] != first
    import_features(tmp_path / "b.tsv", tmp_path / "f", dtype="float32")
    assert images_of(tmp_path / "f").meta == meta
    foreign.write_butd(tmp_path / "c.tsv", some_images(2, dim=8))
    with pytest.raises(
        StoreError, match=r"holds features of dim 6; those that came have dim 8: name another"
    ):
        import_features(tmp_path / "c.tsv", tmp_path / "f", dtype="float32")
    with pytest.raises(
        StoreError, match=r"holds features of dtype 'float32'; those that came have dtype 'float16'"
    ):
        import_features(tmp_path / "a.tsv", tmp_path / "f")
    foreign.write_lxmert(tmp_path / "d.tsv", some_images(2))
    with pytest.raises(StoreError, match=r"do not both have 'original.classes'"):
        import_features(tmp_path / "d.tsv", tmp_path / "f", dtype="float32")


def test_pairs_of_folders_take_the_sizes_from_a_file(tmp_path: Path) -> None:
    images = some_images(5)
    folder = foreign.write_pairs(tmp_path / "bu", images)
    sizes = foreign.write_sizes(tmp_path / "sizes.csv", images)
    for source, out in ((folder, "f"), (folder / "cocobu_att", "g")):
        report = import_features(source, tmp_path / out, sizes=sizes, dtype="float32")
        assert (report.format, *counts(report)) == ("npz", 5, 0, 0, 0)
        holds(tmp_path / out, images)


@pytest.mark.parametrize("layout", ["rows", "objects", "coco"])
def test_sizes_may_lie_in_json(tmp_path: Path, layout: str) -> None:
    import json

    images = some_images(3)
    folder = foreign.write_pairs(tmp_path / "bu", images)
    listed = [
        {"id": int(one.name), "file_name": f"COCO_{one.name}.jpg", "width": one.width, "height": one.height}
        for one in images
    ]
    value = {
        "rows": {one.name: [one.width, one.height] for one in images},
        "objects": {one.name: {"width": one.width, "height": one.height} for one in images},
        "coco": {"images": listed, "annotations": []},
    }[layout]
    (tmp_path / "info.json").write_text(json.dumps(value))
    import_features(folder, tmp_path / "f", sizes=tmp_path / "info.json", dtype="float32")
    holds(tmp_path / "f", images)


def test_pixel_boxes_without_sizes_are_refused_once_and_not_guessed(tmp_path: Path) -> None:
    images = some_images(3)
    folder = foreign.write_pairs(tmp_path / "bu", images)
    with pytest.raises(
        DataError, match=r"boxes are in pixels and nothing tells how large the photographs are"
    ):
        import_features(folder, tmp_path / "f")
    assert not (tmp_path / "f").exists()
    import_features(folder, tmp_path / "f", size_from_boxes=True, dtype="float32")
    store = images_of(tmp_path / "f")
    for image in images:
        corner = np.ceil(image.boxes[:, 2:].max(axis=0))
        assert held(store, "sizes", image.name).tolist() == [corner.tolist()]
        expected = (image.boxes / np.tile(corner, 2)).astype(np.float32)
        assert np.array_equal(held(store, "original.boxes", image.name), expected)


def test_one_image_without_a_size_is_one_problem(tmp_path: Path) -> None:
    images = some_images(6)
    folder = foreign.write_pairs(tmp_path / "bu", images)
    sizes = foreign.write_sizes(tmp_path / "sizes.csv", images[1:])
    report = import_features(folder, tmp_path / "f", sizes=sizes, dtype="float32")
    assert counts(report) == (5, 0, 0, 1)
    (problem,) = report.problems
    assert problem.startswith("cocobu_att/100.npz: the size of its photograph is not known")


def test_an_image_without_boxes_among_pairs_is_named(tmp_path: Path) -> None:
    images = some_images(4)
    folder = foreign.write_pairs(tmp_path / "bu", images)
    (folder / "cocobu_box" / "102.npy").unlink()
    (folder / "cocobu_box" / "103.npy").write_bytes(b"\x93NUMPY half")
    np.savez(folder / "cocobu_att" / "101", feat=images[1].values[:, :3])
    report = import_features(
        folder, tmp_path / "f", sizes=foreign.write_sizes(tmp_path / "s.csv", images), dtype="float32"
    )
    assert counts(report) == (1, 0, 0, 3)
    assert [problem.partition(": ")[0] for problem in report.problems] == [
        f"cocobu_att/{number}.npz" for number in (101, 102, 103)
    ]
    assert "its boxes cocobu_box/102.npy: no such file" in report.problems[1]
    assert "its boxes cocobu_box/103.npy: " in report.problems[2]


@pytest.mark.parametrize("write", [foreign.write_detectron, foreign.write_caffe_npz])
def test_one_file_an_image_is_read_whichever_extractor_wrote_it(tmp_path: Path, write) -> None:
    images = some_images(5)
    report = import_features(write(tmp_path / "npz", images), tmp_path / "f", dtype="float32")
    assert (report.format, *counts(report)) == ("npz", 5, 0, 0, 0)
    holds(tmp_path / "f", images)


@pytest.mark.parametrize(
    ("key", "boxes", "transposed"),
    [("x", "bbox", True), ("features", "boxes", False), ("feat", "bbox", False)],
)
def test_the_arrays_of_one_file_have_several_names(
    tmp_path: Path, key: str, boxes: str, transposed: bool
) -> None:
    images = some_images(4, dim=7)
    (tmp_path / "npz").mkdir()
    for image in images:
        values = image.values.T if transposed else image.values
        sizes = {"image_w": image.width, "image_h": image.height, "num_boxes": len(image.boxes)}
        np.savez(tmp_path / "npz" / image.name, **{key: values, boxes: image.boxes}, **sizes)
    import_features(tmp_path / "npz", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images)


def test_arrays_without_boxes_are_of_the_whole_image(tmp_path: Path) -> None:
    images = some_images(3)
    (tmp_path / "grid_att").mkdir()
    for image in images:
        np.savez(tmp_path / "grid_att" / image.name, feat=image.values)
    import_features(tmp_path / "grid_att", tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images, boxes=False)
    assert images_of(tmp_path / "f").meta["boxes"].startswith("none")
    plain = tmp_path / "npy"
    plain.mkdir()
    for image in images:
        np.save(plain / image.name, image.values)
    import_features(plain, tmp_path / "g", format="npz", dtype="float32")
    holds(tmp_path / "g", images, boxes=False)


def test_boxes_may_be_relative_where_it_is_said(tmp_path: Path) -> None:
    images = some_images(3)
    for image in images:
        image.boxes = image.relative
    folder = foreign.write_pairs(tmp_path / "bu", images)
    import_features(folder, tmp_path / "f", boxes="relative")
    store = images_of(tmp_path / "f")
    for image in images:
        assert np.array_equal(held(store, "original.boxes", image.name), image.boxes)
        assert held(store, "sizes", image.name).shape == (0, 2)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("boxes", [False, True])
def test_scans_splits_come_with_data_to_train_on(tmp_path: Path, repeated: bool, boxes: bool) -> None:
    from sterna.data import read

    train, dev = some_images(4, regions=3), some_images(2, regions=3, seed=1, first=500)
    folder = tmp_path / "f30k_precomp"
    foreign.write_scan(folder, "train", train, boxes=boxes)
    foreign.write_scan(folder, "dev", dev, repeated=repeated, boxes=boxes)
    report = import_features(folder, tmp_path / "f", dtype="float32")
    assert (report.format, *counts(report)) == ("scan", 6, 0, 0, 0)
    holds(tmp_path / "f", train + dev, boxes=boxes)
    data = read(tmp_path / "f" / "data.csv", photographs=False)
    assert data.problems == ()
    assert data.image_ids == tuple(image.name for image in train + dev)
    assert data.splits == ("train",) * 4 + ("dev",) * 2
    assert data.owners.tolist() == np.repeat(np.arange(6), 5).tolist()
    assert data.captions[5] == f"train image {train[1].name}, caption 0"
    assert data.caption_ids[6] == f"{train[1].name}#1"


def test_an_id_for_each_caption_and_rows_without_ids_are_understood(tmp_path: Path) -> None:
    images = some_images(3, regions=2)
    folder = foreign.write_scan(tmp_path / "a", "test", images)
    (folder / "test_ids.txt").write_text("".join(f"{one.name}\n" for one in images for _ in range(5)))
    import_features(folder, tmp_path / "f", dtype="float32")
    holds(tmp_path / "f", images, boxes=False)
    folder = foreign.write_scan(tmp_path / "b", "test", images, repeated=True)
    (folder / "test_ids.txt").unlink()
    import_features(folder, tmp_path / "g", dtype="float32")
    assert images_of(tmp_path / "g").ids == ("test/0", "test/1", "test/2")


def test_rows_as_many_as_captions_that_differ_are_images_of_one_caption(tmp_path: Path) -> None:
    images = some_images(5, regions=2)
    folder = foreign.write_scan(tmp_path / "a", "test", images, each=1)
    (folder / "test_ids.txt").unlink()
    assert counts(import_features(folder, tmp_path / "f")) == (5, 0, 0, 0)


def test_a_split_of_a_split_is_taken_once(tmp_path: Path) -> None:
    images = some_images(4, regions=2)
    foreign.write_scan(tmp_path / "a", "test", images[:2])
    foreign.write_scan(tmp_path / "a", "testall", images)
    assert counts(import_features(tmp_path / "a", tmp_path / "f", dtype="float32")) == (4, 2, 0, 0)
    holds(tmp_path / "f", images, boxes=False)


def test_counts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    images = some_images(3, regions=2)
    folder = foreign.write_scan(tmp_path / "a", "dev", images)
    (folder / "dev_ids.txt").write_text("1\n2\n")
    with pytest.raises(DataError, match=r"dev_ids.txt: 2 ids for 3 images in dev_ims.npy"):
        import_features(folder, tmp_path / "f")
    folder = foreign.write_scan(tmp_path / "b", "dev", images)
    (folder / "dev_caps.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"dev_caps.txt: 2 captions for 3 images"):
        import_features(folder, tmp_path / "g")
    np.save(folder / "dev_boxes.npy", np.zeros((2, 2, 4)))
    with pytest.raises(DataError, match=r"dev_boxes.npy: boxes of 2 images where dev_ims.npy has 3"):
        import_features(folder, tmp_path / "g")


def test_an_array_that_is_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    images = some_images(4, regions=3)
    folder = foreign.write_scan(tmp_path / "a", "dev", images)
    data = (folder / "dev_ims.npy").read_bytes()
    (folder / "dev_ims.npy").write_bytes(data[:-10])
    report = import_features(folder, tmp_path / "f", dtype="float32")
    assert counts(report) == (3, 0, 0, 1)
    assert report.problems == ["dev_ims.npy[3]: the file ends before this row (3 of 4 rows are whole)"]


def test_features_of_captions_go_to_the_store_of_captions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    captions = {str(number): rng.normal(size=(number + 1, 5)).astype(np.float32) for number in range(4)}
    report = import_features(foreign.write_bert(tmp_path / "bert", captions), tmp_path / "f", dtype="float32")
    assert (report.format, report.kind, *counts(report)) == ("bert", "captions", 4, 0, 0, 0)
    store = FeatureStore.open(tmp_path / "f" / "captions")
    assert store.ids == tuple(captions)
    assert all(np.array_equal(held(store, "values", name), values) for name, values in captions.items())
    meta = store.meta
    assert (meta["kind"], meta["backbone"], meta["dim"], meta["max_tokens"]) == (
        "captions",
        "imported",
        5,
        None,
    )


def test_padding_that_a_mask_marks_is_left_out_and_tokens_are_kept(tmp_path: Path) -> None:
    values = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
    (tmp_path / "t").mkdir()
    np.savez(tmp_path / "t" / "7", feat=values, input_ids=[[3, 1, 4, 0]], attention_mask=[[1, 1, 1, 0]])
    import_features(tmp_path / "t", tmp_path / "f", format="bert", dtype="float32")
    store = FeatureStore.open(tmp_path / "f" / "captions")
    assert np.array_equal(store.row("values", 0), values[0, :3])
    assert store.row("tokens", 0).tolist() == [3, 1, 4]


@pytest.mark.parametrize(
    "name", ["features.pkl", "train36_imgid2idx.pickle", "model.pth", "shelf.db", "data.lmdb", "plain"]
)
def test_pickles_are_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"a": np.zeros(3)}))
    with pytest.raises(DataError, match=r"holds pickled objects.*save plain arrays \(numpy.savez"):
        import_features(path, tmp_path / "f")
    folder = tmp_path / "lmdb"
    folder.mkdir()
    (folder / "data.mdb").write_bytes(b"")
    with pytest.raises(DataError, match="holds pickled objects"):
        import_features(folder, tmp_path / "f")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/sterna-was-run"),))


def test_objects_in_arrays_are_never_loaded(tmp_path: Path) -> None:
    images = some_images(3)
    folder = foreign.write_detectron(tmp_path / "npz", images)
    np.savez(folder / "999", x=np.array([Bomb()], dtype=object), bbox=images[0].boxes, image_w=1, image_h=1)
    report = import_features(folder, tmp_path / "f", dtype="float32")
    assert counts(report) == (3, 0, 0, 1)
    assert "999.npz: holds pickled objects, which can run anything" in report.problems[0]
    np.save(tmp_path / "dev_ims.npy", np.array([Bomb()], dtype=object))
    with pytest.raises(DataError, match="dev_ims.npy: holds pickled objects"):
        import_features(tmp_path / "dev_ims.npy", tmp_path / "g")
    assert not Path("/tmp/sterna-was-run").exists()


def test_what_is_in_no_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"a.txt: is in no format that is known \(tsv: .*; scan: .*; hdf5: "):
        import_features(tmp_path / "a.txt", tmp_path / "f")
    with pytest.raises(UsageError, match="format='lmdb' is not known; known: bert, hdf5, npz, scan, tsv"):
        import_features(tmp_path / "a.txt", tmp_path / "f", format="lmdb")
    with pytest.raises(DataError, match="no such file or folder"):
        import_features(tmp_path / "b.txt", tmp_path / "f")
    with pytest.raises(UsageError, match="dtype='int8': features are kept as float16 or float32"):
        import_features(tmp_path / "a.txt", tmp_path / "f", dtype="int8")


@pytest.mark.parametrize("name", list(FORMATS))
def test_nothing_usable_is_one_sentence_in_every_format(tmp_path: Path, name: str) -> None:
    from sterna.errors import SternaError

    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"1\t2\t3\n")
    for source in ("empty", "file"):
        with pytest.raises(SternaError, match=str(tmp_path)) as caught:
            import_features(tmp_path / source, tmp_path / "f", format=name)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "f").exists()


def test_an_import_of_nothing_leaves_no_store_that_stands_in_the_way_of_the_next(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "a.npz", feat=np.full((2, 3), 1e30, np.float32))
    with pytest.raises(DataError, match="no item could be used: .*keep it as float32"):
        import_features(tmp_path / "in", tmp_path / "out", format="npz")
    assert not (tmp_path / "out" / "images").exists()
    again = import_features(tmp_path / "in", tmp_path / "out", format="npz", dtype="float32")
    assert again.done == 1
