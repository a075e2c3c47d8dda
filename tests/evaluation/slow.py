"""Ranks and metrics the slow and obvious way: one pair at a time, whole lists sorted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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


def listed(scores: Sequence[float], grades: Mapping[int, float]) -> list[int]:
    """All items that have a score, best first; of equals the less right first, then by position."""
    scored = [item for item in range(len(scores)) if not math.isnan(scores[item])]
    return sorted(scored, key=lambda item: (-scores[item], grades.get(item, 0)))


def metrics_of(
    lists: Sequence[Sequence[int]], right: Sequence[Mapping[int, float]], gallery: int, at: Sequence[int]
) -> dict[str, float]:
    """Every metric by its definition, from each query's list of answers and what is right for it."""
    each = [_one_query(answers, grades, gallery, at) for answers, grades in zip(lists, right, strict=True)]
    found = {name: sum(query[name] for query in each) / len(each) for name in each[0]}
    ranks = sorted(query["mean_rank"] for query in each)
    middle = len(ranks) // 2
    found["median_rank"] = ranks[middle] if len(ranks) % 2 else (ranks[middle - 1] + ranks[middle]) / 2
    for cutoff in at:
        above = [query[f"ndcg.{cutoff}"] for query in each if query[f"ndcg.{cutoff}"] > 0]
        found[f"ndcg_found.{cutoff}"] = sum(above) / len(above) if above else 0.0
    return found


def _one_query(
    answers: Sequence[int], grades: Mapping[int, float], gallery: int, at: Sequence[int]
) -> dict[str, float]:
    is_right = [answer in grades for answer in answers]
    relevant = len(grades)
    best = next((place + 1 for place, yes in enumerate(is_right) if yes), None)
    found = {
        "mean_rank": float(best or gallery + 1),
        "mrr": 1 / best if best else 0.0,
        "average_precision": _average_precision(is_right, len(is_right)) / relevant,
        "map_at_r": _average_precision(is_right, relevant) / relevant,
        "r_precision": sum(is_right[:relevant]) / relevant,
        "nearest_neighbour": float(sum(is_right[:1])),
        "first_tier": sum(is_right[:relevant]) / relevant,
        "second_tier": sum(is_right[: 2 * relevant]) / relevant,
        "returned": float(len(answers)),
    }
    for cutoff in at:
        first = is_right[:cutoff]
        precision, recall = sum(first) / cutoff, sum(first) / relevant
        ideal = _gained(sorted(grades.values(), reverse=True)[:cutoff])
        found |= {
            f"hits.{cutoff}": float(any(first)),
            f"recall.{cutoff}": recall,
            f"precision.{cutoff}": precision,
            f"f1.{cutoff}": 2 * precision * recall / (precision + recall) if any(first) else 0.0,
            f"map.{cutoff}": _average_precision(is_right, cutoff) / relevant,
            f"ndcg.{cutoff}": _gained([grades.get(answer, 0) for answer in answers[:cutoff]]) / ideal,
        }
    return found


def _average_precision(is_right: Sequence[bool], cutoff: int) -> float:
    return sum(
        sum(is_right[: place + 1]) / (place + 1)
        for place in range(min(cutoff, len(is_right)))
        if is_right[place]
    )


def _gained(grades: Sequence[float]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))
