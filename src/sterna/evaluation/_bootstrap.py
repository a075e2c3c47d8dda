"""How sure the figures are: images drawn at random with replacement, each with its captions.

Efron: Bootstrap Methods: Another Look at the Jackknife, 1979; percentile intervals. The ranks stay those in
the whole gallery: what is drawn is which queries are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.evaluation._metrics import CUTOFFS, METRICS
from sterna.evaluation._ranks import Ranking, Ranks

__all__ = ["Difference", "figures", "intervals", "paired_bootstrap", "rsum"]

Interval = tuple[float, float]
_PERCENTILES = (2.5, 97.5)
_CELLS = 1 << 22  # weights held at a time


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same images and captions.

    Fields:
        rsum: rsum of the first less rsum of the second.
        interval: its 95% interval.
    """

    rsum: float
    interval: Interval


def figures(ranks: Ranks) -> dict[str, float]:
    """Every metric both ways, named `i2t.hits.1` and so on, and `rsum`; NaN where there are no queries."""
    ones = np.ones((1, ranks.images))
    return {name: float(values[0]) for name, values in _resampled(ranks, ones).items()}


def rsum(ranks: Ranks) -> float:
    """The sum of the six hits in per cent, 600 at best."""
    return figures(ranks)["rsum"]


def intervals(ranks: Ranks, *, bootstrap: int, seed: int) -> dict[str, Interval]:
    """95% intervals of all `figures` from `bootstrap` draws; none where `bootstrap` is 0."""
    drawn: dict[str, list[NDArray[np.float64]]] = {}
    for weights in _draws(ranks, bootstrap=bootstrap, seed=seed):
        for name, values in _resampled(ranks, weights).items():
            drawn.setdefault(name, []).append(values)
    found = {name: _interval(np.concatenate(values)) for name, values in drawn.items()}
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
        _resampled(first, weights)["rsum"] - _resampled(second, weights)["rsum"]
        for weights in _draws(first, bootstrap=bootstrap, seed=seed)
    ]
    difference = rsum(first) - rsum(second)
    return Difference(rsum=difference, interval=_interval(np.concatenate(drawn)) or (difference, difference))


def _draws(ranks: Ranks, *, bootstrap: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each image was drawn, [draws, N], a part of the draws at a time."""
    random = np.random.default_rng(seed)
    images = ranks.images
    at_once = max(1, _CELLS // max(images, ranks.captions, 1))
    for start in range(0, bootstrap, at_once):
        draws = min(at_once, bootstrap - start)
        chosen = random.integers(0, images, size=(draws, images)) + images * np.arange(draws)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=draws * images)
        yield counts.reshape(draws, images).astype(np.float64)


def _resampled(ranks: Ranks, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Every figure for every row of `weights` [draws, N], each [draws]."""
    found: dict[str, NDArray[np.float64]] = {}
    for way, ranking in (("i2t", ranks.i2t), ("t2i", ranks.t2i)):
        means = {name: metric.values(ranking) for name, metric in METRICS.items() if metric.summary == "mean"}
        averaged = _weighted_means(ranking, weights, np.array(list(means.values())))
        found.update({f"{way}.{name}": values for name, values in zip(means, averaged, strict=True)})
        for name, metric in METRICS.items():
            if metric.summary == "median":
                found[f"{way}.{name}"] = _weighted_medians(ranking, weights, metric.values(ranking))
    hits = [found[f"{way}.hits.{cutoff}"] for way in ("i2t", "t2i") for cutoff in CUTOFFS]
    found["rsum"] = 100 * np.sum(hits, axis=0)
    return found


def _weighted_means(
    ranking: Ranking, weights: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Means [metrics, draws] of `values` [metrics, Q], each query counted as often as its image was drawn."""
    images = weights.shape[1]
    sums = np.array([np.bincount(ranking.images, weights=row, minlength=images) for row in values])
    queries = np.bincount(ranking.images, minlength=images).astype(np.float64)
    with np.errstate(invalid="ignore"):  # no image with a query drawn: not a number, and left out later
        means: NDArray[np.float64] = (sums @ weights.T) / (weights @ queries)
    return means


def _weighted_medians(
    ranking: Ranking, weights: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Medians [draws] of `values` [Q], the mean of the two in the middle where their number is even."""
    by_value = np.argsort(values, kind="stable")
    ordered, images = values[by_value], ranking.images[by_value]
    medians = np.full(len(weights), np.nan)
    for draw, row in enumerate(weights):
        upto = np.cumsum(row[images])
        if upto.size and upto[-1]:
            middle = [(upto[-1] - 1) // 2, upto[-1] // 2]
            medians[draw] = ordered[np.searchsorted(upto, middle, side="right")].mean()
    return medians


def _interval(values: NDArray[np.float64]) -> Interval | None:
    """The interval of draws, of which those without any query are NaN; `None` where all are."""
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    low, high = np.percentile(values, _PERCENTILES)
    return (float(low), float(high))
