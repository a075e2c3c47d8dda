"""Names of ImageNet's classes in a run: trained beside, kept, exported, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite_pytorch")

import numpy as np

import sterna
from sterna.errors import UsageError
from sterna.training import TrainSettings, export, load_run, train
from tests.conftest import draw_photo
from tests.training.test_export import make_photographs

NAMED = {
    "features": {"image": "efficientnet-lite0", "size": 64, "cells": 2, "max_tokens": 16},
    "model": {"embedding": 400, "names": 0.5, "image": {"skip_hidden": 16}, "text": {"skip_hidden": 16}},
    "batch_images": 8,
    "epochs": 2,
    "tensorboard": False,
    "threads": 1,
}


@pytest.mark.long
def test_a_run_with_names_is_trained_kept_and_exported(tmp_path: Path) -> None:
    data = {"path": make_photographs(tmp_path / "data")}
    train(TrainSettings.model_validate({**NAMED, "data": data}), tmp_path / "run")
    run = load_run(tmp_path / "run")
    names = run.model.names
    assert names is not None
    assert names.seen.min() >= 1
    squares = [run.prepare(draw_photo(seed)) for seed in range(3)]
    sentences = ["a dog in the snow", "two boats", "a red bus"]
    seen, said = run.encode_images(np.stack(squares)), run.encode_texts(sentences)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(seen[:, -384:], axis=1) == pytest.approx((0.5 / 1.5) ** 0.5, abs=1e-5)
    model = sterna.load(export(run, tmp_path / "model", image_weights="float32", text_weights="float32"))
    np.testing.assert_allclose(model.encode_texts(sentences), said, atol=1e-4)
    small = sterna.load(
        export([run, run], tmp_path / "small", dim=40, image_weights="int8", text_weights="int8")
    )
    vectors = small.encode_texts(sentences)
    np.testing.assert_allclose(vectors @ vectors.T, said @ said.T, atol=0.25)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"finetune": {"text": {"layers": 1}}},
            r"model\.names=0\.5: is for frozen backbones; leave finetune out",
        ),
        ({"features": {"hidden_layer": 2}}, r"model\.names=0\.5: names are read by the last layer"),
        ({"score": "order"}, r"model\.names=0\.5: adds to dot products, and score is 'order'"),
        ({"model": {"names": 0.5, "embedding": 512, "absolute": True}}, "order embeddings"),
    ],
)
def test_what_names_do_not_go_with_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    settings = TrainSettings.model_validate({**NAMED, "data": {"path": tmp_path}, **changes})
    with pytest.raises(UsageError, match=sentence):
        train(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()
