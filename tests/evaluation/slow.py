"""Ranks and metrics the slow and obvious way: one pair at a time, whole lists sorted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def scores_of(query: Sequence[float], gallery: Sequence[Sequence[float]]) -> list[float]:
    """Exact dot products; NaN wherever anything is not finite."""
    return [
        math.fsum(float(a) * float(b) for a, b in zip(query, item, strict=True))
        if all(map(math.isfinite, [*query, *item]))
        else math.nan
        for item in gallery
    ]


def ranks_of(scores: Sequence[float], right: set[int]) -> list[int]:
    """Places of the right items in a list sorted by score where, of equals, the wrong come first."""
    scored = [item for item in range(len(scores)) if not math.isnan(scores[item])]
    listed = sorted(scored, key=lambda item: (-scores[item], item in right))
    found = [place for place, item in enumerate(listed) if item in right]
    return found + [len(scores)] * (len(right) - len(found))


def both_ways(
    images: np.ndarray, captions: np.ndarray, owners: Sequence[int]
) -> tuple[list[list[int]], list[list[int]]]:
    """Ranks for every image with captions, and for every caption."""
    i2t = [
        ranks_of(scores_of(image, captions), {c for c, owner in enumerate(owners) if owner == number})
        for number, image in enumerate(images)
        if number in owners
    ]
    t2i = [
        ranks_of(scores_of(caption, images), {owner}) for caption, owner in zip(captions, owners, strict=True)
    ]
    return i2t, t2i


def figures_of(ranks: list[list[int]], gallery: int) -> dict[str, float]:
    """Every metric by its definition."""
    found: dict[str, float] = {}
    for cutoff in (1, 5, 10):
        first = [[rank for rank in each if rank < cutoff and rank < gallery] for each in ranks]
        found[f"hits.{cutoff}"] = sum(bool(each) for each in first) / len(ranks)
        found[f"recall.{cutoff}"] = sum(len(a) / len(b) for a, b in zip(first, ranks, strict=True)) / len(
            ranks
        )
    best = sorted(each[0] + 1 for each in ranks)
    middle = len(best) // 2
    found["median_rank"] = best[middle] if len(best) % 2 else (best[middle - 1] + best[middle]) / 2
    found["mean_rank"] = sum(best) / len(best)
    found["mrr"] = sum(1 / rank if rank <= gallery else 0 for rank in best) / len(best)
    return found
