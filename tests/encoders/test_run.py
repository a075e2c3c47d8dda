"""A training run as an encoder; `sterna.training` itself is stood in for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import sterna.training
from sterna.encoders import load
from sterna.errors import MissingExtraError, RunError
from sterna.images import open_photo, to_square


class MeanColour:
    """Stands in for a run: the vector of a photograph is its mean colour, of a sentence its lengths."""

    name, dim, size, fit, fingerprint = "toy-run", 3, 16, "crop", "f" * 64
    score, alignment = "dot", None

    def prepare(self, image) -> np.ndarray:
        return to_square(image, 16, "crop")

    def encode_images(self, pixels) -> np.ndarray:
        pixels = np.stack(pixels)
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == (16, 16, 3)
        mean = pixels.astype(np.float32).mean(axis=(1, 2))
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def encode_texts(self, sentences: list[str]) -> np.ndarray:
        return np.array([[len(sentence), 0, 0] for sentence in sentences], dtype=np.float32).reshape(-1, 3)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sterna.training, "load_run", lambda path: MeanColour())
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "settings.yaml").write_text("{}", encoding="utf-8")
    return tmp_path / "run"


def test_a_run_is_recognised_and_encodes_what_it_is_given(run: Path, photos: Path) -> None:
    model = load(run)
    paths = sorted(photos.rglob("*.jpg"))
    assert (model.name, model.dim, model.fingerprint) == ("toy-run", 3, "f" * 64)
    squares = np.stack([to_square(open_photo(path, at_least=21).image, 16, "crop") for path in paths])
    assert np.array_equal(model.encode_images(paths), MeanColour().encode_images(squares))
    assert model.encode_texts(["dog", "\ud800!"]).tolist() == [[3, 0, 0], [2, 0, 0]]
    assert model.encode_texts([]).shape == (0, 3)
    assert [answer.error is None for answer in model.stream_images([paths[0], b""])] == [True, False]


def test_a_run_that_cannot_be_opened_keeps_its_own_error(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise RunError(f"{path}: has no best checkpoint yet; train it further with --resume")

    monkeypatch.setattr(sterna.training, "load_run", fail)
    with pytest.raises(RunError, match="has no best checkpoint yet"):
        load(run)


def test_without_torch_the_extra_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sterna.training", None)
    with pytest.raises(
        MissingExtraError, match=r"A training run needs an extra part: pip install 'sterna\[train\]'"
    ):
        load(run)
