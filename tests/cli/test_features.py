"""`sterna features`: other people's features in, out, and shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from sterna.features import FeatureStore
from tests.cli.conftest import Sterna
from tests.conftest import draw_photo
from tests.features import foreign
from tests.features.foreign import some_images


def timeless(text: str) -> str:
    """What was printed, whatever time it took."""
    return re.sub(r"in \d+ s;", "in N s;", text)


def test_features_are_imported_shown_and_exported(sterna: Sterna, tmp_path: Path) -> None:
    images = some_images(5)
    foreign.write_butd(tmp_path / "a.tsv", images)
    outcome = sterna("features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f", "--dtype", "float32")
    assert outcome.code == 0, outcome.err
    assert timeless(outcome.out) == "5 images imported from tsv in N s; 0 were there already\n"
    again = sterna(
        "features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f", "--dtype", "float32", "--json"
    )
    assert {key: again.json[key] for key in ("schema", "format", "kind", "done", "skipped", "failed", "problems")} == {
        "schema": 1, "format": "tsv", "kind": "images", "done": 0, "skipped": 5, "failed": 0, "problems": [],
    }  # fmt: skip
    shown = sterna("features", "show", tmp_path / "f", "--verify")
    assert shown.code == 0, shown.err
    assert "5 images, imported; " in shown.out
    assert "; verified\n" in shown.out
    assert "imported: a.tsv (tsv)" in shown.out
    for dest, layout in (("b.tsv", "tsv"), ("npz", "npz")):
        outcome = sterna("features", "export", tmp_path / "f", "--out", tmp_path / dest, "--format", layout)
        assert timeless(outcome.out) == f"5 images exported as {layout} in N s; 0 were there already\n", (
            outcome.err
        )
    outcome = sterna("features", "import", tmp_path / "b.tsv", "--out", tmp_path / "g", "--format", "tsv")
    assert outcome.code == 0, outcome.err


def test_show_tells_of_columns_counts_and_sizes(sterna: Sterna, tmp_path: Path) -> None:
    images = some_images(5)
    foreign.write_lxmert(tmp_path / "a.tsv", images)
    sterna("features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f")
    foreign.write_bert(
        tmp_path / "bert", {"x": np.ones((4, 3), np.float32), "y": np.ones((2, 3), np.float32)}
    )
    sterna("features", "import", tmp_path / "bert", "--out", tmp_path / "f")
    answer = sterna("features", "show", tmp_path / "f", "--format", "json").json
    assert answer["schema"] == 1
    of_images, of_captions = answer["stores"]
    assert (of_images["items"], of_images["parts"], of_images["verified"]) == (5, 1, None)
    columns = {column["name"]: column for column in of_images["columns"]}
    lengths = [len(image.values) for image in images]
    assert columns["original"] == {
        "name": "original", "holds": "float16[R, 6]", "items": 5, "rows": sum(lengths), "least": min(lengths),
        "most": max(lengths),
    }  # fmt: skip
    files = [file for file in (tmp_path / "f/images/parts").rglob("*") if file.is_file()]
    assert of_images["bytes"] == sum(file.stat().st_size for file in files)
    assert (of_images["meta"]["backbone"], of_captions["meta"]["kind"]) == ("imported", "captions")
    assert [column["name"] for column in of_captions["columns"]] == ["values"]
    alone = sterna("features", "show", tmp_path / "f" / "captions")
    assert alone.out.splitlines()[1].startswith("2 captions, imported; ")
    assert alone.out.splitlines()[-1].split() == ["values", "float16[R,", "3]", "2", "6", "2-4"]


def test_show_finds_damage_and_names_what_is_no_store(sterna: Sterna, tmp_path: Path) -> None:
    foreign.write_butd(tmp_path / "a.tsv", some_images(3))
    sterna("features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f")
    (file,) = (tmp_path / "f/images/parts").glob("*/original.npy")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert sterna("features", "show", tmp_path / "f").code == 0
    outcome = sterna("features", "show", tmp_path / "f", "--verify")
    assert (outcome.code, outcome.out) == (1, "")
    assert "original.npy: does not hold what was written; remove the folder" in outcome.err
    (tmp_path / "empty").mkdir()
    outcome = sterna("features", "show", tmp_path / "empty")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "is no feature store (no manifest.json in it, nor in images or captions)" in outcome.err


def test_an_empty_store_is_shown(sterna: Sterna, tmp_path: Path) -> None:
    from sterna.features import ColumnSpec

    FeatureStore.create(tmp_path / "s", {"values": ColumnSpec("int32")})
    outcome = sterna("features", "show", tmp_path / "s")
    assert outcome.code == 0, outcome.err
    assert "0 items, of unknown origin; 0 bytes in 0 parts" in outcome.out


def test_problems_are_named_and_the_rest_is_taken(sterna: Sterna, tmp_path: Path) -> None:
    images = some_images(3)
    foreign.write_butd(tmp_path / "a.tsv", images)
    with (tmp_path / "a.tsv").open("a") as file:
        file.write("".join(f"{number}\t10\t10\tx\t\t\n" for number in range(14)))
    outcome = sterna("features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f")
    assert outcome.code == 0
    assert timeless(outcome.out) == (
        "3 images imported from tsv in N s; 0 were there already; 14 could not be used\n"
    )
    lines = outcome.err.splitlines()
    assert lines == [
        "sterna: a.tsv:4: num_boxes is 'x'; a whole number above 0 is needed (and 13 more like it)"
    ]


def test_the_data_gives_ids_without_its_photographs(sterna: Sterna, tmp_path: Path) -> None:
    names = [(number, 9 + 11 * number, f"COCO_val2014_{9 + 11 * number:012}.jpg") for number in range(4)]
    foreign.write_karpathy(tmp_path / "dataset_coco.json", names)
    images = some_images(6)
    for image, name in zip(images, ["9", "20", "31", "42", "7", "8"], strict=True):
        image.name = name
    foreign.write_butd(tmp_path / "a.tsv", images)
    data = tmp_path / "dataset_coco.json"
    outcome = sterna("features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f", "--data", data)
    assert outcome.out.endswith("; 2 are not in the data\n"), outcome.err
    assert outcome.err == "sterna: not in the data: 7, 8\n"
    assert FeatureStore.open(tmp_path / "f" / "images").ids == ("0", "1", "2", "3")


def test_scans_splits_are_exported_with_the_captions_that_came_with_them(
    sterna: Sterna, tmp_path: Path
) -> None:
    images = some_images(4, regions=2)
    foreign.write_scan(tmp_path / "a", "train", images[:2])
    foreign.write_scan(tmp_path / "a", "dev", images[2:])
    sterna("features", "import", tmp_path / "a", "--out", tmp_path / "f", "--dtype", "float32")
    outcome = sterna("features", "export", tmp_path / "f", "--out", tmp_path / "b", "--format", "scan")
    assert outcome.code == 0, outcome.err
    for name in ("train_ims.npy", "dev_ims.npy"):
        assert np.array_equal(np.load(tmp_path / "a" / name), np.load(tmp_path / "b" / name))
    for name in ("train_caps.txt", "dev_caps.txt", "train_ids.txt", "dev_ids.txt"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "b" / name).read_text()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("import", "gone.tsv", "--out", "f"), 1, "gone.tsv: no such file or folder"),
        (("import", "a.tsv", "--out", "f", "--format", "lmdb"), 2, "format='lmdb' is not known; known: bert,"),
        (("import", "a.tsv", "--out", ""), 2, "an empty path"),
        (("import", "a.pkl", "--out", "f"), 1, "holds pickled objects, which can run anything"),
        (("import", "a.tsv", "--out", "f", "--ids", "gone.json"), 1, "gone.json: no such file"),
        (("import", "a.tsv", "--out", "f", "--sizes", "gone.csv"), 1, "gone.csv: no such file"),
        (("export", "f", "--out", "x", "--format", "tsv"), 1, "is no feature store"),
        (("export", "f", "--out", "x", "--format", "xls"), 2, "format='xls' is not known"),
        (("show", "photo.jpg"), 2, "say where its regions are, with --features STORE or --backbone NAME"),
        (("show", "photo.jpg", "--features", "f"), 2, "name the picture to write with --out FILE.png"),
        (("show", "photo.jpg", "--features", "f", "--backbone", "x", "--out", "y"), 2, "say where its regions"),
        (("show", "gone"), 2, "gone: no such photograph and no such store"),
        (("show", "photo.jpg", "--features", "f", "--out", "y.png"), 1, "is no feature store"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(
    sterna: Sterna, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    foreign.write_butd(tmp_path / "a.tsv", some_images(2))
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04.")
    draw_photo(0).save(tmp_path / "photo.jpg")
    outcome = sterna("features", *args)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert outcome.err.count("\n") <= 4  # wrong usage comes with the usage


def marked(tmp_path: Path, *, name: str = "dog") -> Path:
    """A black photograph, and features of which one region is its right lower quarter."""
    Picture.new("RGB", (200, 100)).save(tmp_path / "dog.jpg")
    (image,) = some_images(1, regions=2)
    image.name, image.width, image.height = name, 200, 100
    image.boxes = np.array([[100, 50, 200, 100], [0, 0, 40, 20]], np.float32)
    foreign.write_lxmert(tmp_path / "a.tsv", [image])
    return tmp_path / "dog.jpg"


@pytest.mark.parametrize("name", ["dog", "dog.jpg", "trip/dog.png"])
def test_a_photographs_regions_are_drawn_where_they_are(sterna: Sterna, tmp_path: Path, name: str) -> None:
    photo = marked(tmp_path, name=name)
    sterna("features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f")
    out = tmp_path / "dog.png"
    outcome = sterna("features", "show", photo, "--features", tmp_path / "f", "--out", out, "-k", "1")
    assert outcome.out == f"{out}: 1 of 2 regions of dog.jpg\n", outcome.err
    with Picture.open(out) as picture:
        assert picture.size == (1400, 700)
        lit = np.argwhere(np.asarray(picture.convert("L")) > 40)
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0)
    assert np.abs(np.array([left, top, right, bottom]) - [700, 350, 1399, 699]).max() <= 2
    facts = sterna(
        "features", "show", photo, "--features", tmp_path / "f" / "images", "--out", out, "--format", "json"
    )
    assert facts.json == {"schema": 1, "photo": str(photo), "out": str(out), "regions": 2, "drawn": 2}


def test_a_photograph_that_the_store_does_not_know_is_named(sterna: Sterna, tmp_path: Path) -> None:
    photo = marked(tmp_path, name="cat")
    sterna("features", "import", tmp_path / "a.tsv", "--out", tmp_path / "f")
    show = ("features", "show", photo, "--features", tmp_path / "f", "--out", tmp_path / "x.png")
    outcome = sterna(*show)
    assert "no item is called like dog.jpg; say its id with --id, such as 'cat'" in outcome.err
    assert sterna(*show, "--id", "cat").code == 0
    images = some_images(2)
    images[0].name, images[1].name = "a/dog.jpg", "b/dog.jpg"
    foreign.write_butd(tmp_path / "b.tsv", images)
    sterna("features", "import", tmp_path / "b.tsv", "--out", tmp_path / "g")
    outcome = sterna("features", "show", photo, "--features", tmp_path / "g", "--out", tmp_path / "x.png")
    assert "2 of its items could be dog.jpg ('a/dog.jpg', 'b/dog.jpg'); say which with --id" in outcome.err


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("squeeze", (0, 0, 700, 350)),
        ("crop", (350, 0, 700, 350)),  # the middle square is 700 pixels wide, and begins at 350
        ("letterbox", (0, 0, 700, 350)),  # a bar of 350 above; the box's upper half lies in it
    ],
)
def test_boxes_of_a_square_are_drawn_where_they_lie_on_the_photograph(
    sterna: Sterna, tmp_path: Path, fit: str, expected: tuple[int, int, int, int]
) -> None:
    from sterna.features import ColumnSpec

    photo = marked(tmp_path)
    columns = {"original": ColumnSpec("float32", 1), "original.boxes": ColumnSpec("float32", 4)}
    store = FeatureStore.create(tmp_path / "s", columns, meta={"kind": "images", "fit": fit})
    box = np.array([[0, 0, 0.5, 0.5]], np.float32)
    store.append(["dog.jpg"], {"original": [np.ones((1, 1))], "original.boxes": [box]})
    sterna("features", "show", photo, "--features", tmp_path / "s", "--out", tmp_path / "x.png")
    with Picture.open(tmp_path / "x.png") as picture:
        lit = np.argwhere(np.asarray(picture.convert("L")) > 40)
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0)
    assert np.abs(np.array([left, top, right, bottom]) - expected).max() <= 2


@pytest.mark.long
def test_a_backbones_own_cells_are_drawn(sterna: Sterna, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    photo, out = photos / "photo-00.jpg", tmp_path / "x.png"
    outcome = sterna("features", "show", photo, "--backbone", "efficientnet-lite0", "--out", out)
    assert outcome.out == f"{out}: 36 of 36 regions of photo-00.jpg\n", outcome.err
