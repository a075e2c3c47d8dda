"""The part of a search that every index shares: who may come back, exact scores, the order of equals.

An index proposes candidates with fast, slightly inexact scores; here they are scored again in one way that
depends on nothing but the two vectors, so that answers are the same whatever proposed them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.index._rows import BLOCK, HALF_SCALE, Rows, float32_rows

__all__ = ["MARGIN", "Proposer", "exact_scores", "propose", "search"]

# How far a fast score may lie from the exact one, in parts of its query's length times the largest row's: not
# of the scores, which may all be far smaller than what their terms round to.
MARGIN = 1e-5
_SCORES = 1 << 24  # scores held at a time, as numbers
_FEW = 2048  # so few allowed rows are scored exactly at once

Proposer = Callable[[Rows, NDArray[np.float32], int, NDArray[np.bool_]], list[NDArray[np.int64]]]


def search(
    rows: Rows, queries: NDArray[Any], k: int, *, allow: NDArray[np.int64] | None, proposer: Proposer
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """See `Index.search`.

    `proposer(rows, queries, k, keep)` gives each query's candidates as ascending row numbers, among them the
    K best and all that equal the K-th.
    """
    queries = np.asarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != rows.dim:
        raise UsageError(
            f"queries {list(queries.shape)} do not fit an index of width {rows.dim}; [Q, {rows.dim}] do"
        )
    if k < 1:
        raise UsageError(f"k={k}: at least 1 is needed")
    keep = rows.ids >= 0
    if allow is not None:
        keep &= np.isin(rows.ids, np.asarray(allow, np.int64))
    kept = int(np.count_nonzero(keep))
    scores = np.full((len(queries), k), -np.inf, np.float32)
    ids = np.full((len(queries), k), -1, np.int64)
    if kept == 0 or len(queries) == 0:
        return scores, ids
    if kept <= max(k, _FEW):
        everyone = np.flatnonzero(keep)
        candidates = [everyone] * len(queries)
    else:
        candidates = proposer(rows, queries, k, keep)
    for number, (query, chosen) in enumerate(zip(queries, candidates, strict=True)):
        exact = exact_scores(rows, chosen, query)
        found = rows.ids[chosen]
        order = np.lexsort((found, -exact))[:k]
        order = order[~np.isnan(exact[order])]
        scores[number, : len(order)] = exact[order]
        ids[number, : len(order)] = found[order]
    return scores, ids


def propose(
    rows: Rows, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """Candidates by matrix products over blocks of rows; a `Proposer` for any number of queries."""
    step = max(1, _SCORES // len(keep))
    slack = MARGIN * rows.norm_bound()  # the fast scores are those of queries of length 1
    proposed: list[NDArray[np.int64]] = []
    for start in range(0, len(queries), step):
        scores = fast_scores(rows, queries[start : start + step])
        scores[:, ~keep] = -np.inf
        proposed.extend(_best(row, k, slack=slack) for row in scores)
    return proposed


def fast_scores(rows: Rows, queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores [Q, rows] of queries made unit vectors, right to about 1e-6 of their size; NaN becomes -inf."""
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    scaled = (queries / np.where(norms > 0, norms, 1)).T
    if rows.dtype == np.float16:
        scaled = scaled * HALF_SCALE
    scores = np.empty((len(rows.ids), len(queries)), np.float32)
    room = np.empty((BLOCK, rows.dim), np.float32)
    for first, block in rows.blocks():
        for start in range(0, len(block), BLOCK):
            part = block[start : start + BLOCK]
            where = slice(first + start, first + start + len(part))
            np.matmul(float32_rows(part, room[: len(part)]), scaled, out=scores[where])
    turned = np.ascontiguousarray(scores.T)
    turned[np.isnan(turned)] = -np.inf
    return turned


def _best(scores: NDArray[np.float32], k: int, *, slack: float) -> NDArray[np.int64]:
    """Row numbers of the K largest scores and of all that may equal the K-th."""
    last = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= last - slack)


def exact_scores(rows: Rows, numbers: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of these rows in float64, each summed the same way wherever its row stands."""
    exact = np.empty(len(numbers), np.float32)
    wide = query.astype(np.float64)
    for start in range(0, len(numbers), BLOCK):
        part = rows.take(numbers[start : start + BLOCK]).astype(np.float64)
        exact[start : start + BLOCK] = (part * wide).sum(axis=1)
    return exact
