"""Training on features of others: nothing is extracted, and what cannot be done with them is said."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sterna.cli import main
from sterna.data import read
from sterna.errors import RunError
from sterna.features import FeatureStore, import_features
from sterna.training import encode_features, export, load_run, train
from tests.features.foreign import Image, some_images, write_bert, write_pairs, write_scan, write_sizes
from tests.training.toy import make_toy, toy_settings

IMPORTED = {"image": "imported", "text": "imported"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy's features as others would have stored them, imported."""
    toy = make_toy(tmp_path_factory.mktemp("toy"), train=24)
    data, stores = read(toy / "data"), toy / "features"
    images, captions = (FeatureStore.open(stores / kind) for kind in ("images", "captions"))
    made = [
        Image(
            name,
            100,
            50,
            np.float32([[0, 0, 50, 25]] * 4),
            np.float32(images.row("original", images.index_of(name))),
        )
        for name in data.image_ids
    ]
    write_pairs(toy / "foreign", made)
    said = {one: np.float32(captions.row("values", captions.index_of(one))) for one in data.caption_ids}
    write_bert(toy / "bert", said)
    sizes = write_sizes(toy / "sizes.csv", made)
    import_features(toy / "foreign" / "cocobu_att", toy / "imported", data=data, sizes=sizes)
    import_features(toy / "bert", toy / "imported", format="bert", data=data)
    return toy


def settings(toy, **changes):
    features = changes.pop("features", {})
    return toy_settings(toy, features={"path": toy / "imported", **IMPORTED, **features}, **changes)


@pytest.fixture(scope="module")
def run(toy):
    return train(settings(toy, epochs=6), toy / "run")


def test_a_model_learns_from_imported_features(run):
    assert run.best > 250  # chance is about 200
    assert run.left_out == ()
    facts = json.loads((run.path / "run.json").read_text())
    assert facts["features"]["images"]["backbone"] == "imported"


def test_it_is_measured_on_those_features(toy, run):
    data = read(toy / "data").split("dev")
    images, captions = encode_features(run.path, data, toy / "imported")
    assert np.isfinite(images).all()
    assert np.isfinite(captions).all()


def test_boxes_that_were_imported_are_seen(toy, tmp_path):
    model = {
        "embedding": 16,
        "width": 16,
        "heads": 2,
        "feedforward": 32,
        "image": {"layers": 1, "skip": False},
    }
    assert train(settings(toy, epochs=1, model=model), tmp_path / "run").step == 2


@pytest.mark.parametrize("use", [load_run, lambda run: export(run, run / "out")])
def test_such_a_run_cannot_see_photographs_or_be_exported(use, run):
    with pytest.raises(
        RunError, match="was trained on imported features, and nothing here makes such of photographs"
    ):
        use(run.path)


def test_the_command_line_says_so_too(run, tmp_path, capsys):
    assert main(["export", str(run.path), "--out", str(tmp_path / "model")]) == 1
    assert "measure it on features (sterna eval --features DIR)" in capsys.readouterr().err


def test_a_split_of_scan_is_trained_on_without_its_photographs(tmp_path):
    train_images, dev_images = (
        some_images(count, regions=3, seed=count, first=count * 100) for count in (12, 6)
    )
    for split, images in (("train", train_images), ("dev", dev_images)):
        write_scan(tmp_path / "precomp", split, images, each=2)
    import_features(tmp_path / "precomp", tmp_path / "imported")
    data = read(tmp_path / "imported" / "data.csv", photographs=False)
    rng = np.random.default_rng(0)
    write_bert(tmp_path / "bert", {one: rng.normal(size=(4, 5)) for one in data.caption_ids})
    import_features(tmp_path / "bert", tmp_path / "imported", data=data)
    features = {"path": tmp_path / "imported", **IMPORTED}
    where = {"path": tmp_path / "imported" / "data.csv"}
    report = train(toy_settings(tmp_path, data=where, features=features, epochs=1), tmp_path / "run")
    assert report.left_out == ()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["data"]["splits"] == {
        "train": {"images": 12, "captions": 24},
        "dev": {"images": 6, "captions": 12},
    }
