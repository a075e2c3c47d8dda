from __future__ import annotations

import numpy as np
import pytest

from sterna import errors
from sterna.scoring import blocks, dot, order


def _vectors(seed: int, rows: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(dtype)


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("float16", "float16", "float32"),
        ("float32", "float16", "float32"),
        ("float32", "float64", "float32"),
        ("float64", "float64", "float64"),
    ],
)
def test_dot_products_are_those_of_every_pair(first: str, second: str, result: str) -> None:
    queries, gallery = _vectors(0, 3, first), _vectors(1, 4, second)
    found = dot(queries, gallery)
    assert found.dtype == result
    slow = [[sum(float(a) * float(b) for a, b in zip(q, g, strict=True)) for g in gallery] for q in queries]
    np.testing.assert_allclose(found, slow, rtol=1e-5, atol=1e-6)


def test_order_violations_are_those_of_every_pair() -> None:
    images, captions = _vectors(0, 3), _vectors(1, 4)
    slow = [
        [
            -(sum(max(0.0, abs(float(b)) - abs(float(a))) ** 2 for a, b in zip(i, c, strict=True)) ** 0.5)
            for c in captions
        ]
        for i in images
    ]
    found = order(images, captions)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow, rtol=1e-5, atol=1e-6)


def test_a_caption_that_says_no_more_than_its_image_violates_nothing() -> None:
    image = _vectors(0, 1)
    assert order(image, image / 2)[0, 0] == 0
    assert order(image / 2, image)[0, 0] < 0


@pytest.mark.parametrize("score", [dot, order])
@pytest.mark.parametrize("block", [1, 2, 3, 7, 8, 1000])
def test_blocks_cover_all_queries_once_and_in_order(score: object, block: int) -> None:
    queries, gallery = _vectors(0, 7), _vectors(1, 5)
    parts = list(blocks(queries, gallery, block=block, score=score))  # type: ignore[arg-type]
    assert [number for part, _ in parts for number in range(part.start, part.stop)] == list(range(7))
    assert max(len(similarities) for _, similarities in parts) <= block
    whole = score(queries, gallery)  # type: ignore[operator]
    np.testing.assert_allclose(np.concatenate([similarities for _, similarities in parts]), whole, atol=1e-6)


def test_no_queries_give_no_blocks() -> None:
    assert list(blocks(_vectors(0, 0), _vectors(1, 5))) == []


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(errors.UsageError, match=r"shapes \(2, 6\) and \(2, 5\); \[Q, E\] and \[G, E\]"):
        dot(_vectors(0, 2), _vectors(1, 2)[:, :5])
    with pytest.raises(errors.UsageError, match=r"shapes \(6,\) and \(2, 6\)"):
        order(_vectors(0, 2)[0], _vectors(1, 2))
    with pytest.raises(errors.UsageError, match="block is 0; at least 1 is needed"):
        next(blocks(_vectors(0, 2), _vectors(1, 2), block=0))
