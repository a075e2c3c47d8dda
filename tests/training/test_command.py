"""`sterna train` on features that are there."""

from __future__ import annotations

import shutil

import pytest

torch = pytest.importorskip("torch")

from sterna.cli import main
from sterna.settings import save_settings
from tests.training.toy import make_toy, toy_settings


@pytest.mark.parametrize("name", ["2019", "1e3", "nan", "😀"])
def test_data_and_features_are_found_whatever_they_are_called(name, tmp_path, monkeypatch):
    toy = make_toy(tmp_path / "toy", train=24)
    save_settings(toy_settings(toy, epochs=1, data={}), tmp_path / "config.yaml")
    for inner, place in (("data", tmp_path), ("features", tmp_path / "features")):
        place.mkdir(exist_ok=True)
        shutil.move(toy / inner, place / name)
    monkeypatch.chdir(tmp_path)
    places = ["--data", name, "--features", f"features/{name}"]
    assert main(["train", "--config", "config.yaml", *places, "--out", "run"]) == 0


def test_what_was_left_out_is_told_on_stderr(tmp_path, capsys):
    toy = make_toy(tmp_path, train=24)
    with (toy / "data" / "captions.token.txt").open("a") as file:
        file.writelines(f"broken line {number}\n" for number in range(12))
    save_settings(toy_settings(toy, epochs=1), tmp_path / "config.yaml")
    out = tmp_path / "run"
    assert main(["train", "--config", str(tmp_path / "config.yaml"), "--out", str(out)]) == 0
    told = capsys.readouterr().err
    assert told.count("captions.token.txt:") == 10
    assert f"sterna: and 2 more; {out / 'run.json'} has the first of them\n" in told


def test_a_run_that_ended_says_so_and_keeps_its_figures(tmp_path, capsys):
    toy = make_toy(tmp_path, train=24)
    save_settings(toy_settings(toy, epochs=1), tmp_path / "config.yaml")
    out = str(tmp_path / "run")
    assert main(["train", "--config", str(tmp_path / "config.yaml"), "--out", out]) == 0
    first = capsys.readouterr().out.splitlines()
    assert main(["train", "--out", out, "--resume"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0] == first[0]
    assert (first[1].startswith("done in "), again[1].startswith("was done already; make")) == (True, True)


def test_settings_that_are_refused_leave_no_run(tmp_path, capsys):
    toy = make_toy(tmp_path, train=24)
    save_settings(toy_settings(toy, epochs=1), tmp_path / "config.yaml")
    for wrong in ("features.text=minilmm", "features.views=[original,flop]", "finetune.text.layers=99"):
        code = main(
            [
                "train",
                "--config",
                str(tmp_path / "config.yaml"),
                "--set",
                wrong,
                "--out",
                str(tmp_path / "run"),
            ]
        )
        assert code != 0, wrong
        assert not (tmp_path / "run" / "settings.yaml").exists(), wrong
