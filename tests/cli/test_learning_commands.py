"""`sterna extract`, `train` and `export`: from captioned photographs to a model that answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.cli.conftest import Sterna
from tests.conftest import draw_photo

CONFIG = """
features: {image: efficientnet-lite0, text: minilm, size: 64, cells: 2}
model: {embedding: 16, image: {skip_hidden: 16}, text: {skip_hidden: 16}}
batch_images: 4
epochs: 2
tensorboard: false
"""


@pytest.fixture
def captioned(tmp_path: Path) -> Path:
    """Twelve drawn photographs in Flickr's layout, a config, and one file that is no photograph."""
    folder = tmp_path / "flickr"
    (folder / "images").mkdir(parents=True)
    for number in range(12):
        draw_photo(number).save(folder / "images" / f"{number}.jpg")
    lines = [f"{number}.jpg#{k}\tshape {number} of colour {k}\n" for number in range(12) for k in range(2)]
    (folder / "captions.token.txt").write_text("".join(lines))
    (folder / "trainImages.txt").write_text("".join(f"{number}.jpg\n" for number in range(8)))
    (folder / "devImages.txt").write_text("".join(f"{number}.jpg\n" for number in range(8, 12)))
    (tmp_path / "config.yaml").write_text(CONFIG)
    return folder


def test_train_names_wrong_settings_with_the_nearest_known_one(sterna: Sterna, captioned: Path) -> None:
    config = captioned.parent / "config.yaml"
    args = ("train", "--config", config, "--data", captioned, "--out", captioned.parent / "run")
    outcome = sterna(*args, "--set", "optimiser.rate=1", "--format", "json")
    assert (outcome.code, outcome.out) == (2, "")
    assert "optimizer" in outcome.err
    assert not (captioned.parent / "run").exists()


def test_train_does_not_overwrite_a_folder_and_resume_needs_a_run(sterna: Sterna, captioned: Path) -> None:
    config = captioned.parent / "config.yaml"
    outcome = sterna("train", "--config", config, "--data", captioned, "--out", captioned)
    assert outcome.code == 1
    assert "name a folder that does not exist" in outcome.err
    nothing = sterna("train", "--out", captioned.parent / "run", "--resume")
    assert (nothing.code, nothing.err.count("\n")) == (1, 1)


def test_export_of_what_is_no_run_is_one_sentence(sterna: Sterna, tmp_path: Path) -> None:
    outcome = sterna("export", tmp_path, "--out", tmp_path / "model")
    assert (outcome.code, outcome.out) == (1, "")
    assert "not a training run" in outcome.err


@pytest.mark.long
def test_from_photographs_with_captions_to_a_model_that_answers(
    sterna: Sterna, captioned: Path, tmp_path: Path
) -> None:
    features, run, model = tmp_path / "features", tmp_path / "run", tmp_path / "model"
    extract = ("extract", "--data", captioned, "--out", features, "--image-backbone", "efficientnet-lite0")
    made = sterna(*extract, "--size", "64", "--cells", "2", "--format", "json")
    assert made.code == 0, made.err
    assert (made.json["schema"], made.json["images"], made.json["captions"]) == (1, 12, 24)
    again = sterna(*extract, "--size", "64", "--cells", "2", "--format", "json").json
    assert (again["images"], again["captions"], again["skipped"]) == (0, 0, 36)

    train = ("train", "--config", tmp_path / "config.yaml", "--data", captioned, "--features", features)
    trained = sterna(*train, "--out", run, "--set", "seed=3", "--format", "json")
    assert trained.code == 0, trained.err
    assert (trained.json["metric"], trained.json["step"], trained.json["stopped_early"]) == ("rsum", 4, False)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {row["kind"] for row in rows} == {"train", "validation"}
    assert sterna("train", "--out", run, "--resume").code == 0

    exported = sterna("export", run, "--out", model, "--name", "small", "--format", "json")
    assert exported.code == 0, exported.err
    assert exported.json["name"] == "small"
    info = sterna("model", "info", model, "--verify", "--format", "json").json
    assert info["verified"] is True

    measure = ("eval", "--data", captioned, "--split", "dev", "--format", "json")
    by_folder, by_run = (sterna(*measure, "--model", which).json for which in (model, run))
    assert by_folder["rsum"] == pytest.approx(by_run["rsum"], abs=30)  # four images: a place is many points
    assert (by_folder["images"], by_folder["captions"]) == (4, 8)
    assert sterna("index", captioned / "images", "--model", model).code == 0
    assert len(sterna("search", "a shape", "--format", "paths").out.splitlines()) == 10
