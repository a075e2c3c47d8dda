"""From a run that aligns regions with words to a model folder that does, and to figures measured by it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("transformers")

import sterna
from sterna.data import read
from sterna.encoders import aligned, alignments, fingerprint_folder
from sterna.errors import UsageError
from sterna.library import Library
from sterna.training import TrainSettings, export, load_run, train
from tests.conftest import draw_photo
from tests.training.test_export import make_backbones, make_photographs

pytestmark = pytest.mark.long
TERMS = [
    {"name": "hinge", "params": {"similarity": "MrSw", "reduction": "mean"}},
    {"name": "hinge", "params": {"reduction": "mean"}},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`made/data`, and two runs: `aligned` is measured by MrSw, `both` by vectors."""
    folder = tmp_path_factory.mktemp("aligned")
    image, text = make_backbones(folder)
    data = make_photographs(folder / "data")
    tower = {"skip": False, "layers": 1, "pooling": "first", "cls_token": True}
    for name, score in (("aligned", "MrSw"), ("both", "dot")):
        settings = {
            "data": {"path": data},
            "features": {"path": folder / "features", "image": image, "text": text}
            | {"size": 32, "cells": 2, "max_tokens": 16},
            "model": {"embedding": 16, "width": 16, "heads": 2, "feedforward": 32}
            | {"image": tower, "text": {**tower, "cls_token": False, "trim": [1, 1]}},
            "objective": {"name": "weighted_sum", "params": {"terms": TERMS}},
            "score": score,
            "batch_images": 8,
            "epochs": 1,
            "tensorboard": False,
            "threads": 1,
        }
        train(TrainSettings.model_validate(settings), folder / name)
    return folder


@pytest.fixture(scope="module")
def folder(made: Path) -> Path:
    return export(made / "aligned", made / "model", image_weights="float32", text_weights="float32")


def test_a_folder_tells_the_regions_and_words_that_its_run_tells(made: Path, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert (config["score"], config["alignment"]) == ("MrSw", "MrSw")
    assert config["image"]["items"] == ["regions", "regions_mask"]
    assert config["fingerprint"] == fingerprint_folder(folder)
    card = (folder / "README.md").read_text()
    assert "then the alignment of regions with words by MrSw, says how well" in card
    assert "Answers are ordered by MrSw." in card
    assert "--rerank 50" in card
    run, model = (aligned(sterna.load(path)) for path in (made / "aligned", folder))
    assert (model.score, model.alignment) == (run.score, run.alignment) == ("MrSw", "MrSw")
    for number in range(3):
        photo = draw_photo(number)
        assert model.regions(photo).shape == (4, 16)  # a cell each; the learned item is none
        assert np.abs(model.regions(photo) - run.regions(photo)).max() < 1e-4
        assert np.abs(model.encode_images(photo) - run.encode_images(photo)).max() < 1e-4
    for sentence, words in (("a photo of number 3", 5), ("number 7", 2), ("", 0)):
        assert model.words(sentence).shape == (words, 16)  # without the marks at both ends
        assert np.abs(model.words(sentence) - run.words(sentence)).max(initial=0) < 1e-4
        assert np.abs(model.encode_texts(sentence) - run.encode_texts(sentence)).max() < 1e-4
    np.testing.assert_allclose(np.linalg.norm(model.words("a photo"), axis=1), 1, atol=1e-5)


def test_evaluating_by_the_score_gives_what_validation_gave(made: Path, folder: Path) -> None:
    wanted = load_run(made / "aligned").results
    for model in (made / "aligned", folder):
        report = sterna.evaluate(model, made / "data" / "captions.csv", split="val", bootstrap=0)
        assert report.score == "MrSw"
        assert report.rerank == {"alignment": "MrSw", "first": "all"}
        assert report.rsum == pytest.approx(wanted["rsum"], abs=1e-6)
        assert report.as_json()["rerank"] == {"alignment": "MrSw", "first": "all"}


def test_the_first_are_re_ranked_where_asked(made: Path) -> None:
    data = read(made / "data" / "captions.csv")
    plain, some, whole, none = (
        sterna.evaluate(made / "both", data, split="val", bootstrap=0, rerank=first)
        for first in (None, 3, 1000, 0)
    )
    assert plain.rerank is none.rerank is None
    assert plain.score == "dot"
    assert some.rerank == {"alignment": "MrSw", "first": 3}
    assert (some.score, whole.score) == ("dot", "MrSw")
    assert whole.rerank == {"alignment": "MrSw", "first": "all"}
    # what is among the first three by vectors stays there, and nothing else comes in
    found = [report.ranks.t2i.ranks for report in (plain, some)]
    assert ((found[0] < 3) == (found[1] < 3)).all()
    part = data.split("val")
    scores = alignments(aligned(sterna.load(made / "both")), part.paths, part.captions)
    right = scores[part.owners, np.arange(len(part.captions))]
    assert (whole.ranks.t2i.ranks == (scores >= right).sum(0) - 1).all()


def test_a_library_is_searched_by_both(made: Path, folder: Path, tmp_path: Path) -> None:
    with Library.open(tmp_path / "library", model=folder) as library:
        library.index(made / "data" / "images")
        hits = library.search("a photo of number 3", k=24, rerank=24)
    paths = sorted(made.glob("data/images/*.png"))
    scores = alignments(aligned(sterna.load(folder)), paths, ["a photo of number 3"])[:, 0]
    assert [hit.path for hit in hits] == [paths[place] for place in np.argsort(-scores, kind="stable")]


def test_a_run_that_cannot_align_says_so(made: Path, tiny_model: Path) -> None:
    sentence = "tiny-0: cannot be re-ranked; one model is needed that aligns regions with words"
    with pytest.raises(UsageError, match=sentence):
        sterna.evaluate(tiny_model, made / "data" / "captions.csv", split="val", rerank=5)
    with pytest.raises(UsageError, match="cannot be re-ranked; one model is needed"):
        sterna.evaluate([tiny_model, made / "both"], made / "data" / "captions.csv", split="val", rerank=5)
    for wrong in (-1, 1.5, True, "3"):
        with pytest.raises(UsageError, match="rerank=.*: a whole number is needed, 0 for none"):
            sterna.evaluate(tiny_model, made / "data" / "captions.csv", split="val", rerank=wrong)


def test_what_is_said_of_the_scores_of_vectors_does_not_go_with_alignments(made: Path) -> None:
    from sterna.evaluation import Hubs, Protocol

    for options in ({"hubs": Hubs("csls")}, {"min_score": 0.1}, {"max_distance": 0.5}):
        with pytest.raises(UsageError, match=f"{next(iter(options))}: is about the scores of vectors"):
            sterna.evaluate(
                made / "aligned",
                made / "data" / "captions.csv",
                split="val",
                bank="train",
                protocol=Protocol(**options),
            )
