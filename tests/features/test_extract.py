"""Extraction: what backbones say, stored; interrupted and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from PIL import Image

from sterna.data import read
from sterna.errors import ModelError, StoreError, UsageError
from sterna.features import ExtractProgress, FeatureStore, extract
from sterna.images import open_photo, to_square
from tests.conftest import draw_photo
from tests.features.toy import Colours, Few, Words, few


def run(data: Few, out: Path, **options):
    return extract(
        data, out, **{"image_backbone": Colours(), "text_backbone": Words(), "engine": "torch", **options}
    )


def test_stores_hold_what_the_backbones_say(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    report = run(data, tmp_path, dtype="float32")
    assert (report.images, report.captions, report.skipped, report.failed) == (12, 24, 0, [])
    images, captions = FeatureStore.open(tmp_path / "images"), FeatureStore.open(tmp_path / "captions")
    for number, (identity, path) in enumerate(zip(data.image_ids, data.paths, strict=True)):
        square = to_square(open_photo(path, at_least=16).image, 16, "squeeze")
        expected = Colours()(torch.from_numpy(square[None].copy()))
        place = images.index_of(identity)
        assert place == number
        assert np.allclose(images.row("original", place), expected.values[0].numpy(), atol=1e-6)
        assert np.array_equal(images.row("original.boxes", place), expected.boxes[0].numpy())
        assert images.row("sizes", place).tolist() == [[320, 240]]
    for identity, caption in zip(data.caption_ids, data.captions, strict=True):
        ids, mask = Words().tokenize([caption])
        place = captions.index_of(identity)
        assert captions.row("tokens", place).tolist() == ids[0].tolist()
        assert np.allclose(captions.row("values", place), Words()(ids, mask).values[0].numpy())


def test_the_manifest_says_what_made_the_values(photos: Path, tmp_path: Path) -> None:
    run(few(photos), tmp_path)
    meta = FeatureStore.open(tmp_path / "images").meta
    assert set(meta.pop("versions")) >= {"sterna", "torch"}
    assert meta == {
        "kind": "images", "backbone": "colours", "fingerprint": "colours-1", "size": 16, "fit": "squeeze",
        "regions": 4, "dim": 4, "sources": [4], "dtype": "float16",
    }  # fmt: skip
    meta = FeatureStore.open(tmp_path / "captions").meta
    assert (meta["kind"], meta["backbone"], meta["max_tokens"], meta["dim"]) == ("captions", "words", 6, 3)


def test_views_are_columns_that_can_be_added_later(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    run(data, tmp_path)
    some = Few(data.image_ids[:5], data.paths[:5], [], [])
    report = run(some, tmp_path, views=("original", "flip", "crop0"))
    assert (report.images, report.skipped) == (10, 5)
    store = FeatureStore.open(tmp_path / "images")
    assert store.complete(data.image_ids) == ("sizes", "original", "original.boxes")
    assert {"flip", "flip.boxes", "crop0", "crop0.boxes"} <= set(store.complete(some.image_ids))
    original, _ = store.rows("original", range(5))
    flip, _ = store.rows("flip", range(5))
    assert np.allclose(original[:, [1, 0, 3, 2]], flip, atol=2e-3)
    assert not np.allclose(original, store.rows("crop0", range(5))[0], atol=1e-2)


def test_nothing_is_made_twice(photos: Path, tmp_path: Path) -> None:
    run(few(photos), tmp_path)
    before = sorted((tmp_path / "images/parts").iterdir())
    report = run(few(photos), tmp_path)
    assert (report.images, report.captions, report.skipped, report.engine) == (0, 0, 36, "")
    assert sorted((tmp_path / "images/parts").iterdir()) == before


def test_progress_counts_to_the_end(photos: Path, tmp_path: Path) -> None:
    told: list[ExtractProgress] = []
    run(few(photos), tmp_path, views=("original", "flip"), batch_size=5, progress=told.append)
    by_stage = {
        stage: [one.done for one in told if one.stage == stage] for stage in ("captions", "original", "flip")
    }
    assert by_stage == {"captions": [24], "original": [5, 10, 12], "flip": [5, 10, 12]}
    assert {(one.stage, one.total) for one in told} == {("captions", 24), ("original", 12), ("flip", 12)}
    assert told[-1].seconds_left == 0
    assert all(one.per_second > 0 for one in told)


def test_a_bad_photograph_is_named_and_tried_again(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    good = data.paths[3].read_bytes()
    data.paths[3].write_bytes(good[: len(good) // 2])
    data.paths[7].write_text("no photograph")
    (photos / "photo-05.jpg").unlink()
    report = run(data, tmp_path, views=("original", "flip"))
    bad = [data.image_ids[number] for number in (3, 5, 7)]
    assert sorted(one.id for one in report.failed) == bad
    assert report.images == 18
    noted = [json.loads(line) for line in (tmp_path / "images/failed.jsonl").read_text().splitlines()]
    assert sorted(one["id"] for one in noted) == bad
    assert all(one["reason"] and one["path"] for one in noted)
    data.paths[3].write_bytes(good)
    report = run(data, tmp_path, views=("original", "flip"))
    assert report.images == 2
    noted = (tmp_path / "images/failed.jsonl").read_text()
    assert bad[0] not in noted
    assert bad[1] in noted
    data.paths[5].write_bytes(good)
    data.paths[7].write_bytes(good)
    assert run(data, tmp_path, views=("original", "flip")).failed == []
    assert not (tmp_path / "images/failed.jsonl").exists()


def test_shards_make_the_same_together(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    run(data, tmp_path / "whole")
    for part in range(3):
        run(data, tmp_path / "same", shard=(part, 3))
        run(data, tmp_path / f"part{part}", shard=(part, 3))
    for kind, column in (("images", "original"), ("captions", "values")):
        whole = FeatureStore.open(tmp_path / "whole" / kind)
        same = FeatureStore.open(tmp_path / "same" / kind)
        joined = FeatureStore.open(tmp_path / "part0" / kind)
        assert 0 < len(joined) < len(whole)
        joined.merge(FeatureStore.open(tmp_path / "part1" / kind))
        joined.merge(FeatureStore.open(tmp_path / "part2" / kind))
        for store in (same, joined):
            assert set(store.ids) == set(whole.ids)
            values, mask = store.rows(column, store.indices_of(whole.ids))
            expected, expected_mask = whole.rows(column, range(len(whole)))
            assert np.array_equal(values, expected)
            assert np.array_equal(mask, expected_mask)


def test_another_backbone_does_not_go_into_the_same_store(photos: Path, tmp_path: Path) -> None:
    run(few(photos), tmp_path)
    with pytest.raises(
        StoreError, match="holds features of fingerprint 'colours-1'; asked for are fingerprint 'new'"
    ):
        run(few(photos), tmp_path, image_backbone=Colours(fingerprint="new"))
    with pytest.raises(StoreError, match="holds features of dtype 'float16'; asked for are dtype 'float32'"):
        run(few(photos), tmp_path, dtype="float32")


def test_onnx_runtime_and_torch_make_the_same(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    for engine in ("onnx", "torch", "auto"):
        report = run(data, tmp_path / engine, engine=engine, threads=1)
        assert report.engine == ("torch" if engine == "torch" else "onnx")
    for kind, column in (("images", "original"), ("captions", "values")):
        made = [
            FeatureStore.open(tmp_path / engine / kind).rows(column, range(12))[0]
            for engine in ("onnx", "torch")
        ]
        assert np.allclose(made[0], made[1], atol=1e-3)


class Unexportable(Colours):
    """Asks its data what to do, as no graph can."""

    def stem(self, pixels):
        if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
            raise RuntimeError("this depends on the data")
        return super().stem(pixels)


class Deceiving(Colours):
    """Does something else when it is exported."""

    def stem(self, pixels):
        return super().stem(pixels) * (2 if torch.jit.is_tracing() else 1)


@pytest.mark.parametrize("backbone", [Unexportable, Deceiving])
def test_auto_falls_back_to_torch(photos: Path, tmp_path: Path, backbone: type[Colours]) -> None:
    data = few(photos)
    run(data, tmp_path / "plain")
    report = run(data, tmp_path / "auto", engine="auto", image_backbone=backbone())
    assert report.engine == "torch"
    stores = [FeatureStore.open(tmp_path / name / "images") for name in ("plain", "auto")]
    assert np.array_equal(*[store.rows("original", range(12))[0] for store in stores])


def test_onnx_asked_for_and_not_possible_is_an_error(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"does not export to ONNX \(this depends on the data\); use engine='torch'"
    ):
        run(few(photos), tmp_path, engine="onnx", image_backbone=Unexportable())


def test_either_side_may_be_left_out(photos: Path, tmp_path: Path) -> None:
    run(few(photos), tmp_path / "a", text_backbone=None)
    run(few(photos), tmp_path / "b", image_backbone=None)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["images"]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["captions"]


def test_named_backbones_are_built(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    data = few(photos)
    extract(
        Few(data.image_ids[:2], data.paths[:2], [], []),
        tmp_path,
        image_backbone="efficientnet-lite0",
        text_backbone=None,
        size=64,
        cells=2,
        engine="torch",
    )
    store = FeatureStore.open(tmp_path / "images")
    assert store.row("original", 0).shape == (4, 1280)
    assert (store.meta["backbone"], store.meta["size"], store.meta["regions"]) == (
        "efficientnet-lite0",
        64,
        4,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float64"}, "dtype='float64': features are kept as float16 or float32"),
        ({"shard": (2, 2)}, r"shard=\(2, 2\): \(i, n\) needs 0 <= i < n"),
        ({"views": ("mirror",)}, "view 'mirror': must be original"),
        ({"engine": "tensorrt"}, "engine='tensorrt': must be one of auto, onnx, torch"),
    ],
)
def test_unfit_arguments_are_named(photos: Path, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(few(photos), tmp_path, **options)


WORKER = """
import sys, time
from pathlib import Path
from sterna.features import extract
from tests.features.toy import Colours, Words, few

def tell(progress):
    print(progress.stage, progress.done, flush=True)
    if progress.stage == "flip" and progress.done >= 300:
        time.sleep(60)

extract(few(Path(sys.argv[1]), captions=1), sys.argv[2], image_backbone=Colours(), text_backbone=Words(),
        views=("original", "flip"), engine="torch", batch_size=20, progress=tell)
"""


def test_killed_extraction_goes_on_where_it_was(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(400):
        colour = (number % 256, number // 2 % 256, 99)
        Image.new("RGB", (16, 16), colour).save(photos / f"{number:03}.jpg")
    data = few(photos, captions=1)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(photos), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert worker.stdout is not None
    for line in worker.stdout:
        stage, done = line.split()
        if stage == "flip" and int(done) >= 300:
            break
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    store = FeatureStore.open(tmp_path / "out/images")
    store.verify()
    assert store.missing("original", data.image_ids) == []
    assert store.missing("flip", data.image_ids) == list(data.image_ids[256:])  # the first part of two
    report = run(data, tmp_path / "out", views=("original", "flip"))
    assert (report.images, report.captions) == (400 - 256, 0)
    run(data, tmp_path / "straight", views=("original", "flip"))
    for view in ("original", "flip"):
        stores = [FeatureStore.open(tmp_path / name / "images") for name in ("out", "straight")]
        assert np.array_equal(*[one.rows(view, one.indices_of(data.image_ids))[0] for one in stores])


RIVAL = """
import sys
from pathlib import Path
from sterna.features import extract
from tests.features.toy import Colours, Words, few

extract(few(Path(sys.argv[1])), sys.argv[2], image_backbone=Colours(), text_backbone=Words(), engine="torch")
"""


@pytest.mark.long
def test_two_processes_may_extract_the_same_into_one_folder(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    seen: set[str] = set()

    def be_overtaken(progress: ExtractProgress) -> None:
        if not seen:  # both stores are complete before this process writes its first part
            command = [sys.executable, "-c", RIVAL, str(photos), str(tmp_path / "both")]
            subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
        seen.add(progress.stage)

    report = run(data, tmp_path / "both", progress=be_overtaken)
    assert seen == {"captions"}
    assert (report.captions, report.images, report.skipped) == (0, 0, 36)
    whole = run(data, tmp_path / "alone")
    assert (whole.captions, whole.images) == (24, 12)
    for kind, column in (("images", "original"), ("captions", "values")):
        stores = [FeatureStore.open(tmp_path / name / kind) for name in ("both", "alone")]
        assert stores[0].ids == stores[1].ids
        assert np.array_equal(*[store.rows(column, range(12))[0] for store in stores])


def test_a_part_that_another_extraction_wrote_meanwhile_is_left_out(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    first = Few(data.image_ids[:5], data.paths[:5], [], [])

    def be_overtaken(progress: ExtractProgress) -> None:
        if (progress.stage, progress.done) == ("flip", 12):
            run(first, tmp_path, views=("flip",))

    report = run(data, tmp_path, views=("original", "flip"), progress=be_overtaken)
    assert (report.images, report.skipped) == (12 + 7, 5)
    store = FeatureStore.open(tmp_path / "images")
    assert store.complete(data.image_ids) == ("sizes", "original", "original.boxes", "flip", "flip.boxes")


def test_names_that_are_not_utf_8_are_extracted_and_found_again(tmp_path: Path) -> None:
    strange = os.fsdecode(b"latin-\xe9.jpg")
    try:
        draw_photo(1).save(tmp_path / strange)
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    (tmp_path / os.fsdecode(b"bad-\xe8.jpg")).write_bytes(b"no photograph")
    data = read(tmp_path)
    for _ in range(2):
        report = run(data, tmp_path / "out", views=("original", "crop0"))
        assert [one.id for one in report.failed] == [os.fsdecode(b"bad-\xe8.jpg")]
        noted = [json.loads(line) for line in (tmp_path / "out/images/failed.jsonl").read_text().splitlines()]
        assert noted == [vars(one) for one in report.failed]
    assert report.images == 0
    store = FeatureStore.open(tmp_path / "out/images")
    assert store.ids == (strange,)
    assert store.row("crop0", store.index_of(strange)).shape == (4, 4)


def test_heavy_items_go_into_smaller_parts(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = few(photos)
    monkeypatch.setattr("sterna.features._part._PART_BYTES", 5 * 4 * 4 * 4)  # five images' boxes in float32
    run(data, tmp_path)
    rows = [
        json.loads((part / "part.json").read_text())["rows"]
        for part in sorted((tmp_path / "images/parts").iterdir())
    ]
    assert rows == [5, 5, 2]
    captions = FeatureStore.open(tmp_path / "captions")
    assert len(list((captions.path / "parts").iterdir())) == 3  # eight captions of at most 6 x 3 values each
    assert captions.complete(data.caption_ids) == ("values", "tokens")


class Bright(Colours):
    """Colours beyond what float16 can hold."""

    def stem(self, pixels):
        return super().stem(pixels) * 1e6


def test_values_too_large_for_their_dtype_are_refused_at_the_first_batch(
    photos: Path, tmp_path: Path
) -> None:
    told: list[ExtractProgress] = []
    options = {"image_backbone": Bright(), "text_backbone": None, "batch_size": 4}
    with pytest.raises(UsageError, match="original: holds values too large for float16; keep it as float32"):
        run(few(photos), tmp_path / "half", progress=told.append, **options)
    assert told == []
    assert run(few(photos), tmp_path / "single", dtype="float32", **options).images == 12
