"""Backbones as another run trained them, in the place of published ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("transformers")

import sterna
from sterna.cli import main
from sterna.errors import ModelError, RunError, UsageError
from sterna.features import FeatureStore
from sterna.training import TrainSettings, export, load_run, train
from tests.conftest import draw_photo
from tests.training.test_export import make_backbones, make_photographs
from tests.training.test_finetuning import SENTENCES, settings_on, squares


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, backbones, and a run that tuned both of them."""
    folder = tmp_path_factory.mktemp("ground")
    make_backbones(folder)
    make_photographs(folder / "data")
    finetune = {"text": {"layers": 1}, "image": {"stages": 1}}
    train(settings_on(folder, finetune, ema=0.9), folder / "tuned")
    return folder


def on_tuned(ground: Path, **changes: object) -> TrainSettings:
    """Settings of a head on what the tuned run made of its backbones."""
    settings = settings_on(ground, {}, **changes).model_dump()
    features = settings["features"] | {
        "path": ground / "tuned-features",
        "image": f"run:{ground / 'tuned'}",
        "text": f"run:{ground / 'tuned'}",
    }
    return TrainSettings.model_validate(settings | {"features": features})


@pytest.fixture(scope="module")
def head(ground: Path) -> Path:
    return train(on_tuned(ground), ground / "head").path


def test_features_are_what_the_tuned_backbones_see(ground: Path, head: Path) -> None:
    tuned = load_run(ground / "tuned")
    store = FeatureStore.open(ground / "tuned-features" / "images")
    photo = sterna.images.open_photo(ground / "data" / "images" / "3.png").image
    wanted = tuned.image_backbone.look([tuned.prepare(photo)]).values[0].numpy()
    # made of the maps that the tuned run was trained on, float16
    assert store.row("original", store.index_of("3.png")) == pytest.approx(wanted, rel=1e-2, abs=2e-3)
    assert store.meta["fingerprint"] == tuned.image_backbone.fingerprint
    run = load_run(head)
    assert (
        run.image_backbone(torch.from_numpy(squares(run))).values
        - tuned.image_backbone(torch.from_numpy(squares(run))).values
    ).abs().max() == 0
    read = [one.text_backbone(*one.text_backbone.tokenize(SENTENCES)).values for one in (run, tuned)]
    assert torch.equal(*read)


def test_photographs_are_looked_at_again_only_where_no_maps_were_kept(ground: Path, tmp_path: Path) -> None:
    for name in ("tuned", "features", "data"):
        if (ground / name).is_dir():
            shutil.copytree(ground / name, tmp_path / name)
    written = tmp_path / "tuned" / "settings.yaml"
    written.write_text(written.read_text().replace(f"{ground / 'features'}", f"{tmp_path / 'features'}"))
    settings = on_tuned(ground).model_dump()
    settings["data"]["path"] = tmp_path / "data" / "captions.csv"
    settings["features"] |= {"path": tmp_path / "new", "image": f"run:{tmp_path / 'tuned'}"}
    for photo in (tmp_path / "data" / "images").iterdir():
        photo.write_bytes(b"no photograph any more")
    train(TrainSettings.model_validate(settings), tmp_path / "head")
    made = FeatureStore.open(tmp_path / "new" / "images")
    before = FeatureStore.open(ground / "tuned-features" / "images")
    place, earlier = made.index_of("3.png"), before.index_of("3.png")
    np.testing.assert_array_equal(made.row("original", place), before.row("original", earlier))
    np.testing.assert_array_equal(made.row("sizes", place), before.row("sizes", earlier))

    shutil.rmtree(tmp_path / "features")
    settings["features"]["path"] = tmp_path / "newer"
    with pytest.raises(RunError, match="images with captions"):
        train(TrainSettings.model_validate(settings), tmp_path / "none")


def test_a_head_on_tuned_backbones_is_exported_whole(ground: Path, head: Path, tmp_path: Path) -> None:
    run = load_run(head)
    out = export(run, tmp_path / "model", image_weights="float32", text_weights="float32")
    model = sterna.load(out)
    assert np.abs(model.encode_texts(SENTENCES) - run.encode_texts(SENTENCES)).max() < 1e-4
    photos = [draw_photo(number, size=(90, 60)) for number in range(30, 34)]
    assert np.abs(model.encode_images(photos) - run.encode_images(squares(run))).max() < 1e-4
    architecture = json.loads((out / "config.json").read_text())["architecture"]
    assert (architecture["image_backbone"], architecture["text_backbone"]) == ("hf:resnet", "hf:bert")
    assert architecture["tuned"]["image"]["stages"] == architecture["tuned"]["text"]["layers"] == 1
    assert "Trained further on the data above" in (out / "README.md").read_text()


def test_heads_on_tuned_and_on_published_backbones_are_one_model(
    ground: Path, head: Path, tmp_path: Path
) -> None:
    both = [load_run(head), load_run(ground / "tuned")]
    out = export(both, tmp_path / "model", dim=32, image_weights="float32", text_weights="float32")
    model = sterna.load(out)
    photos = [draw_photo(number, size=(90, 60)) for number in range(30, 34)]
    wanted = np.mean(
        [run.encode_images(squares(run)) @ run.encode_texts(SENTENCES).T for run in both], axis=0
    )
    assert model.encode_images(photos) @ model.encode_texts(SENTENCES).T == pytest.approx(wanted, abs=1e-4)


def test_a_run_stopped_on_tuned_backbones_goes_on(ground: Path, head: Path, capfd) -> None:
    assert main(["train", "--out", str(head), "--resume"]) == 0
    assert "was done already" in capfd.readouterr().out


def test_what_a_backbone_of_a_run_cannot_do_is_said(ground: Path, tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, **changes: object) -> None:
        settings = on_tuned(ground).model_dump()
        for place, value in changes.items():
            section, _, key = place.partition("__")
            settings[section][key] = value
        with pytest.raises(error, match=match):
            train(TrainSettings.model_validate(settings), tmp_path / "run")
        assert not (tmp_path / "run" / "settings.yaml").exists()

    elsewhere = tmp_path / "features"
    tuned = "run:.*tuned"
    refused(
        UsageError,
        f"{tuned}: sees 1 regions of 32 pixels .squeeze., and settings name 4 of 32",
        features__cells=2,
        features__path=elsewhere,
    )
    refused(UsageError, f"{tuned} reads 16; name as many", features__max_tokens=8, features__path=elsewhere)
    refused(
        UsageError,
        f"{tuned}: what a run has trained is not trained further; leave finetune out",
        finetune__text={"layers": 1},
        features__path=elsewhere,
    )
    refused(
        ModelError,
        "run:.*nothing: not a training run with a best checkpoint",
        features__image=f"run:{tmp_path / 'nothing'}",
        features__path=elsewhere,
    )


def test_a_tuned_run_that_was_changed_since_is_noticed(ground: Path, tmp_path: Path) -> None:
    run = train(on_tuned(ground, seed=3), tmp_path / "head").path
    again = train(
        settings_on(ground, {"text": {"layers": 1}, "image": {"stages": 1}}, seed=5), tmp_path / "other"
    )
    text = (run / "settings.yaml").read_text().replace(str(ground / "tuned"), str(again.path))
    (run / "settings.yaml").write_text(text)
    with pytest.raises(ModelError, match="not the backbone that the run's features were made with"):
        load_run(run)


def test_a_frozen_head_begins_with_the_model_of_a_tuned_run(ground: Path, tmp_path: Path) -> None:
    settings = settings_on(
        ground, {}, init_from=ground / "tuned", optimizer={"rate": 1e-12, "weight_decay": 0.0}
    )
    train(settings, tmp_path / "run")
    wanted = dict(load_run(ground / "tuned").model.named_parameters())
    came = dict(load_run(tmp_path / "run").model.named_parameters())
    assert all(torch.allclose(came[name], wanted[name], atol=1e-6) for name in wanted)
