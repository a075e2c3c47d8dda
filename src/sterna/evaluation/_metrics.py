"""Metrics, declared as data: a name, what it means, and its value for each query.

docs/metrics.md writes out every formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError, check_known, is_whole
from sterna.evaluation._ranks import Ranking

__all__ = [
    "CUTOFFS",
    "DEFAULT",
    "METRICS",
    "Metric",
    "Summary",
    "Values",
    "chosen_metrics",
    "gains_of",
]

CUTOFFS = (1, 5, 10)

Values = NDArray[np.float64]
Summary = Literal["mean", "mean_found", "median"]


@dataclass(frozen=True)
class Metric:
    """A metric of a ranking.

    Fields:
        words: its definition.
        values: float64 [Q], its value for each query, from the ranking and the cut-off, which is 0 where the
            metric has none.
        summary: how the queries' values become one figure; `mean_found` is the mean of those above 0.
        at: whether it is measured at cut-offs, and then named `hits.10` and so on.
    """

    words: str
    values: Callable[[Ranking, int], Values]
    summary: Summary = "mean"
    at: bool = False


def _within(ranking: Ranking, limits: NDArray[np.int64] | int) -> NDArray[np.bool_]:
    """Which right answers are among the first `limits` (a number, or one for each query), [A]."""
    limits = np.minimum(limits, ranking.gallery)  # the rank `gallery` is for what has no score
    limits = np.repeat(np.broadcast_to(limits, len(ranking.counts)), ranking.counts)
    return np.asarray(ranking.ranks < limits)


def _sums(ranking: Ranking, values: NDArray[np.generic]) -> Values:
    """The sum of its right answers' `values` [A] for each query, [Q]."""
    if not len(ranking.counts):
        return np.zeros(0)
    return np.add.reduceat(values.astype(np.float64), ranking.offsets[:-1])


def _found(ranking: Ranking, limits: NDArray[np.int64] | int) -> Values:
    return _sums(ranking, _within(ranking, limits))


def _hits(ranking: Ranking, cutoff: int) -> Values:
    return (ranking.first < min(cutoff, ranking.gallery)).astype(np.float64)


def _recall(ranking: Ranking, cutoff: int) -> Values:
    return _found(ranking, cutoff) / ranking.counts


def _precision(ranking: Ranking, cutoff: int) -> Values:
    return _found(ranking, cutoff) / cutoff


def _f1(ranking: Ranking, cutoff: int) -> Values:
    return 2 * _found(ranking, cutoff) / (cutoff + ranking.counts)


def _average_precision(ranking: Ranking, limits: NDArray[np.int64] | int) -> Values:
    places = np.arange(len(ranking.ranks)) - np.repeat(ranking.offsets[:-1], ranking.counts)
    precisions = (places + 1) / (ranking.ranks + 1)
    return _sums(ranking, precisions * _within(ranking, limits)) / ranking.counts


def _recall_in_first(ranking: Ranking, times: int) -> Values:
    return _found(ranking, times * ranking.counts) / ranking.counts


def gains_of(grades: Values) -> Values:
    """2^grade - 1, which is above 0 for the smallest grade too."""
    return np.asarray(np.expm1(grades * np.log(2)))


def _ndcg(ranking: Ranking, cutoff: int) -> Values:
    gains = gains_of(np.ones(len(ranking.ranks)) if ranking.grades is None else ranking.grades)
    found = _sums(ranking, gains / np.log2(ranking.ranks + 2.0) * _within(ranking, cutoff))
    rows = np.repeat(np.arange(len(ranking.counts)), ranking.counts)
    places = np.arange(len(rows)) - ranking.offsets[rows]
    ideal = gains[np.lexsort((-gains, rows))] / np.log2(places + 2.0)
    return found / _sums(ranking, ideal * (places < cutoff))


def _first_rank(ranking: Ranking, _: int) -> Values:
    return ranking.first.astype(np.float64) + 1


def _reciprocal_rank(ranking: Ranking, _: int) -> Values:
    scored = ranking.first < ranking.gallery
    return np.where(scored, 1 / (ranking.first + 1.0), 0)


def _returned(ranking: Ranking, _: int) -> Values:
    unknown = np.full(len(ranking.counts), np.nan)
    return unknown if ranking.returned is None else ranking.returned.astype(np.float64)


METRICS: Mapping[str, Metric] = {
    "hits": Metric(
        "share of queries with any right answer among the first K (the papers' R@K)", _hits, at=True
    ),
    "recall": Metric(
        "share of a query's right answers that are among the first K, mean over queries", _recall, at=True
    ),
    "median_rank": Metric(
        "rank of a query's best right answer, counted from 1, median over queries", _first_rank, "median"
    ),
    "mean_rank": Metric(
        "rank of a query's best right answer, counted from 1, mean over queries", _first_rank
    ),
    "mrr": Metric("1 / rank of a query's best right answer, mean over queries", _reciprocal_rank),
    "precision": Metric(
        "share of the first K answers that are right, mean over queries", _precision, at=True
    ),
    "f1": Metric(
        "harmonic mean of a query's precision and recall among the first K, mean over queries", _f1, at=True
    ),
    "map": Metric(
        "average precision among the first K: precision at each right answer there, summed and divided by "
        "the number of all right answers, mean over queries",
        _average_precision,
        at=True,
    ),
    "ndcg": Metric(
        "discounted gain (2^grade - 1 over log2 of 1 + rank) of the first K as a share of the best possible, "
        "mean over queries",
        _ndcg,
        at=True,
    ),
    "ndcg_found": Metric(
        "NDCG of the first K, mean over those queries alone that score above 0 (TERAN's habit)",
        _ndcg,
        "mean_found",
        at=True,
    ),
    "average_precision": Metric(
        "average precision over the whole ranking, mean over queries",
        lambda ranking, _: _average_precision(ranking, ranking.gallery),
    ),
    "map_at_r": Metric(
        "average precision among the first R, where the query has R right answers, mean over queries",
        lambda ranking, _: _average_precision(ranking, ranking.counts),
    ),
    "r_precision": Metric(
        "share of the first R answers that are right, where the query has R right answers, mean over queries",
        lambda ranking, _: _recall_in_first(ranking, 1),
    ),
    "nearest_neighbour": Metric(
        "share of queries whose very first answer is right", lambda ranking, _: _hits(ranking, 1)
    ),
    "first_tier": Metric(
        "share of a query's R right answers that are among the first R, mean over queries",
        lambda ranking, _: _recall_in_first(ranking, 1),
    ),
    "second_tier": Metric(
        "share of a query's R right answers that are among the first 2R, mean over queries",
        lambda ranking, _: _recall_in_first(ranking, 2),
    ),
    "returned": Metric("how many answers are returned for a query, mean over queries", _returned),
}

DEFAULT = tuple(name for name in METRICS if name != "returned")  # which says nothing without a cut-off


def chosen_metrics(
    names: Sequence[str] = DEFAULT, *, at: Sequence[int] = CUTOFFS
) -> dict[str, tuple[Metric, int]]:
    """Metrics and their cut-offs by the names of their figures, such as `hits.10` and `mrr`.

    Arguments:
        names: keys of `METRICS`.
        at: cut-offs for those that are measured at some.

    Raises `UsageError` where a name is unknown or a cut-off is no whole number from 1.
    """
    for name in names:
        check_known("metric", name, METRICS)
    if not at or not all(is_whole(cutoff, least=1) for cutoff in at):
        raise UsageError(f"cut-offs {list(at)}; whole numbers from 1 are needed, such as 1, 5, 10")
    return {
        f"{name}.{cutoff}" if cutoff else name: (METRICS[name], cutoff)
        for name in dict.fromkeys(names)
        for cutoff in (dict.fromkeys(at) if METRICS[name].at else (0,))
    }
