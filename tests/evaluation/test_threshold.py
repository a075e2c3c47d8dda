"""The least score: how much is kept and hidden by it, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sterna.errors import DataError, UsageError
from sterna.evaluation import _threshold as room
from sterna.evaluation import choose_threshold


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(
    seed=st.integers(0, 2**16),
    images=st.integers(1, 9),
    each=st.integers(1, 4),
    recall=st.sampled_from([0.05, 0.5, 0.9, 1.0]),
    block=st.sampled_from([1, 7, 1 << 20]),
)
def test_a_threshold_is_what_counting_says(seed, images, each, recall, block) -> None:
    rng = np.random.default_rng(seed)
    pictures = unit(rng.normal(size=(images, 3)))
    owners = np.repeat(np.arange(images), each)
    texts = unit(pictures[owners] + rng.normal(scale=0.7, size=(len(owners), 3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_BLOCK", block)
        found = choose_threshold(pictures, texts, owners, recall=recall)
    scores = texts @ pictures.T
    own = scores[np.arange(len(texts)), owners]
    shown = scores >= found.score
    assert found.recall == np.mean(own >= found.score) >= recall
    assert found.precision == pytest.approx((own >= found.score).sum() / shown.sum())
    others = np.ones_like(scores, dtype=bool)
    others[np.arange(len(texts)), owners] = False
    assert found.hidden == pytest.approx(1 - shown[others].mean() if others.any() else 1)
    assert np.mean(own >= found.score + 0.001) < recall or np.isclose(own, found.score + 0.001).any()
    assert (found.images, found.captions) == (images, len(texts))


def test_what_cannot_be_read_does_not_count() -> None:
    pictures = np.eye(3, dtype=np.float32)
    pictures[1] = np.nan
    texts = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    texts[3] = np.nan
    found = choose_threshold(pictures, texts, np.array([0, 1, 2, 2]), recall=1.0)
    assert (found.score, found.recall, found.precision, found.hidden) == (1.0, 1.0, 1.0, 1.0)
    assert (found.images, found.captions) == (2, 2)
    with pytest.raises(DataError, match="no caption whose image can be read"):
        choose_threshold(pictures[1:2], texts[:1], np.array([0]))


@pytest.mark.parametrize("recall", [0, -1, 1.1, float("nan")])
def test_a_share_is_above_0_and_at_most_1(recall: float) -> None:
    with pytest.raises(UsageError, match="recall=.*must be above 0 and at most 1"):
        choose_threshold(np.eye(2), np.eye(2), np.arange(2), recall=recall)
