"""How sure the figures are: images drawn at random with replacement, each with its captions.

Efron: Bootstrap Methods: Another Look at the Jackknife, 1979; percentile intervals. The ranks stay those in
the whole gallery: what is drawn is which queries are counted. Of several folds, images are drawn in each, and
the folds' figures averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.evaluation._metrics import CUTOFFS, DEFAULT, Summary, Values, chosen_metrics
from sterna.evaluation._ranks import Ranking, Ranks

__all__ = [
    "Column",
    "Difference",
    "Interval",
    "Part",
    "columns",
    "figures",
    "intervals",
    "paired_bootstrap",
    "part_of",
    "rsum",
]

Interval = tuple[float, float]
_PERCENTILES = (2.5, 97.5)
_CELLS = 1 << 22  # weights held at a time
_RSUM = tuple(f"{way}.hits.{cutoff}" for way in ("i2t", "t2i") for cutoff in CUTOFFS)


@dataclass(frozen=True, eq=False)
class Column:
    """A figure before its summary.

    Fields:
        name: of the figure, such as `i2t.hits.1`.
        values: float64 [Q], of each query.
        queries: int64 [Q], the image that each query is or belongs to.
        summary: how the values become one.
    """

    name: str
    values: Values
    queries: NDArray[np.int64]
    summary: Summary = "mean"


@dataclass(frozen=True, eq=False)
class Part:
    """What is averaged with other parts: all figures of one gallery.

    Fields:
        columns: the figures.
        images: how many images there are to draw.
    """

    columns: Sequence[Column]
    images: int


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same images and captions.

    Fields:
        rsum: rsum of the first less rsum of the second.
        interval: its 95% interval.
    """

    rsum: float
    interval: Interval


def columns(
    ranking: Ranking, *, way: str, metrics: Sequence[str] = DEFAULT, at: Sequence[int] = CUTOFFS
) -> list[Column]:
    """The figures of one ranking, named `WAY.METRIC` or `WAY.METRIC.CUTOFF`."""
    prefix = f"{way}." if way else ""
    return [
        Column(prefix + name, metric.values(ranking, cutoff), ranking.images, metric.summary)
        for name, (metric, cutoff) in chosen_metrics(metrics, at=at).items()
    ]


def part_of(ranks: Ranks, *, metrics: Sequence[str] = DEFAULT, at: Sequence[int] = CUTOFFS) -> Part:
    """The figures of ranks both ways; what rsum is made of is always among them."""
    found: dict[str, Column] = {}
    for way, ranking in (("i2t", ranks.i2t), ("t2i", ranks.t2i)):
        for column in (
            *columns(ranking, way=way, metrics=metrics, at=at),
            *columns(ranking, way=way, metrics=("hits",)),
        ):
            found.setdefault(column.name, column)
    return Part(list(found.values()), ranks.images)


def figures(parts: Sequence[Part]) -> dict[str, float]:
    """Every figure, the mean over the parts, and `rsum` where its hits are there."""
    each = [_resampled(part, np.ones((1, part.images))) for part in parts]
    return {name: float(np.mean([found[name][0] for found in each])) for name in each[0]}


def rsum(ranks: Ranks) -> float:
    """The sum of the six hits in per cent, 600 at best."""
    return figures([part_of(ranks, metrics=("hits",))])["rsum"]


def intervals(parts: Sequence[Part], *, bootstrap: int, seed: int) -> dict[str, Interval]:
    """95% intervals of all `figures` from `bootstrap` draws; none where `bootstrap` is 0."""
    drawn = [_drawn(part, bootstrap=bootstrap, seed=seed + place) for place, part in enumerate(parts)]
    averaged = {name: np.mean([found[name] for found in drawn], axis=0) for name in drawn[0]}
    found = {name: _interval(values) for name, values in averaged.items()}
    return {name: interval for name, interval in found.items() if interval is not None}


def paired_bootstrap(first: Ranks, second: Ranks, *, bootstrap: int = 1000, seed: int = 0) -> Difference:
    """Compare two models on the same data: the same images are drawn for both.

    Arguments:
        first, second: ranks of the same images and captions by two models.
        bootstrap: how many draws.
        seed: decides the draws.

    Raises `UsageError` where the ranks are of different data.
    """
    if first.images != second.images or not np.array_equal(first.owners, second.owners):
        raise UsageError("the two models were not measured on the same images and captions")
    if bootstrap < 1:
        raise UsageError(f"bootstrap is {bootstrap}; at least 1 draw is needed")
    drawn = [
        _drawn(part_of(ranks, metrics=("hits",)), bootstrap=bootstrap, seed=seed)["rsum"]
        for ranks in (first, second)
    ]
    difference = rsum(first) - rsum(second)
    return Difference(rsum=difference, interval=_interval(drawn[0] - drawn[1]) or (difference, difference))


def _drawn(part: Part, *, bootstrap: int, seed: int) -> dict[str, Values]:
    """Every figure for every draw, [draws]."""
    found: dict[str, list[Values]] = {}
    for weights in _draws(part, bootstrap=bootstrap, seed=seed):
        for name, values in _resampled(part, weights).items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def _draws(part: Part, *, bootstrap: int, seed: int) -> Iterator[Values]:
    """How often each image was drawn, [draws, N], a part of the draws at a time."""
    random = np.random.default_rng(seed)
    images = part.images
    queries = max((len(column.values) for column in part.columns), default=0)
    at_once = max(1, _CELLS // max(images, queries, 1))
    for start in range(0, bootstrap, at_once):
        draws = min(at_once, bootstrap - start)
        chosen = random.integers(0, images, size=(draws, images)) + images * np.arange(draws)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=draws * images)
        yield counts.reshape(draws, images).astype(np.float64)


def _resampled(part: Part, weights: Values) -> dict[str, Values]:
    """Every figure for every row of `weights` [draws, N], each [draws]."""
    found = {
        column.name: (_medians if column.summary == "median" else _means)(column, weights)
        for column in part.columns
    }
    if found.keys() >= set(_RSUM):
        found["rsum"] = 100 * np.sum([found[name] for name in _RSUM], axis=0)
    return found


def _means(column: Column, weights: Values) -> Values:
    """Means [draws], each query counted as often as its image was drawn."""
    images = weights.shape[1]
    counted = column.values > 0 if column.summary == "mean_found" else np.ones(len(column.values), dtype=bool)
    queries = np.bincount(column.queries[counted], minlength=images).astype(np.float64)
    sums = np.bincount(column.queries, weights=column.values, minlength=images)
    totals, drawn = weights @ sums, weights @ queries
    if column.summary == "mean_found":
        return np.divide(totals, drawn, out=np.zeros(len(weights)), where=drawn > 0)
    with np.errstate(invalid="ignore"):  # no image with a query drawn: not a number, and left out later
        return np.asarray(totals / drawn)


def _medians(column: Column, weights: Values) -> Values:
    """Medians [draws], the mean of the two in the middle where their number is even."""
    by_value = np.argsort(column.values, kind="stable")
    ordered, images = column.values[by_value], column.queries[by_value]
    medians = np.full(len(weights), np.nan)
    for draw, row in enumerate(weights):
        upto = np.cumsum(row[images])
        if upto.size and upto[-1]:
            middle = [(upto[-1] - 1) // 2, upto[-1] // 2]
            medians[draw] = ordered[np.searchsorted(upto, middle, side="right")].mean()
    return medians


def _interval(values: Values) -> Interval | None:
    """The interval of draws, of which those without any query are NaN; `None` where all are."""
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    low, high = np.percentile(values, _PERCENTILES)
    return (float(low), float(high))
