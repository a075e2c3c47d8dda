"""Import, export, import: every format gives back what it was given, to the bit of the stored dtype."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.data import read
from sterna.errors import DataError, StoreError, UsageError
from sterna.features import ColumnSpec, FeatureStore, export_features, find_store, import_features
from tests.features import foreign
from tests.features.foreign import some_images

pytest.importorskip("h5py")

PLACES = {"tsv": "out.tsv", "npz": "out_npz", "hdf5": "out.h5", "scan": "out_scan", "bert": "out_bert"}
IMAGES = ("tsv", "npz", "hdf5", "scan")
NAMES = (
    st.text(
        st.characters(
            codec="utf-8", exclude_characters='/\\\0\t\r\n"', exclude_categories=["Cc", "Cs", "Zl", "Zp"]
        ),
        min_size=1,
        max_size=12,
    )
    .map(lambda name: unicodedata.normalize("NFC", name))
    .filter(lambda name: name == name.strip() and not name.startswith(".") and len(name.encode()) < 100)
)


def contents(store: FeatureStore) -> dict[str, dict[str, bytes]]:
    """Everything that a store holds, by id and column, as bytes with shape and dtype."""
    return {
        identity: {
            name: b"".join((repr((row.shape, str(row.dtype))).encode(), np.asarray(row).tobytes()))
            for name in store.columns
            for row in (store.row(name, place),)
        }
        for place, identity in enumerate(store.ids)
    }


def captioned(path: Path, ids: list[str], *, each: int = 5) -> Path:
    """A table of captions of these images, some of which are for testing."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption", "image_id", "caption_id", "split"])
        for place, one in enumerate(ids):
            for number in range(each):
                caption = f"caption {number} of {place}"
                writer.writerow([one, caption, one, f"{one}#{number}", ("train", "test")[place % 2]])
    return path


FEW, MANY = (settings(deadline=None, max_examples=count) for count in (3, 60))


@given(data=st.data(), names=st.sets(NAMES, min_size=1, max_size=3))
@pytest.mark.parametrize("kind", IMAGES)
@FEW
def test_images_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject, names: set[str]
) -> None:
    there_and_back(tmp_path_factory.mktemp("trip"), kind, data, names)


@pytest.mark.long
@given(data=st.data(), names=st.sets(NAMES, min_size=1, max_size=6))
@pytest.mark.parametrize("kind", IMAGES)
@MANY
def test_many_images_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject, names: set[str]
) -> None:
    there_and_back(tmp_path_factory.mktemp("trip"), kind, data, names)


def there_and_back(folder: Path, kind: str, data: st.DataObject, names: set[str]) -> None:
    """Draw images, and hold what comes back of them against what went."""
    dtype = data.draw(st.sampled_from(["float16", "float32"]))
    dim = data.draw(st.integers(1, 4))
    regions = data.draw(st.integers(1, 4)) if kind == "scan" else None
    seed = data.draw(st.integers(0, 2**31))
    images = some_images(len(names), dim=dim, regions=regions, seed=seed)
    for image, name in zip(images, sorted(names), strict=True):
        image.name = name
        if data.draw(st.booleans()):  # boxes at the very edges
            image.boxes[0] = [0, 0, image.width, image.height]
    foreign.write_butd(folder / "a.tsv", images)
    import_features(folder / "a.tsv", folder / "one", dtype=dtype)
    one = find_store(folder / "one", "images")
    table = captioned(folder / "table.csv", list(one.ids)) if kind == "scan" else None
    known = None if table is None else read(table, photographs=False)
    export_features(folder / "one", folder / PLACES[kind], format=kind, data=known)
    report = import_features(folder / PLACES[kind], folder / "two", format=kind, dtype=dtype)
    assert (report.done, report.failed, report.unmatched) == (len(names), 0, 0), report.problems
    two = find_store(folder / "two", "images")
    assert two.columns == one.columns
    assert contents(two) == contents(one)
    if known is not None:
        again = read(folder / "two" / "data.csv", photographs=False)
        order = [again.image_ids.index(identity) for identity in known.image_ids]
        assert [again.splits[place] for place in order] == list(known.splits)
        assert sorted(again.captions) == sorted(known.captions)


@FEW
@given(
    data=st.data(),
    names=st.sets(st.lists(NAMES, min_size=1, max_size=2).map("/".join), min_size=1, max_size=5),
    tokens=st.booleans(),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_captions_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, names: set[str], tokens: bool, dtype: str
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    columns = {"values": ColumnSpec(dtype, 3)} | ({"tokens": ColumnSpec("int32")} if tokens else {})
    meta = {"kind": "captions", "backbone": "imported", "dim": 3, "dtype": dtype}
    one = FeatureStore.create(folder / "one" / "captions", columns, meta=meta)
    for name in sorted(names):
        length = int(rng.integers(1, 5))
        made = {"values": [rng.normal(size=(length, 3))], "tokens": [rng.integers(0, 99, length)]}
        one.append([name], {column: made[column] for column in columns})
    report = export_features(folder / "one", folder / "bert", format="bert")
    # a name may be another one's folder
    clashes = {name for name in names for other in names if other.startswith(f"{name}.npz/")}
    assert (report.done, report.failed) == (len(names) - len(clashes), len(clashes))
    import_features(folder / "bert", folder / "two", format="bert", dtype=dtype)
    two = FeatureStore.open(folder / "two" / "captions")
    assert two.columns == one.columns
    assert contents(two) == {name: held for name, held in contents(one).items() if name not in clashes}


@pytest.mark.parametrize("kind", IMAGES)
def test_scores_and_classes_go_along_where_the_format_has_them(tmp_path: Path, kind: str) -> None:
    images = some_images(4, regions=3)
    foreign.write_lxmert(tmp_path / "a.tsv", images)
    import_features(tmp_path / "a.tsv", tmp_path / "one", dtype="float32")
    export_features(tmp_path / "one", tmp_path / PLACES[kind], format=kind)
    import_features(tmp_path / PLACES[kind], tmp_path / "two", format=kind, dtype="float32")
    one, two = (find_store(tmp_path / name, "images") for name in ("one", "two"))
    if kind in ("hdf5", "npz"):
        assert contents(two) == contents(one)
    else:
        assert list(two.columns) == ["sizes", "original", "original.boxes"]


def test_an_export_is_what_the_formats_own_readers_read(tmp_path: Path) -> None:
    import base64

    images = some_images(5)
    import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "f", dtype="float32")
    for kind in ("tsv", "npz", "hdf5"):
        assert export_features(tmp_path / "f", tmp_path / PLACES[kind], format=kind).done == 5
    csv.field_size_limit(sys.maxsize)
    with (tmp_path / "out.tsv").open() as file:  # as read_tsv.py
        rows = list(csv.DictReader(file, delimiter="\t", fieldnames=foreign.BUTD))
    for image, row in zip(images, rows, strict=True):
        assert [row["image_id"], row["image_w"], row["image_h"]] == [
            image.name,
            str(image.width),
            str(image.height),
        ]
        for field, expected in (("boxes", image.boxes), ("features", image.values)):
            flat = np.frombuffer(base64.b64decode(row[field]), dtype=np.float32)
            array = flat.reshape(int(row["num_boxes"]), -1)
            # boxes were kept as 0..1: the last bit of a pixel's may be another, not that of 0..1 again
            assert (
                np.allclose(array, expected, rtol=1e-6, atol=0)
                if field == "boxes"
                else (array == expected).all()
            )
    for image in images:  # as TERAN's data.py
        assert np.array_equal(
            np.load(tmp_path / "out_npz" / "features_att" / f"{image.name}.npz")["feat"], image.values
        )
        boxes = np.load(tmp_path / "out_npz" / "features_box" / f"{image.name}.npy")
        assert np.array_equal(
            (boxes / np.tile([image.width, image.height], 2)).astype(np.float32), image.relative
        )


def test_scans_arrays_are_what_its_own_reader_reads(tmp_path: Path) -> None:
    images = some_images(4, regions=3)
    import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "f", dtype="float32")
    table = captioned(tmp_path / "t.csv", [image.name for image in images])
    export_features(tmp_path / "f", tmp_path / "scan", format="scan", data=read(table, photographs=False))
    for split, its in (("train", images[::2]), ("test", images[1::2])):
        captions = (tmp_path / "scan" / f"{split}_caps.txt").read_text().splitlines()
        arrays = np.load(tmp_path / "scan" / f"{split}_ims.npy")
        assert np.array_equal(arrays, np.stack([one.values for one in its]))
        division = 5 if len(arrays) != len(captions) else 1
        for index, caption in enumerate(captions):
            place = images.index(its[index // division])
            assert caption == f"caption {index % 5} of {place}"


def test_images_with_different_numbers_of_captions_repeat_their_rows(tmp_path: Path) -> None:
    images = some_images(3, regions=2)
    import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "f", dtype="float32")
    rows = [
        "image,caption\n",
        *(f"{one.name},caption {k}\n" for n, one in enumerate(images) for k in range(n + 1)),
    ]
    (tmp_path / "t.csv").write_text("".join(rows))
    data = read(tmp_path / "t.csv", photographs=False)
    export_features(tmp_path / "f", tmp_path / "scan", format="scan", data=data)
    arrays = np.load(tmp_path / "scan" / "all_ims.npy")
    assert np.array_equal(
        arrays, np.stack([one.values for n, one in enumerate(images) for _ in range(n + 1)])
    )
    import_features(tmp_path / "scan", tmp_path / "g", dtype="float32")
    assert contents(find_store(tmp_path / "g", "images")) == contents(find_store(tmp_path / "f", "images"))
    again = read(tmp_path / "g" / "data.csv", photographs=False)
    assert again.owners.tolist() == data.owners.tolist()
    assert again.captions == data.captions


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    images = some_images(4)
    images[1].name = "a/../b"
    assert len({len(image.values) for image in images}) > 1
    import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "f")
    with pytest.raises(
        DataError, match=r"need the same number of regions for every image; '100' has \d and .*"
    ):
        export_features(tmp_path / "f", tmp_path / "scan", format="scan")
    report = export_features(tmp_path / "f", tmp_path / "npz", format="npz")
    assert (report.done, report.failed) == (3, 1)
    assert report.problems == ["a/../b: the id cannot be the name of a file"]
    with pytest.raises(StoreError, match="holds features of images; those of captions are needed"):
        export_features(tmp_path / "f" / "images", tmp_path / "bert", format="bert")
    with pytest.raises(UsageError, match="format='npy' is not known; known: bert, hdf5, npz, scan, tsv"):
        export_features(tmp_path / "f", tmp_path / "x", format="npy")
    with pytest.raises(
        StoreError, match="has no images under 'flip'; it has sizes, original, original.boxes"
    ):
        export_features(tmp_path / "f", tmp_path / "x", format="tsv", view="flip")
    for name in ("x", "x.part", ".x.export.json"):
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("kind", IMAGES)
def test_an_export_does_not_write_over_what_is_there(tmp_path: Path, kind: str) -> None:
    images = some_images(4, regions=2)
    import_features(foreign.write_butd(tmp_path / "a.tsv", images), tmp_path / "f")
    place = tmp_path / PLACES[kind]
    export_features(tmp_path / "f", place, format=kind)
    with pytest.raises(UsageError, match="exists already; name another place, or remove it first"):
        export_features(tmp_path / "f", place, format=kind)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(["a.tsv", "f", PLACES[kind]])
    assert not list(tmp_path.rglob("*.part"))


class Stop(Exception):
    pass


@pytest.mark.parametrize("kind", [*IMAGES, "bert"])
def test_an_export_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from sterna.features import _export

    if kind == "bert":
        foreign.write_bert(tmp_path / "b", {str(n): np.ones((n + 1, 3), np.float32) for n in range(9)})
        import_features(tmp_path / "b", tmp_path / "f", format="bert")
    else:
        import_features(foreign.write_butd(tmp_path / "a.tsv", some_images(9, regions=2)), tmp_path / "f")
    place = tmp_path / PLACES[kind]
    call, made = _export._Reading.__call__, []

    def five(self: object, identity: str) -> object:
        if len(made) == 5:
            raise Stop
        made.append(identity)
        return call(self, identity)

    monkeypatch.setattr(_export._Reading, "__call__", five)
    with pytest.raises(Stop):
        export_features(tmp_path / "f", place, format=kind)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="another export was begun there"):
        export_features(
            tmp_path / "f", place, format={"tsv": "hdf5"}.get(kind, "tsv")
        ) if kind != "bert" else (_begin_other(tmp_path, place))
    report = export_features(tmp_path / "f", place, format=kind)
    assert (report.done, report.skipped) == (4, 5)
    import_features(place, tmp_path / "g", format=kind)
    store = "captions" if kind == "bert" else "images"
    assert contents(find_store(tmp_path / "g", store)) == contents(find_store(tmp_path / "f", store))


def _begin_other(folder: Path, place: Path) -> None:
    foreign.write_bert(folder / "c", {"other": np.ones((2, 3), np.float32)})
    import_features(folder / "c", folder / "h", format="bert")
    export_features(folder / "h", place, format="bert")


SLOW = """
import sys, time
from sterna.features import {call}
{call}(*sys.argv[1:3], format=sys.argv[3], progress=lambda _: None)
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", [*IMAGES, "bert"])
def test_a_kill_at_any_moment_is_gone_on_with(tmp_path: Path, kind: str) -> None:
    count = 600
    if kind == "bert":
        rng = np.random.default_rng(0)
        foreign.write_bert(
            tmp_path / "source", {str(n): rng.normal(size=(9, 64)).astype(np.float32) for n in range(count)}
        )
    else:
        images = some_images(count, dim=64, regions=9)
        foreign.write_butd(tmp_path / "a.tsv", images)
        import_features(tmp_path / "a.tsv", tmp_path / "first")
        export_features(tmp_path / "first", tmp_path / "source", format=kind)
    store = "captions" if kind == "bert" else "images"
    import_features(tmp_path / "source", tmp_path / "whole", format=kind)
    rng = np.random.default_rng(1)

    def killed(call: str, source: Path, out: Path) -> None:
        code = SLOW.format(call=call)
        process = subprocess.Popen([sys.executable, "-c", code, str(source), str(out), kind])
        time.sleep(float(rng.uniform(0.3, 1.5)))
        process.send_signal(signal.SIGKILL)
        process.wait()

    for _ in range(4):
        killed("import_features", tmp_path / "source", tmp_path / "f")
    report = import_features(tmp_path / "source", tmp_path / "f", format=kind)
    assert report.done + report.skipped == count
    whole = contents(find_store(tmp_path / "whole", store))
    assert contents(find_store(tmp_path / "f", store)) == whole
    out = tmp_path / "again"
    for _ in range(4):
        if not out.exists() or (tmp_path / ".again.export.json").exists():
            killed("export_features", tmp_path / "f", out)
    if not out.exists() or (tmp_path / ".again.export.json").exists():
        export_features(tmp_path / "f", out, format=kind)
    import_features(out, tmp_path / "g", format=kind)
    assert contents(find_store(tmp_path / "g", store)) == whole


def test_an_import_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sterna.features import _import

    images = some_images(9)
    foreign.write_butd(tmp_path / "a.tsv", images)
    monkeypatch.setattr(_import, "_A_PART", 2)
    append, parts = FeatureStore.append_missing, []

    def twice(self: FeatureStore, *args: object) -> int:
        if len(parts) == 2:
            raise Stop
        parts.append(append(self, *args))
        return parts[-1]

    monkeypatch.setattr(FeatureStore, "append_missing", twice)
    with pytest.raises(Stop):
        import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    monkeypatch.undo()
    assert find_store(tmp_path / "f", "images").ids == tuple(image.name for image in images[:4])
    report = import_features(tmp_path / "a.tsv", tmp_path / "f", dtype="float32")
    assert (report.done, report.skipped) == (5, 4)
    import_features(tmp_path / "a.tsv", tmp_path / "g", dtype="float32")
    one, two = (find_store(tmp_path / name, "images") for name in "fg")
    assert contents(one) == contents(two)
    assert one.meta["fingerprint"] == two.meta["fingerprint"]


def test_progress_is_told(tmp_path: Path) -> None:
    foreign.write_butd(tmp_path / "a.tsv", some_images(130, regions=1))
    told = []
    import_features(tmp_path / "a.tsv", tmp_path / "f", progress=told.append)
    assert [one.done for one in told][-1] == 130
    assert [one.share for one in told] == sorted(one.share for one in told)
    assert (told[-1].stage, told[-1].share) == ("importing", 1.0)
    told.clear()
    export_features(tmp_path / "f", tmp_path / "b.tsv", format="tsv", progress=told.append)
    assert (told[-1].stage, told[-1].done, told[-1].share) == ("exporting", 130, 1.0)


MEASURED = """
import pathlib, re, sys
from sterna.features import {call}
{call}(*sys.argv[1:3], format=sys.argv[3])
status = pathlib.Path("/proc/self/status").read_text()  # ru_maxrss would begin with the parent's
print(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


def _peak(call: str, *args: object) -> int:
    """The most MiB that a process held."""
    code = MEASURED.format(call=call)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], check=True, capture_output=True, text=True, env=env
    )
    return int(done.stdout.splitlines()[-1]) >> 10


@pytest.mark.long
@pytest.mark.parametrize("kind", IMAGES)
def test_a_large_source_goes_through_a_small_process(tmp_path: Path, kind: str) -> None:
    """600 MB of features as text, 450 MB as arrays; a process without them holds some 50 MiB."""
    regions, dim, count = 36, 2048, 1500
    rng = np.random.default_rng(0)
    values = rng.normal(size=(regions, dim)).astype(np.float32)
    images = some_images(count, dim=1, regions=regions)
    with (tmp_path / "a.tsv").open("w") as file:
        for number, image in enumerate(images):
            image.values = np.roll(values, number, axis=1)
            file.write("\t".join(map(str, foreign.butd_row(image).values())) + "\n")
            image.values = values[:0]
    assert (tmp_path / "a.tsv").stat().st_size > 500 << 20
    assert _peak("import_features", tmp_path / "a.tsv", tmp_path / "f", "tsv") < 300
    assert _peak("export_features", tmp_path / "f", tmp_path / "out", kind) < 300
    assert _peak("import_features", tmp_path / "out", tmp_path / "g", kind) < 300
    one, two = (find_store(tmp_path / name, "images") for name in "fg")
    assert one.ids == two.ids
    for place in range(0, count, 97):
        assert np.array_equal(one.row("original", place), two.row("original", place))
