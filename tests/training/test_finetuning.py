"""Backbones that are trained along with the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file

import sterna
from sterna.backbones import image_backbone, merge_low_rank, text_backbone
from sterna.data import read
from sterna.errors import ModelError, SettingsError, StoreError, UsageError
from sterna.evaluation import rank_both_ways, report
from sterna.features import ColumnSpec, FeatureStore
from sterna.images import open_photo, to_square
from sterna.objectives import Objective, build_objective
from sterna.settings import load_settings
from sterna.training import Run, TrainSettings, export, load_run, train
from sterna.training._learner import new_model
from sterna.training._readers import Reader
from tests.conftest import draw_photo
from tests.training.test_export import make_backbones, make_photographs

SENTENCES = ["a photo of number 3", "number 7", ""]
KINDS = {
    "the last layer of the text": {"text": {"layers": 1}},
    "the whole text": {"text": {"layers": "all"}},
    "adapters in the text": {"text": {"layers": 1, "low_rank": 2}},
    "the last stage of the images": {"image": {"stages": 1}},
    "the images, from photographs changed anew": {"image": {"stages": 1, "augment": {"colour": 0.2}}},
    "both, with moving batch norms": {
        "text": {"layers": 1},
        "image": {"stages": 1, "batch_norm": "moving"},
        "checkpointing": True,
    },
}

WHOLE = {"text": {"layers": 1}, "image": {"stages": 1, "augment": {"crop": 1.0, "flip": False}}}


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


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=pytest.mark.long if "the last" in kind else ()) for kind in sorted(KINDS)
    ],
)
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
    tuning = run.settings.finetune
    for side, tuned_side in (("image", tuning.image.tuned), ("text", tuning.text.tuned)):
        one, two = (getattr(each, f"{side}_backbone") for each in (run, frozen))
        assert (one.fingerprint != two.fingerprint) is tuned_side
        assert (
            two.fingerprint
            == frozen.facts["features"][{"image": "images", "text": "captions"}[side]]["fingerprint"]
        )
        inputs = (
            frozen.text_backbone.tokenize(SENTENCES) if side == "text" else [torch.from_numpy(squares(run))]
        )
        assert bool((one(*inputs).values - two(*inputs).values).abs().max() > 1e-3) is tuned_side
    assert frozen.fingerprint == load_run(ground / "frozen").fingerprint


@pytest.mark.long
def test_an_exported_model_has_the_tuned_backbones_inside(tuned: Path, tmp_path: Path) -> None:
    run = load_run(tuned)
    out = export(run, tmp_path / "model", image_weights="float32", text_weights="float32", torch_weights=True)
    encoder = sterna.load(out)
    assert np.abs(encoder.encode_texts(SENTENCES) - run.encode_texts(SENTENCES)).max() < 1e-4
    photos = [draw_photo(number, size=(90, 60)) for number in range(30, 34)]
    assert np.abs(encoder.encode_images(photos) - run.encode_images(squares(run))).max() < 1e-4
    assert set(run.tuned) < set(load_file(out / "model.safetensors"))
    again = run.settings.model_copy(
        update={
            "init_from": out,
            "epochs": 1,
            "optimizer": run.settings.optimizer.model_copy(update={"rate": 1e-9}),
        }
    )
    train(again, tmp_path / "again")
    begun = load_run(tmp_path / "again", which="last")
    assert all(
        torch.allclose(begun.tuned[name], value, atol=1e-6)
        for name, value in run.tuned.items()
        if value.is_floating_point() and "running" not in name
    )
    config = json.loads((out / "config.json").read_text())
    assert config["architecture"]["tuned"] == {
        side: value
        for side, value in json.loads(run.settings.finetune.model_dump_json()).items()
        if side in ("image", "text") and (value.get("layers") or value.get("stages"))
    }
    assert "**Trained further on the data above**" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    "kind", ["adapters in the text", "both, with moving batch norms", "the images, from whole photographs"]
)
def test_a_step_is_what_the_slow_way_from_pixels_and_sentences_gives(
    kind: str, ground: Path, tmp_path: Path
) -> None:
    tower = {"skip_hidden": 24, "skip_dropout": 0}
    settings = settings_on(
        ground,
        {**KINDS, "the images, from whole photographs": WHOLE}[kind],
        model={"embedding": 16, "image": tower, "text": tower},
        optimizer={"name": "sgd", "rate": 0.5},
        schedule={"name": "constant", "warmup": 0},
        batch_images=16,
        epochs=1,
    )
    train(settings, tmp_path / "run")
    data = read(ground / "data" / "captions.csv").split("train")
    torch.manual_seed(0)
    model = new_model(settings.model, image_sources=(32,), text_sources=(32,))
    objective = build_objective("infonce")
    tuning = settings.finetune
    images = image_backbone(
        settings.features.image,
        size=32,
        cells=1,
        trainable_tail=tuning.image.stages,
        batch_norm=tuning.image.batch_norm,
    ).train()
    texts = text_backbone(
        settings.features.text, max_tokens=16, trainable_layers=1, low_rank=tuning.text.low_rank
    )
    pixels = [to_square(open_photo(path, at_least=32).image, 32, "squeeze") for path in data.paths]
    maps = images.stem(torch.from_numpy(np.stack(pixels)))
    if tuning.image.augment is None:
        maps = maps.half().float()  # as they are kept
    seen, read_ = images.tail(maps), texts(*texts.tokenize(data.captions))
    loss = objective(
        model.encode_images(seen.values, seen.mask, seen.boxes),
        model.encode_texts(read_.values, read_.mask),
        torch.from_numpy(np.asarray(data.owners)),
    )
    parts = {"model": model, "objective": objective, "image_backbone": images, "text_backbone": texts}
    trained = {
        f"{part}.{name}": one
        for part, module in parts.items()
        for name, one in module.named_parameters()
        if one.requires_grad
    }
    gradients = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    last = load_file(tmp_path / "run" / "checkpoints" / "last.safetensors")
    assert {name for name in last if "num_batches" not in name and "running" not in name} == {
        f"weights/{name}" for name in trained
    }
    for (name, value), gradient in zip(trained.items(), gradients, strict=True):
        wanted = value.detach() - (0 if gradient is None else 0.5 * gradient)
        torch.testing.assert_close(last[f"weights/{name}"], wanted, atol=5e-4, rtol=5e-3)
    for name, value in images.named_buffers():
        if f"weights/image_backbone.{name}" in last:
            torch.testing.assert_close(last[f"weights/image_backbone.{name}"], value, atol=1e-3, rtol=1e-2)


def test_validation_measures_what_the_run_says_of_photographs_and_sentences(
    tuned: Path, ground: Path
) -> None:
    run = load_run(tuned)
    data = read(ground / "data" / "captions.csv").split("val")
    pixels = np.stack([to_square(open_photo(path, at_least=32).image, 32, "squeeze") for path in data.paths])
    ranks = rank_both_ways(run.encode_images(pixels), run.encode_texts(data.captions), data.owners)
    assert report(ranks, bootstrap=0).as_json()["rsum"] == pytest.approx(run.results["rsum"])


class Stop(Exception):
    pass


@pytest.mark.long
def test_a_tuned_run_stopped_at_any_step_ends_with_the_bits_of_one_never_stopped(
    ground: Path, tmp_path: Path
) -> None:
    """With a head that begins first, averages, steps of two parts, and moving batch norms."""
    settings = settings_on(
        ground,
        KINDS["both, with moving batch norms"],
        optimizer={"rate": 0.01, "parts": {"text_backbone": {"rate": 1e-3, "start_epoch": 1}}},
        ema=0.9,
        batch_images=4,
        accumulation=2,
        epochs=2,
        checkpoint_every=1,
    )
    train(settings, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    for step in (1, 2, 3):

        def watch(progress, step=step):
            if progress.step == step:
                raise Stop

        with pytest.raises(Stop):
            train(settings, stopped, resume=stopped.exists(), progress=watch)
    train(None, stopped, resume=True)
    for which in ("best", "last"):
        one, two = (
            load_file(run / "checkpoints" / f"{which}.safetensors") for run in (tmp_path / "whole", stopped)
        )
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one), which


def test_a_backbone_stands_still_until_its_first_epoch(ground: Path, tmp_path: Path) -> None:
    parts = {"text_backbone": {"rate": 1e-3, "start_epoch": 1}}
    settings = settings_on(
        ground, KINDS["the last layer of the text"], optimizer={"rate": 0.01, "parts": parts}
    )
    states = []

    def watch(progress):
        tensors = load_file(tmp_path / "run" / "checkpoints" / "last.safetensors")
        states.append({name: value for name, value in tensors.items() if "weights/text_backbone" in name})

    settings = settings.model_copy(update={"checkpoint_every": 1})
    train(settings, tmp_path / "run", progress=watch)
    published = text_backbone(settings.features.text, max_tokens=16, trainable_layers=1).tuned()
    for name, value in published.items():
        assert torch.equal(states[1][f"weights/text_backbone.{name}"], value)
    moved = [not torch.equal(states[2][name], states[1][name]) for name in states[1]]
    assert sum(moved) > len(moved) / 2


def test_layers_that_are_run_again_for_their_gradients_give_the_same_bits(
    ground: Path, tmp_path: Path
) -> None:
    kept = []
    for again in (True, False):
        run = tmp_path / str(again)
        train(
            settings_on(ground, KINDS["both, with moving batch norms"] | {"checkpointing": again}, epochs=1),
            run,
        )
        kept.append(load_file(run / "checkpoints" / "last.safetensors"))
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


class Asking(Objective):
    """Keeps what it was given."""

    needs = frozenset({"targets", "image_targets"})

    def __init__(self):
        super().__init__()
        self.given = []

    def forward(self, images, captions, owners, *, given):
        self.given.append(given)
        return (images[owners] * captions).sum()


def test_targets_are_of_the_frozen_backbones_whatever_is_trained(
    ground: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    for finetune in ({}, {"text": {"layers": "all"}, "image": {"stages": 1}}):
        asking = Asking()
        monkeypatch.setattr(
            "sterna.training._assembly.build_objective", lambda *_, asking=asking, **__: asking
        )
        train(settings_on(ground, finetune), tmp_path / f"run{len(finetune)}")
        given.append(asking.given)
    for one, two in zip(*given, strict=True):
        assert torch.equal(one.targets, two.targets)
        assert torch.equal(one.image_targets, two.image_targets)


@pytest.fixture(scope="module")
def elsewhere(ground: Path) -> Path:
    """A run on a text backbone of other weights."""
    other = ground / "other-bert"
    shutil.copytree(ground / "bert", other)
    tensors = {name: value + 0.1 for name, value in load_file(other / "model.safetensors").items()}
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    settings = settings_on(ground, {}, epochs=1)
    features = settings.features.model_copy(update={"text": f"hf:{other}", "path": None})
    return train(settings.model_copy(update={"features": features}), ground / "elsewhere").path


def test_weights_that_stand_on_other_backbones_are_refused(
    tuned: Path, elsewhere: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(elsewhere, tmp_path / "run")
    shutil.copy(tuned / "checkpoints" / "best.safetensors", run / "checkpoints" / "best.safetensors")
    with pytest.raises(
        ModelError, match=r"best\.safetensors: its weights stand on another backbone of captions"
    ):
        load_run(run)


def test_captions_without_token_ids_are_refused(ground: Path, tmp_path: Path) -> None:
    shutil.copytree(ground / "features", tmp_path / "features")
    for file in (tmp_path / "features" / "captions").glob("**/*.json"):
        values = json.loads(file.read_text())
        values["columns"].pop("tokens", None)
        file.write_text(json.dumps(values))
    settings = settings_on(ground, KINDS["the whole text"])
    features = settings.features.model_copy(update={"path": tmp_path / "features"})
    with pytest.raises(
        StoreError, match="captions: lacks token ids of captions, which training the text backbone"
    ):
        train(settings.model_copy(update={"features": features}), tmp_path / "run")


@pytest.mark.parametrize(
    ("finetune", "message"),
    [
        (
            {"image": {"batch_norm": "moving"}},
            "batch_norm='moving' would change nothing: no stages are trained",
        ),
        ({"checkpointing": True}, "checkpointing would change nothing: no backbone is trained"),
        ({"text": {"layers": -1}}, "finetune.text.layers"),
        ({"text": {"layer": 1}}, "finetune.text.layer: unknown setting; did you mean 'layers'?"),
    ],
)
def test_tuning_that_would_change_nothing_is_refused(finetune: dict, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(TrainSettings, {"finetune": finetune})
    assert message in str(caught.value)


def test_more_than_a_backbone_has_is_refused_in_a_sentence(ground: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="7 trainable parts asked for; 0 to 1 can be trained"):
        train(settings_on(ground, {"text": {"layers": 7}}), tmp_path / "run")


def test_captions_of_like_length_read_together_are_what_each_is_alone(ground: Path) -> None:
    from sterna.training._learner import Learner

    settings = settings_on(ground, {})
    model = new_model(settings.model, image_sources=(32,), text_sources=(32,))
    texts = text_backbone(settings.features.text, max_tokens=16, trainable_layers=1)
    learner = Learner(model, build_objective("infonce"), text_backbone=texts)
    sentences = [" ".join(["a", "photo", "of", "number", *map(str, range(k % 11))]) for k in range(70)]
    ids, mask = texts.tokenize(sentences)
    values, read = learner.read(torch.zeros(70, 0, 1), torch.zeros(70, 0).bool(), ids=ids, ids_mask=mask)
    assert torch.equal(read, mask)
    for sentence, one, real in zip(sentences, values, mask, strict=True):
        torch.testing.assert_close(
            one[real], texts(*texts.tokenize([sentence])).values[0], atol=1e-5, rtol=1e-4
        )
        assert not one[~real].any()


def test_each_image_of_a_batch_has_the_map_of_its_own_view(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {f"{view}.maps2": ColumnSpec("float16", 6) for view in ("original", "flip")}
    store = FeatureStore.create(tmp_path / "images", columns)
    store.append(list("abcd"), {name: list(rng.normal(size=(4, 3, 6))) for name in columns})
    reader = Reader(
        tmp_path,
        views=("original", "flip"),
        image_means=False,
        text_means=False,
        regions=False,
        below=".maps2",
    )
    for views in ([0, 1, 1, 0], [1, 1, 1, 1]):
        maps = reader.maps(np.array([3, 1, 0, 2]), np.array(views))
        for row, view, came in zip([3, 1, 0, 2], views, maps, strict=True):
            wanted = store.row(f"{reader.views[view]}.maps2", row)
            assert torch.equal(came, torch.tensor(wanted))


TUNED_IMAGES = "the images, from photographs changed anew"


@pytest.fixture(scope="module")
def tuned_images(ground: Path) -> Path:
    run = ground / "tuned-images"
    train(settings_on(ground, KINDS[TUNED_IMAGES]), run)
    return run


def test_weights_between_the_published_and_the_tuned_ones_lie_on_a_straight_line(tuned_images: Path) -> None:
    tuned = load_run(tuned_images)
    untouched = image_backbone(tuned.settings.features.image, size=32, cells=1, trainable_tail=1)
    published = {f"image_backbone.{name}": one for name, one in untouched.state_dict().items()}
    for share in (0.0, 0.25, 1.0):
        between = load_run(tuned_images, image_tuning=share)
        assert set(between.tuned) == set(tuned.tuned)
        for name, value in between.tuned.items():
            wanted = published[name] + share * (tuned.tuned[name] - published[name])
            torch.testing.assert_close(value, wanted, atol=1e-6, rtol=1e-5)
        assert bool(between.results) is (share == 1)
        assert (between.fingerprint == tuned.fingerprint) is (share == 1)
    pixels = squares(tuned)
    as_published = load_run(tuned_images, image_tuning=0).image_backbone.look(list(pixels))
    torch.testing.assert_close(as_published.values, untouched.look(list(pixels)).values)


def test_half_of_an_adapter_is_half_of_what_it_adds(ground: Path, tmp_path: Path) -> None:
    train(settings_on(ground, {"text": {"layers": 1, "low_rank": 2}}), tmp_path / "run")
    weights = {}
    for share in (0.0, 0.5, 1.0):
        torch.manual_seed(int(10 * share))  # nothing of it depends on the generator
        merged = merge_low_rank(load_run(tmp_path / "run", text_tuning=share).text_backbone)
        weights[share] = {name: one for name, one in merged.state_dict().items() if "query.weight" in name}
    assert weights[1.0]
    for name, published in weights[0.0].items():
        halfway = (published + weights[1.0][name]) / 2
        torch.testing.assert_close(weights[0.5][name], halfway, atol=1e-6, rtol=1e-5)
    assert any(not torch.equal(weights[0.0][name], one) for name, one in weights[1.0].items())


def test_an_exported_model_is_between_and_says_so(tuned_images: Path, tmp_path: Path) -> None:
    out = export(tuned_images, tmp_path / "model", image_tuning=0.5)
    between = load_run(tuned_images, image_tuning=0.5)
    photos = [draw_photo(number, size=(90, 60)) for number in range(30, 34)]
    vectors = between.encode_images(np.stack([between.prepare(photo) for photo in photos]))
    np.testing.assert_allclose(sterna.load(out).encode_images(photos), vectors, atol=2e-3)
    config = json.loads((out / "config.json").read_text())
    assert config["architecture"]["tuned"]["image"]["share"] == 0.5
    assert config["results"] == {}  # those of the run are of other weights
    assert "weights at 50% of the way from the published ones" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"image_tuning": 1.5}, "image_tuning=1.5: must be from 0"),
        ({"image_tuning": float("nan")}, "image_tuning=nan: must be from 0"),
        ({"text_tuning": 0.5}, "text_tuning=0.5: the run has not tuned its text backbone"),
    ],
)
def test_shares_of_a_tuning_that_cannot_be_are_refused(
    shares: dict, message: str, tuned_images: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        load_run(tuned_images, **shares)
    with pytest.raises(UsageError, match=message):
        export(tuned_images, tmp_path / "model", **shares)
    assert not (tmp_path / "model").exists()


def test_a_run_that_is_open_keeps_its_own_share(tuned_images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are for runs by their folder"):
        export(load_run(tuned_images), tmp_path / "model", image_tuning=0.5)
