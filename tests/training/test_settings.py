from __future__ import annotations

import inspect
from pathlib import Path

import pytest

pytest.importorskip("torch")

from sterna.errors import SettingsError
from sterna.model import Tower, build_model
from sterna.settings import load_settings, save_settings
from sterna.training import ModelSettings, TowerSettings, TrainSettings

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_shipped_configuration_is_valid_and_survives_saving(file, tmp_path):
    settings = load_settings(TrainSettings, file)
    save_settings(settings, tmp_path / "saved.yaml")
    assert load_settings(TrainSettings, tmp_path / "saved.yaml") == settings


def test_there_are_configurations_for_the_model_and_its_ablation():
    assert {"base", "both", "regions", "tiny"} <= {file.stem for file in CONFIGS}


def test_all_mistakes_are_named_at_once_with_the_nearest_known_key():
    with pytest.raises(SettingsError) as caught:
        load_settings(
            TrainSettings, {"epoch": 3, "optimizer": {"rate": -1}, "validation": {"metric": "recall"}}
        )
    message = str(caught.value)
    assert "epoch: unknown setting; did you mean 'epochs'?" in message
    assert "optimizer.rate" in message
    assert "a metric is rsum, i2t.hits.1" in message


def test_settings_say_what_the_model_takes_with_the_same_defaults():
    def defaults(function):
        return {name: one.default for name, one in inspect.signature(function).parameters.items()}

    model, tower = ModelSettings().model_dump(), TowerSettings().model_dump(exclude={"positions"})
    assert model.keys() == defaults(build_model).keys() - {"image_sources", "text_sources"}
    common = {key: value for key, value in model.items() if key not in ("image", "text")}
    assert common.items() <= defaults(build_model).items()
    assert tower.items() <= defaults(Tower).items()
    decided = {"sources", "shared", "positions"}
    assert tower.keys() | common.keys() - {"shared_layers"} == defaults(Tower).keys() - decided
