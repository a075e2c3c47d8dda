"""Names of a source become the data's ids: by id, file name or number, whichever the source means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from sterna.data import CaptionedImages, read
from sterna.errors import DataError, UsageError
from sterna.features import FeatureStore, find_store, import_features
from tests.features import foreign
from tests.features.foreign import Image, some_images


def named(images: list[Image], names: list[str]) -> list[Image]:
    for image, name in zip(images, names, strict=True):
        image.name = name
    return images


def karpathy(tmp_path: Path, *, count: int = 6) -> tuple[CaptionedImages, list[tuple[int, int, str]]]:
    """COCO as Karpathy split it: running numbers, COCO's numbers, and file names with the latter."""
    names = [(number, 9 + 11 * number, f"COCO_val2014_{9 + 11 * number:012}.jpg") for number in range(count)]
    path = foreign.write_karpathy(tmp_path / "dataset_coco.json", names)
    return read(path, photographs=False), names


@pytest.mark.parametrize(
    "of", [lambda one: str(one[1]), lambda one: one[2], lambda one: one[2][:-4], lambda one: f"{one[1]:012}"],
    ids=["cocoid", "file name", "stem", "padded"],
)  # fmt: skip
def test_names_are_found_in_the_data_whichever_they_are(tmp_path: Path, of) -> None:
    data, names = karpathy(tmp_path)
    images = named(some_images(6), [of(one) for one in names])
    foreign.write_butd(tmp_path / "a.tsv", images)
    report = import_features(tmp_path / "a.tsv", tmp_path / "f", data=data, dtype="float32")
    assert (report.done, report.unmatched) == (6, 0)
    store = find_store(tmp_path / "f", "images")
    assert store.ids == data.image_ids == tuple("012345")
    for place, image in enumerate(images):
        assert np.array_equal(store.row("original", place), image.values)


def test_running_numbers_are_taken_for_ids_where_all_of_them_are(tmp_path: Path) -> None:
    data, _ = karpathy(tmp_path)
    foreign.write_butd(tmp_path / "a.tsv", named(some_images(6), list("012345")))
    import_features(tmp_path / "a.tsv", tmp_path / "f", data=data)
    assert find_store(tmp_path / "f", "images").ids == tuple("012345")


def test_names_that_could_be_two_things_have_to_be_said(tmp_path: Path) -> None:
    names = [
        (9 + 11 * number, 9 + 11 * (5 - number), f"x_{9 + 11 * (5 - number):012}.jpg") for number in range(6)
    ]
    data = read(foreign.write_karpathy(tmp_path / "dataset_x.json", names), photographs=False)
    images = named(some_images(6), [str(9 + 11 * number) for number in range(6)])
    foreign.write_butd(tmp_path / "a.tsv", images)
    with pytest.raises(
        UsageError, match="its names can be taken for id or number of the data; say which with"
    ):
        import_features(tmp_path / "a.tsv", tmp_path / "f", data=data)
    assert not (tmp_path / "f").exists()
    for by, expected in (("id", images[0]), ("number", images[5])):
        import_features(tmp_path / "a.tsv", tmp_path / by, data=data, names=by, dtype="float32")
        store = find_store(tmp_path / by, "images")
        assert np.array_equal(store.row("original", store.index_of("9")), expected.values)
    with pytest.raises(UsageError, match="names='row': names of images are one of id, file, stem, number"):
        import_features(tmp_path / "a.tsv", tmp_path / "f", data=data, names="row")
    with pytest.raises(
        UsageError, match="names='id': says how the data calls its images, and no data is given"
    ):
        import_features(tmp_path / "a.tsv", tmp_path / "f", names="id")


def test_what_the_data_has_not_is_counted_and_left_out(tmp_path: Path) -> None:
    data, names = karpathy(tmp_path)
    images = named(some_images(9), [str(one[1]) for one in names] + ["1", "2", "3"])
    foreign.write_butd(tmp_path / "a.tsv", images)
    report = import_features(tmp_path / "a.tsv", tmp_path / "f", data=data)
    assert (report.done, report.unmatched, report.failed, report.unmatched_names) == (
        6,
        3,
        0,
        ["1", "2", "3"],
    )
    foreign.write_butd(tmp_path / "b.tsv", named(some_images(2), ["x", "y"]))
    with pytest.raises(
        DataError, match=r"none of its first 2 names \('x', 'y'\) is known to the data \(which has '0'"
    ):
        import_features(tmp_path / "b.tsv", tmp_path / "g", data=data)


@pytest.mark.parametrize("layout", ["json", "list", "csv", "csv with names", "tsv", "lines"])
def test_a_map_of_names_may_be_written_in_several_ways(tmp_path: Path, layout: str) -> None:
    images = named(some_images(3), ["0", "1", "2"])
    ids = ["été.jpg", "b c.jpg", "d.jpg"]
    path = tmp_path / (
        "map.json" if layout in ("json", "list") else "map.tsv" if layout == "tsv" else "map.csv"
    )
    path.write_text(
        {
            "json": json.dumps({str(place): one for place, one in enumerate(ids)}),
            "list": json.dumps(ids),
            "csv": "".join(f"{place},{one}\n" for place, one in enumerate(ids)),
            "csv with names": "index,filename\n"
            + "".join(f"{place},{one}\n" for place, one in enumerate(ids)),
            "tsv": "".join(f"{place}\t{one}\n" for place, one in enumerate(ids)),
            "lines": "".join(f"{one}\n" for one in ids),
        }[layout],
        encoding="utf-8",
    )
    foreign.write_butd(tmp_path / "a.tsv", images)
    import_features(tmp_path / "a.tsv", tmp_path / "f", ids=path)
    assert find_store(tmp_path / "f", "images").ids == tuple(ids)


@pytest.mark.parametrize("which", [0, 1])
def test_karpathys_numbers_become_file_names(tmp_path: Path, which: int) -> None:
    _, names = karpathy(tmp_path)
    images = named(some_images(6), [str(one[which]) for one in names])
    folder = foreign.write_pairs(tmp_path / "bu", images)
    sizes = foreign.write_sizes(tmp_path / "sizes.csv", images)
    import_features(folder, tmp_path / "f", ids=tmp_path / "dataset_coco.json", sizes=sizes)
    assert find_store(tmp_path / "f", "images").ids == tuple(one[2] for one in names)


def test_a_map_leads_on_to_the_data(tmp_path: Path) -> None:
    rows = "".join(f"photo-{n}.jpg,a caption,{('train', 'dev')[n % 2]}\n" for n in range(4))
    (tmp_path / "data.csv").write_text("image,caption,split\n" + rows)
    data = read(tmp_path / "data.csv", photographs=False)
    (tmp_path / "map.json").write_text(json.dumps({str(n): f"photo-{n}.jpg" for n in range(9)}))
    foreign.write_butd(tmp_path / "a.tsv", named(some_images(6), list("012345")))
    report = import_features(tmp_path / "a.tsv", tmp_path / "f", ids=tmp_path / "map.json", data=data)
    assert (report.done, report.unmatched) == (4, 2)
    assert find_store(tmp_path / "f", "images").ids == data.image_ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "map.json: not valid JSON"),
        ('{"a": [1]}', "map.json: is no map of names; an object of names and ids"),
        ('{"images": [{}]}', r"map.json: images\[0\] has no 'filename'"),
    ],
)
def test_a_map_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.json").write_text(text)
    foreign.write_butd(tmp_path / "a.tsv", some_images(2))
    with pytest.raises(DataError, match=message):
        import_features(tmp_path / "a.tsv", tmp_path / "f", ids=tmp_path / "map.json")


@pytest.mark.parametrize("by", ["id", "position", "stem"])
def test_captions_are_found_by_id_by_position_or_by_their_files_name(tmp_path: Path, by: str) -> None:
    rows = "".join(f"dir/a{n}.jpg,caption {k} of {n}\n" for n in range(2) for k in range(2))
    (tmp_path / "data.csv").write_text("image,caption\n" + rows)
    data = read(tmp_path / "data.csv", photographs=False)
    assert data.caption_ids == ("dir/a0.jpg#0", "dir/a0.jpg#1", "dir/a1.jpg#0", "dir/a1.jpg#1")
    names = {
        "id": list(data.caption_ids),
        "position": list("0123"),
        "stem": ["a0#0", "a0#1", "a1#0", "a1#1"],
    }[by]
    (tmp_path / "bert" / "dir").mkdir(parents=True)
    for place, name in enumerate(names):
        np.savez(tmp_path / "bert" / f"{name}.npz", feat=np.full((place + 1, 3), place, np.float32))
    import_features(tmp_path / "bert", tmp_path / "f", data=data)
    store = find_store(tmp_path / "f", "captions")
    assert sorted(store.ids) == sorted(data.caption_ids)
    for place, identity in enumerate(data.caption_ids):
        assert np.asarray(store.row("values", store.index_of(identity))).tolist() == [[place] * 3] * (
            place + 1
        )


def test_sentence_numbers_of_karpathys_file_are_the_datas_ids(tmp_path: Path) -> None:
    data, _ = karpathy(tmp_path)
    captions = {one: np.full((2, 3), int(one), np.float32) for one in data.caption_ids}
    foreign.write_bert(tmp_path / "bert", captions)
    import_features(tmp_path / "bert", tmp_path / "f", data=data)
    assert sorted(find_store(tmp_path / "f", "captions").ids) == sorted(data.caption_ids)
    import_features(tmp_path / "bert", tmp_path / "g", ids=tmp_path / "dataset_coco.json")
    assert "COCO_val2014_000000000020.jpg#1" in find_store(tmp_path / "g", "captions").ids


def test_photographs_of_the_data_are_measured_where_no_size_is_said(tmp_path: Path) -> None:
    images = some_images(4)
    (tmp_path / "images").mkdir()
    for image in images:
        Picture.new("RGB", (image.width, image.height)).save(tmp_path / "images" / f"{image.name}.jpg")
    rows = "".join(f"{image.name}.jpg,a caption\n" for image in images)
    (tmp_path / "data.csv").write_text("image,caption\n" + rows)
    (tmp_path / "images" / "103.jpg").write_bytes(b"no photograph")
    folder = foreign.write_pairs(tmp_path / "bu", images)
    data = read(tmp_path / "data.csv", photographs=False)
    report = import_features(folder, tmp_path / "f", data=data, dtype="float32")
    assert (report.done, report.failed) == (3, 1)
    assert "103.npz: the size of its photograph 103.jpg is not to be had: " in report.problems[0]
    store: FeatureStore = find_store(tmp_path / "f", "images")
    for image in images[:3]:
        row = store.index_of(f"{image.name}.jpg")
        assert store.row("sizes", row).tolist() == [[image.width, image.height]]
        assert np.array_equal(store.row("original.boxes", row), image.relative)


def test_a_name_is_the_same_in_either_form_of_unicode(tmp_path: Path) -> None:
    decomposed, composed = "e\u0301te\u0301.jpg", "été.jpg"
    (tmp_path / "data.csv").write_text(f"image,caption\n{decomposed},a caption\n", encoding="utf-8")
    data = read(tmp_path / "data.csv", photographs=False)
    assert data.image_ids == (composed,)
    for place, name in enumerate((decomposed, composed)):
        foreign.write_butd(tmp_path / f"{place}.tsv", named(some_images(1), [name]))
        for known in (None, data):
            out = tmp_path / f"{place}-{known is None}"
            import_features(tmp_path / f"{place}.tsv", out, data=known)
            assert find_store(out, "images").ids == (composed,)
