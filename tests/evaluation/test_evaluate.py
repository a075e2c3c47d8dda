from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import sterna._evaluate
from sterna import errors, evaluation
from sterna.data import CaptionedImages, read
from sterna.evaluation import Progress, evaluate
from tests.data.writing import touch, write


@dataclass
class Answer:
    vector: np.ndarray | None
    error: errors.PhotoError | None = None


class Fake:
    """Knows which photograph is meant by the first letter; cannot read those whose name begins with x."""

    name = "fake"

    def _vector(self, letter: str) -> np.ndarray:
        return np.eye(26, dtype=np.float32)[ord(letter) - ord("a")]

    def encode_texts(self, sentences: Sequence[str]) -> np.ndarray:
        return np.stack([self._vector(sentence[0]) for sentence in sentences])

    def stream_images(self, photos: Iterable[Path]) -> Iterator[Answer]:
        for photo in photos:
            unreadable = photo.name.startswith("x")
            reason = errors.PhotoError("the file is cut short", path=str(photo))
            yield Answer(None, reason) if unreadable else Answer(self._vector(photo.name[0]))


@pytest.fixture
def data(tmp_path: Path) -> CaptionedImages:
    folder = tmp_path / "set"
    touch(folder / "images", ["a.jpg", "b.jpg", "c.jpg", "x.jpg"])
    write(folder / "captions.token.txt", "".join(f"{n}.jpg#{k}\t{n} {k}\n" for n in "abcx" for k in range(2)))
    write(folder / "testImages.txt", "a.jpg\nb.jpg\nx.jpg\n")
    return read(folder)


def test_the_json_has_the_fields_that_are_promised(data: CaptionedImages) -> None:
    found = evaluate(Fake(), data).as_json()
    way = {
        "hits": {"1": pytest.approx(2 / 3), "5": pytest.approx(2 / 3), "10": pytest.approx(2 / 3)},
        "recall": {"1": pytest.approx(1 / 3), "5": pytest.approx(2 / 3), "10": pytest.approx(2 / 3)},
        "median_rank": 1.0,
        "mrr": pytest.approx(2 / 3),
    }
    promised = ("schema", "model", "data", "split", "images", "captions", "i2t", "t2i", "rsum", "intervals")
    assert list(found)[: len(promised)] == list(promised)
    assert {name: found[name] for name in list(found)[len(promised) :]} == {
        "protocol": "full",
        "score": "dot",
        "min_score": None,
        "queries": {"i2t": 3, "t2i": 6},
        "relevance": {"i2t": "captions", "t2i": "captions"},
        "hubs": None,
    }
    intervals = found.pop("intervals")
    found = {name: found[name] for name in promised if name in found}
    for name in ("i2t", "t2i"):
        assert list(found[name]) == [each for each in evaluation.METRICS if each != "returned"]  # type: ignore[call-overload]
        found[name] = {each: found[name][each] for each in way | {"mean_rank": 0}}  # type: ignore[index]
    assert found == {
        "schema": 1,
        "model": "fake",
        "data": "set",
        "split": "test",
        "images": 3,
        "captions": 6,
        "i2t": {**way, "mean_rank": 3.0},
        "t2i": {**way, "recall": way["hits"], "mean_rank": 2.0},
        "rsum": pytest.approx(400),
    }
    assert len(intervals["rsum"]) == 2  # type: ignore[index]
    json.dumps(found | {"intervals": intervals}, allow_nan=False)


def test_photographs_that_cannot_be_read_are_named_and_count_as_not_found(data: CaptionedImages) -> None:
    found = evaluate(Fake(), data, bootstrap=0)
    assert found.unreadable == (f"{data.paths[3]}: the file is cut short",)
    assert found.intervals == {}
    for rows in (found.ranks.i2t.first, found.ranks.t2i.ranks):
        assert (rows >= 3).sum() * 3 == len(rows)


def test_progress_is_told_to_the_end(data: CaptionedImages) -> None:
    told: list[Progress] = []
    evaluate(Fake(), data, split="test", progress=told.append, bootstrap=0)
    assert told[-1] == ("photograph", 3, 3)
    assert ("caption", 6, 6) in told


def test_data_without_captions_is_refused(photos: Path) -> None:
    with pytest.raises(errors.DataError, match="photos: there are no captions"):
        evaluate(Fake(), read(photos))


def test_several_splits_must_be_chosen_from(data: CaptionedImages) -> None:
    write(data.root / "devImages.txt", "c.jpg\n")
    with pytest.raises(errors.DataError, match=r"several splits \(dev, test\); name one"):
        evaluate(Fake(), read(data.root))
    assert evaluate(Fake(), read(data.root), split="dev").rsum == 600


def test_vectors_of_two_lengths_are_refused(data: CaptionedImages) -> None:
    class Odd(Fake):
        def encode_texts(self, sentences: Sequence[str]) -> np.ndarray:
            return super().encode_texts(sentences)[:, :5]

    with pytest.raises(errors.ModelError, match=r"\(26,\) for a photograph and \(5,\) for a sentence"):
        evaluate(Odd(), data)


def test_one_call_reads_and_measures(data: CaptionedImages) -> None:
    found = sterna._evaluate.evaluate(Fake(), data.root, bootstrap=10)  # type: ignore[arg-type]
    assert (found.split, found.images) == ("test", 3)


def test_figures_are_those_that_plain_numpy_gives_on_a_real_model(tiny_model: Path, photos: Path) -> None:
    for number, photo in enumerate(sorted(photos.rglob("*.jpg"))):
        write(
            photo.with_suffix(".txt"),
            "\n".join(f"photograph {number} of {k} things" for k in range(1 + number % 3)),
        )
    encoders = pytest.importorskip("sterna.encoders")
    model, captioned = encoders.load(tiny_model), read(photos)
    found = sterna._evaluate.evaluate(model, captioned)
    similarities = model.encode_texts(captioned.captions) @ model.encode_images(captioned.paths).T
    right = similarities[np.arange(len(captioned.captions)), captioned.owners]
    ranks = (similarities >= right[:, None]).sum(axis=1) - 1
    for cutoff in (1, 5, 10):
        assert found.t2i.hits[cutoff] == pytest.approx(np.mean(ranks < cutoff), abs=1e-6)


def test_several_models_are_not_compared_by_alignment(data: CaptionedImages) -> None:
    class Aligned(Fake):
        score = alignment = "MrSw"

    told = "fake [+] fake: cannot be measured by MrSw; one model is needed .*; rerank=0 measures vectors"
    with pytest.raises(errors.UsageError, match=told):
        evaluate([Fake(), Aligned()], data)
    with pytest.raises(errors.UsageError, match="fake [+] fake: cannot be re-ranked; one model is needed"):
        evaluate([Aligned(), Aligned()], data, rerank=2)
    found = evaluate([Fake(), Aligned()], data, rerank=0, bootstrap=0)
    assert found.t2i.values == evaluate(Fake(), data, bootstrap=0).t2i.values
    with pytest.raises(errors.UsageError, match="fake: cannot be re-ranked"):
        evaluate(Fake(), data, rerank=2)


def test_a_bank_without_a_correction_is_refused(data: CaptionedImages) -> None:
    with pytest.raises(errors.UsageError, match="a bank is for a correction of hubs, and none is named"):
        evaluate(Fake(), data, bank="train")
