"""Backbones that are trained along with the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file

import sterna
from sterna.images import to_square
from sterna.training import Run, TrainSettings, export, load_run, train
from tests.conftest import draw_photo
from tests.training.test_export import make_backbones, make_photographs

SENTENCES = ["a photo of number 3", "number 7", ""]
KINDS = {
    "the last layer of the text": {"text": {"layers": 1}},
    "the whole text": {"text": {"layers": "all"}},
    "adapters in the text": {"text": {"layers": 1, "low_rank": 2}},
}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, backbones, and a run on them as they are, whose features the others read."""
    folder = tmp_path_factory.mktemp("ground")
    make_backbones(folder)
    make_photographs(folder / "data")
    train(settings_on(folder, {}), folder / "frozen")
    return folder


def settings_on(ground: Path, finetune: dict, **changes: object) -> TrainSettings:
    values = {
        "data": {"path": ground / "data" / "captions.csv"},
        "features": {
            "path": ground / "features",
            "image": f"hf:{ground / 'resnet'}",
            "text": f"hf:{ground / 'bert'}",
            "size": 32,
            "cells": 1,
            "max_tokens": 16,
            "dtype": "float32",
        },
        "finetune": finetune,
        "model": {"embedding": 16, "image": {"skip_hidden": 24}, "text": {"skip_hidden": 24}},
        "optimizer": {"rate": 0.01},
        "batch_images": 8,
        "epochs": 2,
        "tensorboard": False,
        "threads": 1,
    }
    return TrainSettings.model_validate(values | changes)


@pytest.fixture(scope="module", params=sorted(KINDS))
def tuned(request: pytest.FixtureRequest, ground: Path) -> Path:
    """A run that trained some of its backbones, with averaged weights."""
    run = ground / request.param.replace(" ", "-")
    train(settings_on(ground, KINDS[request.param], ema=0.9), run)
    return run


def squares(run: Run) -> np.ndarray:
    photos = [draw_photo(number, size=(90, 60)) for number in range(30, 34)]
    return np.stack([to_square(photo, run.size, run.fit) for photo in photos])


def test_a_checkpoint_holds_what_was_changed_and_nothing_else(tuned: Path, ground: Path) -> None:
    run, frozen = load_run(tuned), load_run(ground / "frozen")
    published = {
        f"{part}.{name}": value
        for part, backbone in (
            ("image_backbone", frozen.image_backbone),
            ("text_backbone", frozen.text_backbone),
        )
        for name, value in backbone.state_dict().items()
    }
    for which in ("best", "last"):
        tensors = load_file(tuned / "checkpoints" / f"{which}.safetensors")
        held = {name.removeprefix("weights/") for name in tensors if name.startswith("weights/")}
        assert {name for name in held if "backbone" in name} == set(run.tuned)
        assert held >= {f"model.{name}" for name, _ in run.model.named_parameters()}
    assert 0 < len(run.tuned) < len(published)


def test_a_tuned_run_says_other_vectors_and_another_fingerprint_than_its_ground(
    tuned: Path, ground: Path
) -> None:
    run, frozen = load_run(tuned), load_run(ground / "frozen")
    assert run.text_backbone.fingerprint != frozen.text_backbone.fingerprint
    ids, mask = frozen.text_backbone.tokenize(SENTENCES)
    apart = run.text_backbone(ids, mask).values - frozen.text_backbone(ids, mask).values
    assert apart.abs().max() > 1e-3
    assert frozen.fingerprint == load_run(ground / "frozen").fingerprint


def test_an_exported_model_has_the_tuned_backbones_inside(tuned: Path, tmp_path: Path) -> None:
    run = load_run(tuned)
    out = export(run, tmp_path / "model", image_weights="float32", text_weights="float32", torch_weights=True)
    encoder = sterna.load(out)
    assert np.abs(encoder.encode_texts(SENTENCES) - run.encode_texts(SENTENCES)).max() < 1e-4
    photos = [draw_photo(number, size=(90, 60)) for number in range(30, 34)]
    assert np.abs(encoder.encode_images(photos) - run.encode_images(squares(run))).max() < 1e-4
    assert set(run.tuned) < set(load_file(out / "model.safetensors"))
    config = json.loads((out / "config.json").read_text())
    assert config["architecture"]["tuned"] == {
        side: value
        for side, value in json.loads(run.settings.finetune.model_dump_json()).items()
        if side in ("image", "text") and (value.get("layers") or value.get("stages"))
    }
    assert "**Trained further on the data above**" in (out / "README.md").read_text()
