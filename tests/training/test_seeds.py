"""Several seeds in one call: a run each, resumable, and how much their figures differ."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

from sterna.cli import main
from sterna.errors import RunError, StoppedError, UsageError
from sterna.settings import load_settings, save_settings
from sterna.training import TrainSettings, train, train_seeds
from tests.training.toy import make_toy, toy_settings


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"), train=24)


@pytest.fixture(scope="module")
def three(toy):
    return train_seeds(toy_settings(toy, epochs=2), toy / "three", (0, 2, 5))


def last(run):
    return load_file(run / "checkpoints" / "last.safetensors")


def test_each_seed_is_a_run_like_any_other(toy, three, tmp_path):
    assert [run.path.name for run in three.runs.values()] == ["seed-0", "seed-2", "seed-5"]
    train(toy_settings(toy, epochs=2, seed=2), tmp_path / "alone")
    one, other = last(tmp_path / "alone"), last(toy / "three" / "seed-2")
    assert all(torch.equal(one[name], other[name]) for name in one)
    others = last(toy / "three" / "seed-5")
    assert any(not torch.equal(one[name], others[name]) for name in one)


def test_mean_and_deviation_are_of_the_best_validations(toy, three):
    rsums = []
    for seed in (0, 2, 5):
        log = (toy / "three" / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()
        rsums.append(max(row["rsum"] for row in map(json.loads, log) if row["kind"] == "validation"))
    assert three.mean["rsum"] == pytest.approx(sum(rsums) / 3)
    assert three.deviation["rsum"] == pytest.approx(statistics.stdev(rsums))
    assert [figures["rsum"] for figures in three.figures.values()] == rsums
    written = json.loads((toy / "three" / "seeds.json").read_text())
    assert written == json.loads(json.dumps(three.as_json()))
    assert [one["seed"] for one in written["seeds"]] == [0, 2, 5]
    assert written["mean"]["i2t.hits.10"] == three.mean["i2t.hits.10"]


def test_features_are_shared_where_no_place_is_named(toy, tmp_path):
    settings = toy_settings(toy, epochs=1)
    own = settings.model_copy(update={"features": settings.features.model_copy(update={"path": None})})
    shutil.copytree(toy / "features", tmp_path / "out" / "features")
    train_seeds(own, tmp_path / "out", [3])
    kept = load_settings(TrainSettings, tmp_path / "out" / "seed-3" / "settings.yaml")
    assert kept.features.path == tmp_path / "out" / "features"


def test_one_seed_has_no_deviation(toy, tmp_path):
    result = train_seeds(toy_settings(toy, epochs=1), tmp_path, [4])
    assert result.deviation["rsum"] is None
    assert json.loads((tmp_path / "seeds.json").read_text())["standard_deviation"]["rsum"] is None


def test_a_call_that_was_stopped_goes_on_where_it_was(toy, three, tmp_path):
    settings, told = toy_settings(toy, epochs=2, checkpoint_every=1), []

    def interrupt(seed, progress):
        told.append((seed, progress.step))
        if (seed, progress.step) == (2, 1):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError) as caught:
        train_seeds(settings, tmp_path / "out", (0, 2, 5), progress=interrupt)
    assert str(caught.value) == (
        f"{tmp_path / 'out'}: stopped in the run of seed 2; go on with: "
        f"sterna train --out {tmp_path / 'out'} --seeds 0,2,5 --resume"
    )
    assert told[:5] == [(0, 1), (0, 2), (0, 3), (0, 4), (2, 1)]
    again = []
    result = train_seeds(
        None, tmp_path / "out", (0, 2, 5), resume=True, progress=lambda seed, one: again.append(seed)
    )
    assert set(again) <= {2, 5}
    assert result.figures == three.figures


def test_what_cannot_be_is_refused_before_the_first_seed_is_trained(toy, three, tmp_path):
    settings = toy_settings(toy, epochs=1)
    with pytest.raises(UsageError, match="seeds 1, 1: different numbers are needed, at least one"):
        train_seeds(settings, tmp_path, (1, 1))
    with pytest.raises(UsageError, match="seeds none"):
        train_seeds(settings, tmp_path, ())
    with pytest.raises(RunError, match="there is no run of these seeds to go on with"):
        train_seeds(None, tmp_path, (1,), resume=True)
    train(settings, tmp_path / "seed-9")
    with pytest.raises(RunError, match="already holds a run"):
        train_seeds(settings, tmp_path, (8, 9))
    assert not (tmp_path / "seed-8").exists()


def test_the_command_line_shows_a_table_of_seeds(toy, tmp_path, capsys):
    save_settings(toy_settings(toy, epochs=1), tmp_path / "config.yaml")
    arguments = ["train", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--seeds", "0, 1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["figure", "mean", "deviation", "seed", "0", "seed", "1"]
    assert lines[1].split()[0] == "rsum"
    assert "±" in lines[1]
    assert (
        lines[-1] == f"best weights by rsum on validation; {tmp_path / 'out' / 'seeds.json'} has every figure"
    )
    assert (
        main(["train", "--out", str(tmp_path / "out"), "--seeds", "0,1", "--resume", "--format", "json"]) == 0
    )
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "seeds.json").read_text())
    assert main([*arguments, "--seeds", "0;1"]) == 2
    assert "--seeds 0;1: whole numbers with commas between them are needed" in capsys.readouterr().err
