"""A model of every pooling and position leaves for ONNX Runtime, its regions and words too."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("transformers")

import sterna
from sterna.model import POOLINGS, build_model
from sterna.training import Run, TrainSettings, export
from tests.conftest import draw_photo
from tests.training.test_export import make_backbones

OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "attention": ({"positions": "concat", "box_numbers": "size"}, {}),
    "first": ({"positions": "concat", "cls_token": "zero"}, {"norm": "post", "activation": "relu"}),
    "gated": ({"positions": "boxes", "cls_token": "pair"}, {"shared_layers": 1}),
    "gpo": ({"positions": "none", "inputs": "linear"}, {}),
    "gru": ({"positions": "boxes", "box_numbers": "corners"}, {"layer_norm": "deviation"}),
    "kmax": ({"positions": "learned", "k": 2}, {}),
    "max": ({"positions": "learned", "cls_token": True}, {"absolute": True}),
    "mean": ({"projection": "network"}, {"second_at": "width", "shared_layers": 1}),
    "sum": ({"second_layers": 1}, {"norm": "post"}),
    "sum-network": ({"trim": [1, 1]}, {}),
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that saw nothing, with tiny backbones."""
    from sterna.backbones import image_backbone, text_backbone
    from sterna.training._checkpoint import Position

    image, text = make_backbones(tmp_path_factory.mktemp("backbones"))
    return Run(
        path=Path("unseen"),
        settings=TrainSettings.model_validate(
            {"features": {"image": image, "text": text, "size": 32, "cells": 2}, "model": {"embedding": 8}}
        ),
        model=build_model([4], [4]),
        image_backbone=image_backbone(image, size=32, cells=2),
        text_backbone=text_backbone(text, max_tokens=16),
        position=Position(),
        facts={
            "data": {"name": "none", "validation": None, "splits": {}, "terms": ""},
            "samples": {"photographs": [], "captions": ["a photo of number 3"]},
            "versions": {},
        },
        results={},
    )


def test_every_pooling_is_tried() -> None:
    assert set(OPTIONS) == set(POOLINGS)


@pytest.mark.long
@pytest.mark.parametrize(
    ("pooling", "score"),
    [
        pytest.param(
            name, ("MrSw", "dot")[place % 2], marks=() if name in {"first", "gru"} else pytest.mark.long
        )
        for place, name in enumerate(sorted(POOLINGS))
    ],
)
def test_a_model_of_every_pooling_and_position_is_exported(
    opened: Run, tmp_path: Path, pooling: str, score: str
) -> None:
    side, common = OPTIONS[pooling]
    side = {"layers": 1, "skip": False, "pooling": pooling} | side
    words = {
        key: value for key, value in side.items() if key != "box_numbers" and value not in ("boxes", "concat")
    }
    torch.manual_seed(0)
    model = build_model(
        opened.image_backbone.sources,
        [opened.text_backbone.dim],
        embedding=8,
        width=8,
        heads=2,
        feedforward=16,
        image=side,
        text=words,
        **common,
    )
    run = dataclasses.replace(
        opened,
        model=model.eval().requires_grad_(False),
        settings=opened.settings.model_copy(update={"score": score}),
    )
    export(run, tmp_path / "model", image_weights="float32", text_weights="float32")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["architecture"]["model"] == model.config()
    loaded = sterna.load(str(tmp_path / "model"))
    sentences = ["a photo", "number 1 2 3 4 5 6 7", ""]
    np.testing.assert_allclose(loaded.encode_texts(sentences), run.encode_texts(sentences), atol=1e-4)
    photo = draw_photo(1, size=(32, 32))
    pixels = np.asarray(photo, dtype=np.uint8)[None]
    np.testing.assert_allclose(loaded.encode_images([photo])[0], run.encode_images(pixels)[0], atol=1e-4)
