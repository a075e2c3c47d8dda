"""Runs that are trained, or measured, by the alignment of regions with words, or by order violations."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

import sterna
from sterna.cli import main
from sterna.errors import SettingsError, UsageError
from sterna.features import FeatureStore
from sterna.model import TERN, Encoded
from sterna.objectives import Objective, build_objective
from sterna.scoring import ALIGNMENTS, SCORES, Items
from sterna.settings import load_settings
from sterna.training import TrainSettings, encode_feature_items, train
from sterna.training._learner import Batch, Learner, new_model
from sterna.training._scores import trained_alignment
from tests.training.toy import SOURCES, WORDS, make_toy, toy_settings

ITEMS = {"embedding": 16, "width": 16, "heads": 2, "feedforward": 32, "dropout": 0.0} | {
    side: {"skip": False, "pooling": "max"} for side in ("image", "text")
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy(tmp_path_factory.mktemp("toy"))


def hinge(similarity: str, **params: object) -> dict[str, object]:
    return {"name": "hinge", "params": {"similarity": similarity, **params}}


def rows(run: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def by_hand(run: Path, toy: Path, settings: TrainSettings) -> np.ndarray:
    """Scores [N, C] of the validation split, one image and one caption at a time."""
    torch.manual_seed(0)
    model: TERN = new_model(settings.model, image_sources=SOURCES, text_sources=(WORDS,))
    weights = load_file(run / "checkpoints" / "best.safetensors")
    start = "weights/model."
    model.load_state_dict(
        {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}
    )
    model.eval()
    data = read_data(toy)
    stores = [FeatureStore.open(toy / "features" / name) for name in ("images", "captions")]
    images, captions = stores[0].indices_of(data.image_ids), stores[1].indices_of(data.caption_ids)
    with torch.inference_mode():
        seen, read = [], []
        for image in images:
            values, mask = map(torch.from_numpy, stores[0].rows("original", np.array([image])))
            boxes = torch.from_numpy(stores[0].rows("original.boxes", np.array([image]))[0])
            seen.append(model.read_images(values.float(), mask, boxes))
        for caption in captions:
            values, mask = map(torch.from_numpy, stores[1].rows("values", np.array([caption])))
            read.append(model.read_texts(values.float(), mask))
        return np.array([[pair(image, text, settings.score) for text in read] for image in seen])


def pair(image: Encoded, text: Encoded, score: str) -> float:
    if score not in ALIGNMENTS:
        return float(SCORES[score](image.vectors, text.vectors))
    return float(ALIGNMENTS[score](Items(image.items, image.mask), Items(text.items, text.mask)))


def read_data(toy: Path):
    from sterna.data import read

    return read(toy / "data").split("dev")


@pytest.mark.parametrize(
    ("score", "objective", "model"),
    [
        ("MrSw", hinge("MrSw", reduction="mean"), ITEMS),
        pytest.param("scan-t2i", hinge("scan-t2i", reduction="mean"), ITEMS, marks=pytest.mark.long),
        pytest.param(
            "order",
            hinge("order", reduction="mean", negatives="all"),
            ITEMS | {"absolute": True},
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_run_learns_by_its_score_and_is_measured_by_it(
    score: str, objective: dict, model: dict, toy: Path, tmp_path: Path
) -> None:
    settings = toy_settings(
        toy,
        model=model,
        objective=objective,
        score=score,
        epochs=8,
        log_every=1,
        optimizer={"rate": 0.01, "weight_decay": 0.0},
    )
    result = train(settings, tmp_path / "run")
    losses = [row["loss"] for row in rows(tmp_path / "run", "train")]
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    best = next(row for row in rows(tmp_path / "run", "validation") if row["step"] == result.best_step)
    assert best["t2i"]["hits"]["1"] > 3 / 16  # three times chance
    data, scores = read_data(toy), by_hand(tmp_path / "run", toy, settings)
    for way, matrix in (("i2t", scores), ("t2i", scores.T)):
        assert best[way]["hits"]["1"] == pytest.approx(slow_first(matrix, data.owners, way), abs=1e-9)


@pytest.fixture(scope="module")
def run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, measured by MrSw."""
    path = tmp_path_factory.mktemp("short") / "run"
    train(toy_settings(toy, model=ITEMS, objective=hinge("MrSw"), score="MrSw", epochs=1), path)
    return path


def test_a_run_is_measured_on_features_by_its_alignment(run: Path, toy: Path) -> None:
    (wanted,) = rows(run, "validation")
    report = sterna.evaluate(run, toy / "data", split="dev", features=toy / "features", bootstrap=0)
    assert report.rerank == {"alignment": "MrSw", "first": "all"}
    assert report.rsum == pytest.approx(wanted["rsum"], abs=1e-9)
    some = sterna.evaluate(run, toy / "data", split="dev", features=toy / "features", bootstrap=0, rerank=2)
    assert some.rerank == {"alignment": "MrSw", "first": 2}


def test_what_has_no_features_has_no_items_and_is_never_found(run: Path, toy: Path) -> None:
    data = read_data(toy)
    image_ids = ("gone.jpg", *data.image_ids[1:])
    changed = dataclasses.replace(data, image_ids=image_ids, caption_ids=(*data.caption_ids[:-1], "gone"))
    regions, words = encode_feature_items(run, changed, toy / "features")
    assert [place for place, one in enumerate(regions) if one is None] == [0]
    assert [place for place, one in enumerate(words) if one is None] == [len(words) - 1]
    report = sterna.evaluate(run, changed, features=toy / "features", bootstrap=0)
    lost = [*np.flatnonzero(data.owners == 0), len(words) - 1]
    assert report.unreadable == ("gone.jpg: no features", "gone: no features")
    assert (report.ranks.t2i.ranks[lost] == len(regions)).all()
    assert (np.delete(report.ranks.t2i.ranks, lost) < len(regions) - 1).all()


def slow_first(scores: np.ndarray, owners: np.ndarray, way: str) -> float:
    """The share of queries whose best answer is right."""
    if way == "t2i":
        return float(np.mean([owners[caption] == row.argmax() for caption, row in enumerate(scores)]))
    asked = [image for image in range(len(scores)) if image in owners]
    return float(np.mean([owners[scores[image].argmax()] == image for image in asked]))


class Asking(Objective):
    """Keeps what it was given."""

    needs = frozenset({"score:MrSw", "score:scan-i2t-lse", "score:order"})

    def forward(self, images, captions, owners, *, given):
        self.given = given
        return given.scores["MrSw"].sum()


@pytest.mark.parametrize("bfloat16", [False, True])
def test_an_objective_is_given_the_scores_that_it_asks_for(bfloat16: bool) -> None:
    settings = TrainSettings.model_validate({"model": ITEMS})
    torch.manual_seed(0)
    learner = Learner(new_model(settings.model, image_sources=(5,), text_sources=(3,)), Asking())
    mask = torch.tensor([[True, True, False], [True, True, True]])
    batch = Batch(
        regions=torch.randn(2, 3, 5),
        regions_mask=mask,
        boxes=torch.rand(2, 3, 4),
        tokens=torch.randn(4, 2, 3),
        tokens_mask=torch.tensor([[True, True], [True, False]] * 2),
        owners=torch.tensor([0, 0, 1, 1]),
        places=torch.tensor([0, 1]),
        epoch=torch.tensor(0.0, dtype=torch.float64),
    )
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        learner(batch).backward()
        images = learner.model.read_images(batch.regions, batch.regions_mask, batch.boxes)
        captions = learner.model.read_texts(batch.tokens, batch.tokens_mask)
    given = learner.objective.given.scores
    assert given.keys() == {"MrSw", "scan-i2t-lse", "order"}
    for name, score in given.items():
        assert (score.dtype, score.shape) == (torch.float32, (2, 4))
        items = [Items(one.items, one.mask) for one in (images, captions)]
        wanted = SCORES[name](*(items if name in ALIGNMENTS else (images.vectors, captions.vectors)))
        torch.testing.assert_close(score, wanted)
    assert all(torch.isfinite(p.grad).all() for p in learner.parameters() if p.grad is not None)


def refused(toy: Path, run: Path, **changes: object) -> str:
    with pytest.raises(UsageError) as caught:
        train(toy_settings(toy, **changes), run)
    assert not run.exists()
    return str(caught.value)


def test_what_cannot_be_trained_or_measured_is_refused_in_a_sentence(toy: Path, tmp_path: Path) -> None:
    run, pooled = tmp_path / "run", toy_settings(toy).model.model_dump()
    mean = "compares regions with words, and this tower pools its items before all else; give it layers"
    assert refused(toy, run, objective=hinge("MrSw"), score="MrSw").startswith(f"model.image: MrSw {mean}")
    half = {**ITEMS, "text": pooled["text"]}
    assert refused(toy, run, model=half, score="symm").startswith(f"model.text: symm {mean}")
    assert "objective: similarity='MrWs' is not known; known: MrAVGw, MrSw, MwSr, dot, order, scan-i2t" in (
        refused(toy, run, model=ITEMS, objective=hinge("MrWs"))
    )
    for similarity in ("order", "MrSw"):
        told = refused(toy, run, model=ITEMS, objective=hinge(similarity))
        assert told.startswith(
            f"score='dot': the objective compares by {similarity} alone, which trains nothing"
        )
    assert refused(toy, run, score="order").startswith("score='order': the objective compares by dot alone")
    both = {"name": "weighted_sum", "params": {"terms": [hinge("MrSw"), hinge("order")]}}
    assert refused(toy, run, model=ITEMS, objective=both).startswith(
        "score='dot': the objective compares by MrSw, order alone"
    )


def test_a_score_that_is_not_known_is_named_with_those_that_are() -> None:
    with pytest.raises(
        SettingsError, match=r"score: .*'cosine' is not known; known: MrAVGw, MrSw, MwSr, dot"
    ):
        load_settings(TrainSettings, {"score": "cosine"})


def test_a_run_aligns_by_what_it_is_measured_by_or_else_by_what_it_is_trained_by() -> None:
    both = {"terms": [hinge("scan-t2i"), hinge("MwSr"), {"name": "infonce"}]}
    trained = build_objective("weighted_sum", both)
    assert trained_alignment("dot", trained) == "MwSr"
    assert trained_alignment("symm", trained) == "symm"
    assert trained_alignment("order", build_objective("infonce")) is None


def test_the_command_measures_a_run_on_features(
    run: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Photographs need not be there."""
    shutil.copytree(toy / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.jpg"))
    one = ["eval", "--data", str(tmp_path / "data"), "--split", "dev", "--features", str(toy / "features")]
    assert main([*one, "--model", str(run), "--rerank", "2", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = sterna.evaluate(
        run, toy / "data", split="dev", features=toy / "features", bootstrap=0, rerank=2
    ).as_json()
    intervals = found["intervals"], wanted.pop("intervals")
    assert intervals[0]
    assert found == wanted | {"intervals": intervals[0]}
    assert main([*one, "--model", str(run), "--model", str(run)]) == 2
    told = "sterna: run + run: cannot be measured by MrSw; one model is needed that aligns regions with words"
    assert capsys.readouterr().err.splitlines()[-1].startswith(told)
    assert main(one) == 2
    assert "features are for a training run: name its folder as the model" in capsys.readouterr().err
