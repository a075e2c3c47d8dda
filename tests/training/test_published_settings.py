"""Every file of `configs/` trains end to end on real photographs, in miniature."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from sterna.cli import main
from sterna.settings import load_settings
from sterna.training import TrainSettings, load_run

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
TRAIN, DEV = 80, 20
# A small network, small photographs, few steps: what differs from the real run, and nothing else.
MINIATURE = {
    "features.image": "efficientnet-lite0",
    "features.size": 96,
    "features.cells": 2,
    "features.views": "[original]",
    "batch_images": 16,
    "accumulation": 1,
    "epochs": 4,
    "log_every": 1,
    "tensorboard": "false",
    "threads": 1,
    "device": "cpu",
    "precision": "float32",
    "workers": 0,
}


@pytest.fixture(scope="module")
def miniature(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data`: a hundred photographs of Flickr8k with their captions; features come to lie beside it."""
    folder = tmp_path_factory.mktemp("miniature")
    source, data = shared / "data" / "flickr8k", folder / "data"
    (data / "images").mkdir(parents=True)
    chosen: set[str] = set()
    for split, count in (("trainImages.txt", TRAIN), ("devImages.txt", DEV)):
        names = (source / split).read_text().split()[:count]
        (data / split).write_text("\n".join(names) + "\n")
        chosen |= set(names)
        for name in names:
            shutil.copy(source / "images" / name, data / "images" / name)
    lines = (source / "captions.token.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.partition("#")[0] in chosen]
    (data / "captions.token.txt").write_text("".join(kept), encoding="utf-8")
    return folder


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_published_settings_are_known_settings(config: Path) -> None:
    assert load_settings(TrainSettings, config).epochs >= 1


@pytest.mark.long
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_published_settings_train_on_real_photographs(
    config: Path, miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    changes = [part for key, value in MINIATURE.items() for part in ("--set", f"{key}={value}")]
    places = ["--data", str(miniature / "data"), "--features", str(miniature / "features")]
    assert main(["train", "--config", str(config), *places, "--out", str(run), *changes]) == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    steps = len(losses) // 4
    assert sum(losses[-steps:]) < sum(losses[:steps]), "the loss does not fall"
    loaded = load_run(run)
    vectors = loaded.encode_texts(["a dog runs", "two people"])
    assert vectors.shape == (2, loaded.dim)
    capsys.readouterr()
