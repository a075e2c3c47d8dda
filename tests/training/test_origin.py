"""Runs that begin with others' weights, and runs that learn from others' similarities."""

from __future__ import annotations

import json
import shutil
from typing import ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file

from sterna.cli import main
from sterna.data import read
from sterna.errors import ModelError, RunError, UsageError
from sterna.evaluation import rank_both_ways, report
from sterna.features import FeatureStore
from sterna.objectives import Objective
from sterna.settings import save_settings
from sterna.training import encode_features, train
from tests.training.toy import make_stores, make_toy, toy_settings


class Stop(Exception):
    pass


def stopping_at(step):
    def watch(progress):
        if progress.step == step:
            raise Stop

    return watch


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"), train=24)


@pytest.fixture(scope="module")
def taught(toy):
    """A trained run with averaged weights."""
    train(toy_settings(toy, epochs=4, ema=0.8), toy / "taught")
    return toy / "taught"


def weights(run, which="last"):
    return load_file(run / "checkpoints" / f"{which}.safetensors")


def still(toy, **changes):
    """Settings of a run that moves nothing to speak of."""
    return toy_settings(toy, epochs=1, optimizer={"rate": 1e-30, "weight_decay": 0}, **changes)


def test_a_run_begins_with_the_best_weights_of_another_and_says_so(toy, taught, tmp_path):
    train(still(toy, init_from=taught), tmp_path / "run")
    best, now = weights(taught, "best"), weights(tmp_path / "run")
    for name, value in best.items():
        same = torch.equal(now[name], value)
        assert same is not name.startswith("weights/objective.") or value.numel() == 0, name
    facts = json.loads((tmp_path / "run" / "run.json").read_text())["begun_with"]
    assert (facts["path"], facts["file"], len(facts["sha256"])) == (str(taught), "best.safetensors", 64)


def test_it_begins_with_averages_of_a_last_checkpoint_and_with_exported_weights_too(toy, taught, tmp_path):
    last = weights(taught)
    train(still(toy, init_from=taught / "checkpoints" / "last.safetensors"), tmp_path / "last")
    now = weights(tmp_path / "last")
    averages = {
        name.removeprefix("average/"): one for name, one in last.items() if name.startswith("average/")
    }
    names = [name for name in averages if name.startswith("model.")]
    assert all(torch.equal(now[f"weights/{name}"], averages[name]) for name in names)
    (tmp_path / "model").mkdir()
    exported = {name.removeprefix("model."): averages[name].clone() for name in names}
    save_file(exported, tmp_path / "model" / "model.safetensors")
    train(still(toy, init_from=tmp_path / "model"), tmp_path / "exported")
    again = weights(tmp_path / "exported")
    assert all(torch.equal(again[f"weights/{name}"], averages[name]) for name in names)


def test_weights_that_do_not_fit_are_named_and_what_fits_is_taken_when_asked(toy, taught, tmp_path):
    wider = {"embedding": 16, "width": 16, "image": {"skip_hidden": 48}, "text": {"skip_hidden": 32}}
    with pytest.raises(ModelError) as caught:
        train(still(toy, init_from=taught, model=wider), tmp_path / "refused")
    message = str(caught.value)
    assert message.startswith(
        f"{taught}/checkpoints/best.safetensors: its weights do not fit the model: image."
    )
    assert "is of shape (32, 16), not (48, 16)" in message
    assert message.endswith("; to take those that fit: init_strict=false")
    train(still(toy, init_from=taught, model=wider, init_strict=False), tmp_path / "some")
    best, now = weights(taught, "best"), weights(tmp_path / "some")
    assert any(name.startswith("weights/model.text") for name in best)
    for name, value in best.items():
        if name.startswith("weights/model.text"):
            assert torch.equal(now[name], value), name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "neither a training run nor weights to begin with"),
        (b"photograph", "not weights that can be read"),
        ({"other": torch.ones(2)}, "its weights do not fit the model"),
    ],
)
def test_what_is_no_weights_is_refused(content, message, toy, tmp_path):
    file = tmp_path / "model.safetensors"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        save_file(content, file)
    with pytest.raises(ModelError, match=message):
        train(still(toy, init_from=file, init_strict=False), tmp_path / "run")


def test_a_run_that_is_gone_on_with_no_longer_needs_what_it_began_with(toy, taught, tmp_path):
    shutil.copytree(taught, tmp_path / "origin")
    settings = toy_settings(toy, epochs=2, checkpoint_every=1, init_from=tmp_path / "origin")
    train(settings, tmp_path / "whole")
    with pytest.raises(Stop):
        train(settings, tmp_path / "stopped", progress=stopping_at(2))
    shutil.rmtree(tmp_path / "origin")
    train(None, tmp_path / "stopped", resume=True)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "begun_with" in json.loads((tmp_path / "stopped" / "run.json").read_text())


def test_the_command_line_begins_with_others_weights(toy, taught, tmp_path, monkeypatch):
    save_settings(toy_settings(toy, epochs=1), tmp_path / "config.yaml")
    monkeypatch.chdir(taught.parent)
    arguments = ["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--init-from", taught.name]) == 0
    assert f"init_from: {taught}\n" in (tmp_path / "run" / "settings.yaml").read_text()


class Pupil(Objective):
    """Draws similarities to the teacher's, and remembers those."""

    needs = frozenset({"teacher"})
    seen: ClassVar[list] = []

    def forward(self, images, captions, owners, *, given):
        type(self).seen.append(given.teacher)
        return (images @ captions.T - given.teacher).square().mean()


@pytest.fixture
def pupil(monkeypatch):
    Pupil.seen = []
    for module in ("_assembly", "_check"):
        monkeypatch.setattr(f"sterna.training.{module}.build_objective", lambda *_, **__: Pupil())


@pytest.fixture(scope="module")
def other(toy):
    train(toy_settings(toy, epochs=1, seed=3), toy / "other")
    return toy / "other"


def test_similarities_of_teachers_are_averaged_and_learned_from(toy, taught, other, tmp_path, pupil):
    vectors = [encode_features(run, read(toy / "data"), toy / "features") for run in (taught, other)]
    wanted = sum(images @ captions.T for images, captions in vectors) / 2
    Pupil.seen = []
    text = {"layers": 1, "skip": False}  # sees items where its teachers see means
    model = {"embedding": 16, "width": 16, "heads": 2, "feedforward": 32, "text": text}
    settings = toy_settings(toy, epochs=6, teacher=(taught, other), model=model, batch_images=24)
    train(settings, tmp_path / "run")
    (train_split,) = (read(toy / "data").split("train"),)
    data = read(toy / "data")
    rows = [data.image_ids.index(one) for one in train_split.image_ids]
    teacher = Pupil.seen[-1]
    assert teacher.requires_grad is False
    assert teacher.shape == (24, len(train_split.captions))
    expected = wanted[rows][:, [data.caption_ids.index(one) for one in train_split.caption_ids]]
    assert np.allclose(np.sort(teacher.numpy(), axis=None), np.sort(expected, axis=None), atol=1e-5)
    kept = weights(tmp_path / "run")
    assert not any("teacher" in name for name in kept)
    losses = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in losses if row["kind"] == "train"]
    assert losses[-1] < 0.7 * losses[0]


def test_a_run_goes_on_with_the_teachers_it_began_with_alone(toy, taught, tmp_path, pupil):
    shutil.copytree(taught, tmp_path / "teacher")
    settings = toy_settings(toy, epochs=2, checkpoint_every=1, teacher=(tmp_path / "teacher",))
    train(settings, tmp_path / "whole")
    with pytest.raises(Stop):
        train(settings, tmp_path / "stopped", progress=stopping_at(2))
    shutil.copytree(tmp_path / "stopped", tmp_path / "changed")
    train(None, tmp_path / "stopped", resume=True)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(one[name], other[name]) for name in one)
    shutil.copyfile(
        tmp_path / "whole/checkpoints/best.safetensors", tmp_path / "teacher/checkpoints/best.safetensors"
    )
    with pytest.raises(RunError, match="its teachers are not those it was begun with"):
        train(None, tmp_path / "changed", resume=True)


def test_a_teacher_without_a_pupil_and_a_pupil_without_a_teacher_are_refused(toy, taught, tmp_path):
    with pytest.raises(UsageError, match="teacher: 1 runs are named, and objective infonce learns from none"):
        train(toy_settings(toy, teacher=(taught,)), tmp_path / "run")


def test_a_pupil_needs_a_teacher(toy, tmp_path, pupil):
    with pytest.raises(
        UsageError, match="teacher: 0 runs are named, and objective infonce learns from one or"
    ):
        train(toy_settings(toy), tmp_path / "run")


def test_a_teacher_of_other_features_is_refused(toy, taught, tmp_path, pupil):
    shutil.copytree(taught, tmp_path / "teacher")
    facts = json.loads((tmp_path / "teacher" / "run.json").read_text())
    facts["features"]["images"]["fingerprint"] = "another"
    (tmp_path / "teacher" / "run.json").write_text(json.dumps(facts))
    with pytest.raises(RunError, match=r"was trained on other features of images \(fingerprint another\)"):
        train(toy_settings(toy, teacher=(tmp_path / "teacher",)), tmp_path / "run")
    with pytest.raises(RunError, match="no teacher: not a training run with a best checkpoint"):
        train(toy_settings(toy, teacher=(tmp_path / "nowhere",)), tmp_path / "run")


def test_vectors_from_features_measure_as_the_run_was_measured(toy, taught):
    data = read(toy / "data").split("dev")
    images, captions = encode_features(taught, data, toy / "features")
    assert images.dtype == captions.dtype == np.float32
    assert images.shape == (len(data), 16)
    measured = report(rank_both_ways(images, captions, data.owners), bootstrap=0)
    log = [json.loads(line) for line in (taught / "metrics.jsonl").read_text().splitlines()]
    assert measured.rsum == max(row["rsum"] for row in log if row["kind"] == "validation")


def test_images_and_captions_without_features_have_no_vector(toy, taught, tmp_path):
    data = read(toy / "data").split("dev")
    shutil.copytree(toy / "features", tmp_path / "features")
    for kind, ids, column in (
        ("images", data.image_ids, "original"),
        ("captions", data.caption_ids, "values"),
    ):
        old = FeatureStore.open(tmp_path / "features" / kind)
        columns = {name: spec for name, spec in old.columns.items() if name in (column, f"{column}.boxes")}
        kept = [one for place, one in enumerate(ids) if place % 3]
        shutil.rmtree(tmp_path / "features" / kind)
        new = FeatureStore.create(tmp_path / "features" / kind, columns, meta=old.meta)
        whole = FeatureStore.open(toy / "features" / kind)
        rows = whole.indices_of(kept)
        new.append(kept, {name: [whole.row(name, int(row)) for row in rows] for name in columns})
    all_images, all_captions = encode_features(taught, data, toy / "features")
    images, captions = encode_features(taught, data, tmp_path / "features")
    for some, whole in ((images, all_images), (captions, all_captions)):
        there = np.arange(len(some)) % 3 > 0
        assert np.isnan(some[~there]).all()
        assert np.array_equal(some[there], whole[there])


def test_features_of_others_and_what_is_no_run_are_refused(toy, taught, tmp_path):
    data = read(toy / "data")
    with pytest.raises(RunError, match="not a training run with a best checkpoint"):
        encode_features(tmp_path, data, toy / "features")
    shutil.copytree(toy / "data", tmp_path / "data")
    make_stores(tmp_path)
    manifest = tmp_path / "features" / "captions" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"toy"', '"others"', 1))
    with pytest.raises(RunError, match=r"captions: holds other features \(fingerprint"):
        encode_features(taught, data, tmp_path / "features")
