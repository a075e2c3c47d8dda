"""`sterna extract` with a detector, maps and a hidden layer."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from sterna.features import FeatureStore
from tests.backbones.tiny import detector_folder, text_folder, vision_folder
from tests.cli.conftest import Sterna


@pytest.fixture
def captioned(photos: Path) -> Path:
    for photo in list(photos.glob("*.jpg")):
        photo.with_suffix(".txt").write_text("a dog")
    return photos


def test_a_detector_s_options_and_a_hidden_layer_reach_the_stores(
    sterna: Sterna, captioned: Path, tmp_path: Path
) -> None:
    name = f"detector:{detector_folder(tmp_path / 'detr')}"
    text = f"hf:{text_folder(tmp_path / 'bert')}"
    command = ("extract", "--data", captioned, "--out", tmp_path / "out", "--format", "json")
    options = ("--top", "5", "--threshold", "0.3", "--suppress", "0.5", "--size", "48", "--hidden-layer", "1")
    outcome = sterna(*command, "--backbone", name, "--text-backbone", text, *options)
    assert outcome.code == 0, outcome.err
    assert (outcome.json["images"], outcome.json["captions"], outcome.json["engine"]) == (12, 10, "torch")
    meta = FeatureStore.open(tmp_path / "out" / "images").meta
    assert (meta["top"], meta["threshold"], meta["suppress"], meta["size"]) == (5, 0.3, 0.5, 48)
    assert FeatureStore.open(tmp_path / "out" / "captions").meta["hidden_layer"] == 1
    written = f"{name},top=5,threshold=0.3,suppress=0.5"
    again = sterna(*command, "--backbone", written, "--text-backbone", text, "--size", "48", *options[-2:])
    assert (again.json["images"], again.json["captions"], again.json["skipped"]) == (0, 0, 22)


def test_maps_are_kept_beside_the_regions(sterna: Sterna, captioned: Path, tmp_path: Path) -> None:
    name = f"hf:{vision_folder(tmp_path / 'resnet', 'resnet')}"
    text = f"hf:{text_folder(tmp_path / 'bert')}"
    command = ("extract", "--data", captioned, "--out", tmp_path / "out", "--cells", "2", "--maps", "1")
    assert sterna(*command, "--image-backbone", name, "--text-backbone", text).code == 0
    store = FeatureStore.open(tmp_path / "out" / "images")
    assert store.row("original.maps1", 0).shape == (16, 14 * 14)


def test_options_of_detectors_are_refused_for_grids(sterna: Sterna, captioned: Path, tmp_path: Path) -> None:
    text = f"hf:{text_folder(tmp_path / 'bert')}"
    command = ("extract", "--data", captioned, "--out", tmp_path / "out", "--text-backbone", text)
    outcome = sterna(*command, "--image-backbone", "efficientnet-lite0", "--top", "5")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "--top 5: is for detectors; efficientnet-lite0 has a grid of regions" in outcome.err
