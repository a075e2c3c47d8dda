"""Similarities are never held all at once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from sterna.evaluation import Bank, Hubs, Protocol, measure, rank_both_ways
from sterna.scoring import dot


def _peak(images: int, *, width: int, protocol: Protocol, bootstrap: int) -> int:
    """Bytes that measuring takes at its peak, five captions an image."""
    random = np.random.default_rng(0)
    image_vectors = random.standard_normal((images, width), dtype=np.float32)
    owners = np.repeat(np.arange(images), 5)
    captions = image_vectors[owners] + random.standard_normal((len(owners), width), dtype=np.float32)
    bank = Bank(image_vectors[::-1], captions[::-1])
    tracemalloc.start()
    try:
        measure(image_vectors, captions, owners, protocol=protocol, bank=bank, bootstrap=bootstrap)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_similarities_are_held_a_block_at_a_time() -> None:
    random = np.random.default_rng(0)
    images = random.standard_normal((1000, 4), dtype=np.float32)
    owners = np.repeat(np.arange(1000), 5)
    captions = random.standard_normal((5000, 4), dtype=np.float32)
    tracemalloc.start()
    try:
        rank_both_ways(images, captions, owners, block=16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1000 * 5000 * 4 / 2


def test_fewer_queries_are_scored_at_a_time_where_the_gallery_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sterna.evaluation._blocks._CELLS", 60)
    seen: list[int] = []

    def count(images: np.ndarray, captions: np.ndarray) -> np.ndarray:
        seen.append(len(images) * len(captions))
        return dot(images, captions)

    vectors = np.random.default_rng(0).normal(size=(20, 3))
    rank_both_ways(vectors, vectors, np.arange(20), score=count)
    assert set(seen) == {60, 40}  # three queries at a time, and what is left


@pytest.mark.long
@pytest.mark.parametrize("hubs", [None, Hubs("csls"), Hubs("inverted-softmax")])
def test_coco_5k_takes_less_than_a_gibibyte(hubs: Hubs | None) -> None:
    protocol = Protocol(hubs=hubs, top=10, at=(1, 5, 10, 50))
    assert _peak(5000, width=64, protocol=protocol, bootstrap=1000) < 1 << 30
