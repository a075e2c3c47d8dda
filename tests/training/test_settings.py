from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

pytest.importorskip("torch")

from sterna.errors import SettingsError, UsageError
from sterna.model import Tower, build_model
from sterna.settings import load_settings, save_settings
from sterna.training import ModelSettings, TowerSettings, TrainSettings
from sterna.training._check import check_settings

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_shipped_configuration_is_valid_and_survives_saving(file, tmp_path):
    settings = load_settings(TrainSettings, file)
    save_settings(settings, tmp_path / "saved.yaml")
    assert load_settings(TrainSettings, tmp_path / "saved.yaml") == settings


def test_there_are_configurations_for_the_model_and_its_ablation():
    assert {"augment", "base", "both", "regions", "tiny"} <= {file.stem for file in CONFIGS}


def test_all_mistakes_are_named_at_once_with_the_nearest_known_key():
    with pytest.raises(SettingsError) as caught:
        load_settings(
            TrainSettings, {"epoch": 3, "optimizer": {"rate": -1}, "validation": {"metric": "recall"}}
        )
    message = str(caught.value)
    assert "epoch: unknown setting; did you mean 'epochs'?" in message
    assert "optimizer.rate" in message
    assert "a metric is rsum, or i2t. or t2i. and one of hits.K, recall.K, median_rank" in message


def test_settings_say_what_the_model_takes_with_the_same_defaults():
    def defaults(function):
        return {name: one.default for name, one in inspect.signature(function).parameters.items()}

    model, tower = ModelSettings().model_dump(), TowerSettings().model_dump(exclude={"positions"})
    assert model.keys() == defaults(build_model).keys() - {"image_sources", "text_sources"}
    common = {key: value for key, value in model.items() if key not in ("image", "text")}
    assert common.items() <= defaults(build_model).items()
    own = {key: value for key, value in tower.items() if value is not None or key not in common}
    assert own.items() <= defaults(Tower).items()
    decided = {"sources", "shared", "positions"}
    assert tower.keys() | common.keys() - {"names", "shared_layers"} == defaults(Tower).keys() - decided


def test_a_key_that_comes_twice_is_named_with_its_line(tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text("seed: 0\nmodel:\n  width: 8\n  heads: 2\n  width: 16\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(TrainSettings, file)
    assert str(caught.value) == f"{file}, line 5: width is there twice; leave one"


def test_a_value_given_as_it_is_goes_through_no_yaml(tmp_path):
    for name in ("2019", "1e3", "nan", "yes", "null", "a: b", "😀", "'quoted'"):
        settings = load_settings(TrainSettings, {}, values={"data.path": name, "features.path": Path(name)})
        assert (settings.data.path, settings.features.path) == (Path(name), Path(name))
        save_settings(settings, tmp_path / "saved.yaml")
        assert load_settings(TrainSettings, tmp_path / "saved.yaml") == settings


def test_an_override_is_a_number_with_an_exponent_unless_it_stands_in_quotes():
    settings = load_settings(
        TrainSettings, {"data": {"terms": "old"}}, overrides=["optimizer.rate=1e-3", 'data.terms="1e3"']
    )
    assert (settings.optimizer.rate, settings.data.terms) == (1e-3, "1e3")
    assert load_settings(TrainSettings, overrides=["data.terms=nan"]).data.terms == "nan"
    later = load_settings(TrainSettings, values={"seed": 1}, overrides=["seed=2"])
    assert later.seed == 2


def test_a_constant_rate_takes_no_floor():
    with pytest.raises(SettingsError, match=r"schedule: floor=0\.1 would change nothing: a constant rate"):
        load_settings(TrainSettings, {"schedule": {"name": "constant", "floor": 0.1}})


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_shipped_configuration_can_be_trained(file):
    here = ["device=cpu", "precision=float32"]  # some want a GPU
    check_settings(load_settings(TrainSettings, file, overrides=here))


def test_the_reference_of_settings_is_up_to_date():
    file = Path(__file__).parents[2] / "docs" / "generate_settings.py"
    module = runpy.run_path(str(file))
    assert module["PAGE"].read_text() == module["page"](), "run: python docs/generate_settings.py"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finetune": {"image": {"augment": {}}}}, "augment would change nothing: no stages are trained"),
        ({"finetune": {"image": {"stages": 1, "augment": {"crop": 0}}}}, "crop"),
        ({"finetune": {"image": {"stages": 1, "augment": {"color": 0.1}}}}, "colour"),
    ],
)
def test_changes_of_photographs_that_cannot_be_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(TrainSettings, changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": {"views": ["original", "flip"]}}, "features.views: with finetune.image.augment"),
        ({"objective": {"name": "cusa"}}, "cusa reads features"),
        ({"teacher": ["runs/teacher"], "objective": {"name": "distill"}}, "teacher reads features"),
    ],
)
def test_nothing_else_looks_at_photographs_that_are_changed_anew(changes, message):
    tuning = {"finetune": {"image": {"stages": 1, "augment": {}}}}
    settings = load_settings(TrainSettings, {**tuning, **changes})
    with pytest.raises(UsageError, match=message):
        check_settings(settings)
