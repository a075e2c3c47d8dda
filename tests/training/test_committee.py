"""Several runs as one model folder, and vectors of fewer numbers."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("transformers")

import sterna
from sterna.cli import main
from sterna.errors import RunError, UsageError
from sterna.images import to_square
from sterna.training import TrainSettings, export, load_run, train
from tests.conftest import draw_photo
from tests.training.test_export import make_backbones, make_photographs

pytestmark = pytest.mark.long
SENTENCES = ["a photo of number 3", "number 7", "a photo", "of a photo of a number 11"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of other seeds, widths of the hidden layer, statistics and training on the same features."""
    folder = tmp_path_factory.mktemp("committee")
    image, text = make_backbones(folder)
    data = make_photographs(folder / "data")
    made = []
    for seed in (0, 1):
        settings = TrainSettings.model_validate(
            {
                "data": {"path": data},
                "features": {"image": image, "text": text, "size": 32, "cells": 2, "max_tokens": 16},
                "model": {
                    "embedding": 24,
                    "image": {"skip_hidden": 16 + 16 * seed, "skip_pooling": ("mean", "statistics")[seed]},
                    "text": {"skip_hidden": 16, "skip_pooling": ("statistics", "mean")[seed]},
                },
                "batch_images": 8,
                "epochs": 2 + seed,
                "mixup": float(seed),
                "tensorboard": False,
                "threads": 1,
                "seed": seed,
            }
        )
        made.append(train(settings, folder / f"run{seed}").path)
    return tuple(made)


def _squares(run):
    return np.stack([to_square(draw_photo(number, size=(90, 60)), run.size, run.fit) for number in range(6)])


def test_vectors_of_full_width_give_the_mean_of_the_runs_similarities(runs, tmp_path):
    out = export(
        list(runs), tmp_path / "model", dim=48, image_weights="float32", text_weights="float32", name="two"
    )
    model = sterna.load(out)
    assert model.dim == 48
    opened = [load_run(run) for run in runs]
    squares = _squares(opened[0])
    wanted = np.mean([run.encode_images(squares) @ run.encode_texts(SENTENCES).T for run in opened], axis=0)
    photos = [draw_photo(number, size=(90, 60)) for number in range(6)]
    came = model.encode_images(photos) @ model.encode_texts(SENTENCES).T
    assert came == pytest.approx(wanted, abs=2e-5)


def test_fewer_numbers_keep_what_varies_most(runs, tmp_path):
    """Against an oracle: the projection on the leading singular vectors of all vectors, each side weighed alike."""
    opened = [load_run(run) for run in runs]
    out = export(opened, tmp_path / "model", dim=5, image_weights="float32", text_weights="float32")
    data = sterna.data.read(opened[0].settings.data.path).split("train")
    squares = np.stack([opened[0].prepare(sterna.images.open_photo(path).image) for path in data.paths])
    images = np.concatenate([run.encode_images(squares) for run in opened], axis=1).astype(np.float64)
    texts = np.concatenate([run.encode_texts(data.captions) for run in opened], axis=1).astype(np.float64)
    together = np.concatenate([images / len(images) ** 0.5, texts / len(texts) ** 0.5])
    directions = np.linalg.svd(together, full_matrices=False)[2][:5].T
    wanted = [one @ directions for one in (images, texts)]
    wanted = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in wanted]
    model = sterna.load(out)
    came = model.encode_images(list(data.paths)) @ model.encode_texts(data.captions).T
    assert model.dim == 5
    assert came == pytest.approx(wanted[0] @ wanted[1].T, abs=1e-4)
    reduced = json.loads((out / "config.json").read_text())["architecture"]["reduced"]
    assert reduced == {"from": 48, "images": len(data), "captions": len(data.captions)}


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_the_projection_is_stored_as_other_layers_are(runs, tmp_path, weights):
    plain = export(runs, tmp_path / "plain", dim=40, image_weights="float32", text_weights="float32")
    small = export(runs, tmp_path / "small", dim=40, image_weights=weights, text_weights=weights)
    one, other = (sterna.load(folder).encode_texts(SENTENCES) for folder in (plain, small))
    assert (one * other).sum(axis=1).min() > 0.999


def test_image_networks_compute_in_int8_where_that_is_asked_for(runs, tmp_path, capfd):
    options = ["--image-weights", "int8", "--image-arithmetic", "int8", "--out", str(tmp_path / "small")]
    assert main(["export", str(runs[0]), *options]) == 0, capfd.readouterr().err
    plain = export(runs[0], tmp_path / "plain")
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "small" / "image.onnx").graph.node)
    assert operators["QuantizeLinear"] > operators["Conv"] > 0
    paths = [draw_photo(number, size=(90, 60)) for number in range(6)]
    one, other = (sterna.load(folder).encode_images(paths) for folder in (plain, tmp_path / "small"))
    assert (one * other).sum(axis=1).mean() > 0.95
    assert np.abs(one - other).max() > 1e-4
    assert "computes in int8" in (tmp_path / "small" / "README.md").read_text()


def test_backbones_that_runs_share_are_run_once(runs, tmp_path):
    kinds = []
    for given in (runs[0], runs):
        out = export(given, tmp_path / f"model{len(kinds)}")
        graph = onnx.load(out / "image.onnx").graph
        kinds.append(Counter(node.op_type for node in graph.node))
    assert kinds[0]["Conv"] == kinds[1]["Conv"] > 0
    assert kinds[0]["Softmax"] == kinds[1]["Softmax"] > 0


def test_a_run_alone_gives_fewer_numbers_too(runs, tmp_path, capfd):
    few = ["--few-words", "there is {}"]
    assert main(["export", str(runs[0]), "--dim", "7", *few, "--out", str(tmp_path / "small")]) == 0
    model = sterna.load(tmp_path / "small")
    assert model.dim == 7
    np.testing.assert_allclose(model.encode_texts("photo"), model.encode_texts("there is photo"), atol=1e-6)
    card = (tmp_path / "small" / "README.md").read_text()
    assert "Its 24 numbers are turned to fewer by their principal components over 16 training" in card
    assert "Not measured." in card
    assert 'Texts of one or two words are read in "there is {}".' in card
    few = ["--few-words", "there is"]
    assert main(["export", str(runs[0]), *few, "--out", str(tmp_path / "none")]) == 2
    assert "--few-words" in capfd.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_card_names_the_members(runs, tmp_path, capfd):
    assert main(["export", *map(str, runs), "--out", str(tmp_path / "model")]) == 0
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["dim"] == 24
    assert [member["seed"] for member in config["architecture"]["members"]] == [0, 1]
    card = (tmp_path / "model" / "README.md").read_text()
    training = [member["training"] for member in config["architecture"]["members"]]
    assert training == [{}, {"epochs": 3, "mixup": 1.0}]
    assert (
        "2 such models, trained by themselves, stand side by side: one of seed 0 and one of seed 1 "
        "(epochs=3, mixup=1.0). Their 48 numbers"
    ) in card
    assert "- Seed 0, weights of step" in card
    assert "; seed 1, weights of step" in card


def test_what_cannot_be_one_model_is_refused(runs, tmp_path, capfd):
    opened = [load_run(run) for run in runs]
    out = tmp_path / "model"
    with pytest.raises(UsageError, match="dim=49: the vectors have 48 numbers; name 1 to 48"):
        export(opened, out, dim=49)
    aligned = opened[1].settings.model_copy(update={"score": "order"})
    with pytest.raises(UsageError, match="is measured by 'order'; only dot products of vectors add up"):
        export([opened[0], dataclasses.replace(opened[1], settings=aligned)], out)
    gone = opened[0].settings.data.model_copy(update={"path": tmp_path / "gone"})
    without = dataclasses.replace(opened[0], settings=opened[0].settings.model_copy(update={"data": gone}))
    with pytest.raises(sterna.errors.SternaError, match="gone: no such file"):
        export([without, opened[1]], out)
    with pytest.raises(UsageError, match="name a run, or several"):
        export([], out)
    with pytest.raises(RunError, match="not a training run"):
        export([opened[0], tmp_path], out)
    assert not out.exists()
