"""Metrics, declared as data: a name, what it means, and its value for each query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sterna.evaluation._ranks import Ranking

__all__ = ["CUTOFFS", "METRICS", "Metric"]

CUTOFFS = (1, 5, 10)


@dataclass(frozen=True)
class Metric:
    """A metric of a ranking.

    Fields:
        words: its definition.
        values: float64 [Q], its value for each query.
        summary: how the queries' values become one figure.
    """

    words: str
    values: Callable[[Ranking], NDArray[np.float64]]
    summary: Literal["mean", "median"] = "mean"


def _found(ranking: Ranking, ranks: NDArray[np.int64], cutoff: int) -> NDArray[np.bool_]:
    return ranks < min(cutoff, ranking.gallery)  # the rank `gallery` is for what has no score


def _hits(ranking: Ranking, *, cutoff: int) -> NDArray[np.float64]:
    return _found(ranking, ranking.first, cutoff).astype(np.float64)


def _recall(ranking: Ranking, *, cutoff: int) -> NDArray[np.float64]:
    found = np.concatenate([[0], np.cumsum(_found(ranking, ranking.ranks, cutoff))])
    shares: NDArray[np.float64] = np.diff(found[ranking.offsets]) / np.diff(ranking.offsets)
    return shares


def _first_rank(ranking: Ranking) -> NDArray[np.float64]:
    return ranking.first.astype(np.float64) + 1


def _reciprocal_rank(ranking: Ranking) -> NDArray[np.float64]:
    scored = ranking.first < ranking.gallery
    return np.where(scored, 1 / (ranking.first + 1.0), 0)


METRICS: Mapping[str, Metric] = {
    **{
        f"hits.{cutoff}": Metric(
            f"share of queries with any right answer among the first {cutoff} (the papers' R@{cutoff})",
            partial(_hits, cutoff=cutoff),
        )
        for cutoff in CUTOFFS
    },
    **{
        f"recall.{cutoff}": Metric(
            f"share of a query's right answers that are among the first {cutoff}, mean over queries",
            partial(_recall, cutoff=cutoff),
        )
        for cutoff in CUTOFFS
    },
    "median_rank": Metric(
        "rank of a query's best right answer, counted from 1, median over queries", _first_rank, "median"
    ),
    "mean_rank": Metric(
        "rank of a query's best right answer, counted from 1, mean over queries", _first_rank
    ),
    "mrr": Metric("1 / rank of a query's best right answer, mean over queries", _reciprocal_rank),
}
