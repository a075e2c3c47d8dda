"""Extraction of a detector's regions, of which an image has as many as were found, and of maps below a tail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
from PIL import ImageOps

from sterna.backbones import image_backbone
from sterna.errors import ModelError, StoreError, UsageError
from sterna.features import ColumnSpec, FeatureStore, extract
from sterna.images import open_photo, to_square
from tests.backbones.tiny import detector_folder, vision_folder
from tests.features.toy import Colours, Few, few


@pytest.fixture(scope="module")
def detr(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"detector:{detector_folder(tmp_path_factory.mktemp('detr'))}"


def images(data: Few, out: Path, backbone, **options):
    return extract(data, out, image_backbone=backbone, text_backbone=None, **options)


def test_regions_boxes_scores_and_classes_are_kept_for_each_view(
    photos: Path, tmp_path: Path, detr: str
) -> None:
    data = few(photos)
    name = f"{detr},threshold=0.7,suppress=0.5"
    report = images(data, tmp_path, name, views=("original", "flip"), dtype="float32", batch_size=5)
    assert (report.images, report.engine, report.failed) == (24, "torch", [])
    store = FeatureStore.open(tmp_path / "images")
    store.verify()
    backbone = image_backbone(name)
    lengths = set()
    for place, path in enumerate(data.paths):
        photo = open_photo(path, at_least=64).image
        for view, image in (("original", photo), ("flip", ImageOps.mirror(photo))):
            with torch.inference_mode():
                found = backbone.detect([backbone.prepare(image)])
            columns = ((view, found.values), (f"{view}.boxes", found.boxes), (f"{view}.scores", found.scores))
            for column, expected in columns:
                assert np.allclose(store.row(column, place), expected[0].numpy(), atol=1e-5)
            assert np.array_equal(store.row(f"{view}.classes", place), found.classes[0].numpy())
            lengths.add(len(store.row(view, place)))
    assert len(lengths) > 1
    assert min(lengths) >= 1
    assert store.row("sizes", 0).tolist() == [[320, 240]]


def test_a_store_of_regions_says_what_found_them(photos: Path, tmp_path: Path, detr: str) -> None:
    images(few(photos), tmp_path, detr, top=4, threshold=0.25, suppress=0.75)
    store = FeatureStore.open(tmp_path / "images")
    meta = dict(store.meta)
    assert meta.pop("versions")
    assert meta.pop("fingerprint") == image_backbone(detr, top=4, threshold=0.25, suppress=0.75).fingerprint
    assert meta == {
        "kind": "images", "backbone": f"{detr},top=4,threshold=0.25,suppress=0.75", "size": 64, "fit": "own",
        "regions": 4, "dim": 32, "sources": [32], "dtype": "float16", "top": 4, "threshold": 0.25,
        "suppress": 0.75, "classes": ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4"],
    }  # fmt: skip
    assert store.columns == {
        "sizes": ColumnSpec("int32", 2),
        "original": ColumnSpec("float16", 32),
        "original.boxes": ColumnSpec("float32", 4),
        "original.scores": ColumnSpec("float32"),
        "original.classes": ColumnSpec("int32"),
    }
    assert images(few(photos), tmp_path, f"{detr},suppress=0.75,top=4", threshold=0.25).images == 0
    with pytest.raises(StoreError, match="holds features of fingerprint .* top 4; asked for are .* top 5"):
        images(few(photos), tmp_path, detr, top=5, threshold=0.25, suppress=0.75)


def test_what_detectors_cannot_do_is_said_before_anything_is_written(
    photos: Path, tmp_path: Path, detr: str
) -> None:
    for error, options, message in (
        (UsageError, {"engine": "best"}, "engine='best': must be one of auto, onnx, torch"),
        (ModelError, {"engine": "onnx"}, "a detector runs on torch alone; use engine='torch' or 'auto'"),
        (ModelError, {"maps": 2}, "a detector is frozen whole; no stage of it can be trained"),
    ):
        with pytest.raises(error, match=message):
            images(few(photos), tmp_path / "out", detr, **options)
    with pytest.raises(UsageError, match="maps=2: detector:.* is a detector, which has no map"):
        images(few(photos), tmp_path / "out", image_backbone(detr), maps=2)
    assert not (tmp_path / "out" / "images").exists()


WORKER = """
import sys, time
from pathlib import Path
from sterna.features import extract
from tests.features.toy import few

def tell(progress):
    print(progress.done, flush=True)
    if progress.done >= 8:
        time.sleep(60)

import sterna.features._images as images
images._A_PART = 4
extract(few(Path(sys.argv[1])), sys.argv[2], image_backbone=sys.argv[3], text_backbone=None, batch_size=2,
        threshold=0.7, progress=tell)
"""


@pytest.mark.long
def test_a_killed_extraction_of_regions_goes_on_where_it_was(photos: Path, tmp_path: Path, detr: str) -> None:
    data = few(photos)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(photos), str(tmp_path / "out"), detr],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert worker.stdout is not None
    for line in worker.stdout:
        if int(line) >= 8:
            break
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    store = FeatureStore.open(tmp_path / "out/images")
    store.verify()
    assert store.missing("original.classes", data.image_ids) == list(data.image_ids[4:])
    assert images(data, tmp_path / "out", detr, threshold=0.7).images == 8
    images(data, tmp_path / "straight", detr, threshold=0.7)
    stores = [FeatureStore.open(tmp_path / name / "images") for name in ("out", "straight")]
    for column in stores[0].columns:
        (values, mask), (expected, expected_mask) = (one.rows(column, range(12)) for one in stores)
        assert np.array_equal(mask, expected_mask)
        assert np.allclose(values, expected, atol=2e-3)


@pytest.mark.parametrize("engine", ["torch", "onnx", "auto"])
def test_maps_are_what_enters_the_tail(photos: Path, tmp_path: Path, engine: str) -> None:
    data = few(photos)
    report = images(data, tmp_path, Colours(), maps=1, views=("original", "flip"), engine=engine, threads=1)
    assert (report.images, report.engine) == (24, "torch" if engine == "torch" else "onnx")
    store = FeatureStore.open(tmp_path / "images")
    assert store.columns["flip.maps1"] == ColumnSpec("float16", 4)
    for place, path in enumerate(data.paths):
        square = to_square(open_photo(path, at_least=16).image, 16, "squeeze")
        maps = Colours().stem(torch.from_numpy(square[None].copy()))
        kept = torch.from_numpy(store.row("original.maps1", place).astype(np.float32)).reshape(1, 3, 2, 2)
        assert torch.allclose(kept, maps, atol=1e-3)
        values = Colours().tail(kept).values[0].numpy()
        assert np.allclose(values, store.row("original", place), atol=2e-3)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_maps_of_a_named_backbone_lead_through_its_tail_to_its_regions(
    photos: Path, tmp_path: Path, kind: str
) -> None:
    name = f"hf:{vision_folder(tmp_path / kind, kind)}"
    images(few(photos), tmp_path, name, cells=2, maps=2, dtype="float32")
    store = FeatureStore.open(tmp_path / "images")
    whole, cut = image_backbone(name, cells=2), image_backbone(name, cells=2, trainable_tail=2)
    assert store.meta["fingerprint"] == whole.fingerprint == cut.fingerprint
    maps, _ = store.rows("original.maps2", range(12))
    with torch.inference_mode():
        values = cut.tail(torch.from_numpy(maps.astype(np.float32)).reshape(12, *cut.map_shape)).values
    kept = store.rows("original", range(12))[0]
    assert np.abs(values.numpy() - kept).max() < 0.02 * np.abs(kept).max()


def test_maps_may_be_added_to_a_store_that_has_the_regions(photos: Path, tmp_path: Path) -> None:
    data = few(photos)
    images(data, tmp_path, Colours())
    before = FeatureStore.open(tmp_path / "images").rows("original", range(12))[0]
    some = Few(data.image_ids[:5], data.paths[:5], [], [])
    assert images(some, tmp_path, Colours(), maps=1).images == 5
    report = images(data, tmp_path, Colours(), maps=1)
    assert (report.images, report.skipped) == (7, 5)
    assert images(data, tmp_path, Colours(), maps=1).images == 0
    assert images(data, tmp_path, Colours()).images == 0
    store = FeatureStore.open(tmp_path / "images")
    assert store.complete(data.image_ids) == ("sizes", "original", "original.boxes", "original.maps1")
    assert np.array_equal(store.rows("original", range(12))[0], before)


def test_heavy_maps_make_small_parts(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sterna.features._part._PART_BYTES", 5 * 4 * 4 * 4)

    class Wide(Colours):
        map_shape = (3, 8, 8)

        def stem(self, pixels):
            return torch.nn.functional.avg_pool2d(pixels.permute(0, 3, 1, 2).float() / 255, 2)

        def tail(self, maps):
            return super().tail(torch.nn.functional.avg_pool2d(maps, 4))

    images(few(photos), tmp_path, Wide(), maps=1)  # 384 bytes of a map, of 320
    assert len(list((tmp_path / "images/parts").iterdir())) == 12


class Deceiving(Colours):
    """Another tail when it is exported, below which the maps are the same."""

    def tail(self, maps):
        return super().tail(maps * (2 if torch.jit.is_tracing() else 1))


def test_auto_falls_back_to_torch_where_only_the_regions_differ(photos: Path, tmp_path: Path) -> None:
    assert images(few(photos), tmp_path, Deceiving(), maps=1, threads=1).engine == "torch"
