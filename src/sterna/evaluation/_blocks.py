"""Scores of all queries against the whole gallery, a block at a time, such that equal items tie exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sterna.scoring import Score, Vectors, blocks

__all__ = ["Adjust", "bounded", "count_scored", "distinct_rows", "finite_rows", "first_of", "scored_blocks"]

_CELLS = 1 << 24  # scores at a time

Adjust = Callable[[NDArray[np.int64], NDArray[np.int64], Vectors], Vectors]
"""Changes scores: positions of queries [B] and of the gallery [G], scores [B, G] -> scores [B, G]; a NaN is
an item without a score, before and after."""


def scored_blocks(
    queries: Vectors,
    gallery: Vectors,
    asked: NDArray[np.int64],
    *,
    block: int,
    score: Score,
    adjust: Adjust | None = None,
    min_score: float | None = None,
) -> Iterator[tuple[slice, Vectors]]:
    """Scores [B, G] of the queries `asked`, `block` at a time; NaN where there is none, or below `min_score`.

    Arguments:
        queries, gallery: vectors [Q, E] and [G, E]; a row that is not finite has no score with anything.
        asked: int64, positions of the queries that are of interest.
        block: queries at a time at most; fewer where the gallery is large, so that memory is bounded.
        score: gives [B, G] similarities for [B, E] and [G, E] vectors.
        adjust: changes the scores of a block, before `min_score` is held against them.

    Yields which of `asked`, and their scores.
    """
    distinct, which = distinct_rows(gallery)
    usable, asks = finite_rows(distinct), finite_rows(queries[asked])
    distinct = np.where(usable[:, None], distinct, 0)
    clean = np.where(asks[:, None], queries[asked], 0)
    everything = np.arange(len(gallery))
    for part, similarities in blocks(clean, distinct, block=bounded(block, len(gallery)), score=score):
        all_scored = usable.all() and asks[part].all()
        scores = similarities if all_scored else np.where(asks[part, None] & usable, similarities, np.nan)
        scores = scores if len(distinct) == len(gallery) else scores[:, which]
        if adjust is not None:
            scores = adjust(asked[part], everything, scores)
        if min_score is not None:
            scores = np.where(scores >= min_score, scores, np.nan)
        yield part, scores


def bounded(block: int, gallery: int) -> int:
    """A number of queries at a time, `block` at most, whose scores with the gallery take bounded memory."""
    return min(block, max(1, _CELLS // max(1, gallery)))


def count_scored(scores: Vectors) -> NDArray[np.int64]:
    """How many items have a score, for each query of [B, G]; int64 [B]."""
    counts = np.full(len(scores), scores.shape[1], dtype=np.int64)
    with np.errstate(all="ignore"):
        maybe = np.flatnonzero(np.isnan(scores.sum(axis=1)))  # a sum without NaN has none in it, and is quick
    counts[maybe] -= np.count_nonzero(np.isnan(scores[maybe]), axis=1)
    return counts


def first_of(scores: Vectors, grades: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """The first `count` items of one query, ties against the model: of equals, the lower grade is ahead.

    Arguments:
        scores: [G]; items that are NaN are never listed, so that there may be fewer.
        grades: [G], 0 for what is wrong.
        count: how many.
    """
    scored = np.flatnonzero(~np.isnan(scores))
    if len(scored) > count:
        values = scores[scored]
        scored = scored[values >= np.partition(values, len(values) - count)[len(values) - count]]
    best_first = np.lexsort((grades[scored], -scores[scored]))[:count]
    return scored[best_first]


def finite_rows(vectors: Vectors) -> NDArray[np.bool_]:
    """Which rows are finite throughout, [rows]."""
    return np.asarray(np.isfinite(vectors).all(axis=1))


def distinct_rows(vectors: Vectors) -> tuple[Vectors, NDArray[np.int64]]:
    """The different rows, and which of them each row is.

    A matrix product may round differently for equal rows in different places; scored once, they tie exactly.
    """
    rows: dict[bytes, int] = {}
    vectors = vectors + np.zeros((), dtype=vectors.dtype)  # turns -0 into 0
    which = np.array([rows.setdefault(row.tobytes(), len(rows)) for row in vectors], dtype=np.int64)
    _, first = np.unique(which, return_index=True)
    return vectors[first], which
