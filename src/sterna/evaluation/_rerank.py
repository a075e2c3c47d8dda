"""Re-ranking: the first answers of every query are ordered anew, by how well regions fit words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError, check_known
from sterna.evaluation._blocks import Adjust
from sterna.evaluation._relevance import Way
from sterna.scoring import ALIGNMENTS, Vectors, align

__all__ = ["Reranking", "rerank"]

_KEPT = 1 << 27  # alignments, half a gigabyte: 5,000 images and 25,000 captions

Places = NDArray[np.int64]
Compute = Callable[[Places, Places], Vectors]  # alignments [B, G] of some queries [B] and a gallery [G]


@dataclass(frozen=True, eq=False)
class Reranking:
    """What is needed to re-rank.

    Fields:
        regions: of each image [R, E]; `None` where it cannot be read: it is never found and finds nothing.
        words: of each caption [T, E]; the same.
        alignment: how they are compared; one of `sterna.scoring.ALIGNMENTS`.
        first: how many of a query's answers, and all that tie with the last of these; `None` for all: then
            alignments are the scores, and vectors decide nothing.
        align: computes them, where `sterna.scoring.align` shall not.

    Raises `UsageError` where `alignment` is not known or `first` is below 1.
    """

    regions: Sequence[Vectors | None]
    words: Sequence[Vectors | None]
    alignment: str
    first: int | None = None
    align: Callable[..., Vectors] = align

    def __post_init__(self) -> None:
        check_known("alignment", self.alignment, ALIGNMENTS)
        if self.first is not None and self.first < 1:
            raise UsageError(f"rerank={self.first}; at least the first 1 can be re-ranked")


def rerank(reranking: Reranking) -> Mapping[Way, Adjust]:
    """Changes of scores, both ways, for `measure` and `rank_both_ways`.

    Where only the first are re-ranked, they get scores above those of all others, which say their order and
    no more; the others keep theirs. Images with the same regions, and captions with the same words, tie.
    """
    alignments, first = _Alignments(reranking), reranking.first

    def captions_of(images: Places, captions: Places) -> Vectors:
        return alignments(images, captions)

    def images_of(captions: Places, images: Places) -> Vectors:
        return alignments(images, captions).T

    def adjust(compute: Compute) -> Adjust:
        if first is None:
            return lambda queries, gallery, scores: _all(compute, queries, gallery, scores)
        return lambda queries, gallery, scores: _first(compute, queries, gallery, scores, first=first)

    return {"i2t": adjust(captions_of), "t2i": adjust(images_of)}


class _Alignments:
    """Alignments [N, C] of images and captions at some places, NaN where one has no items.

    Where all are wanted, of both ways, they are computed once and kept, unless they are very many.
    """

    def __init__(self, reranking: Reranking) -> None:
        self.images, self.captions = _Distinct(reranking.regions), _Distinct(reranking.words)
        self.compute = partial(reranking.align, score=reranking.alignment)
        self.keep = reranking.first is None and len(self.images) * len(self.captions) <= _KEPT
        self.kept: Vectors | None = None

    def __call__(self, images: Places, captions: Places) -> Vectors:
        rows, columns = self.images.which[images], self.captions.which[captions]
        if not self.keep:
            regions, rows = self.images.some(rows)
            words, columns = self.captions.some(columns)
            found = self.compute(regions, words)
        elif self.kept is None:
            found = self.kept = self.compute(self.images.distinct, self.captions.distinct)
        else:
            found = self.kept
        scores = found[np.ix_(rows, columns)]
        scores[~self.images.there[images]] = np.nan
        scores[:, ~self.captions.there[captions]] = np.nan
        return scores


class _Distinct:
    """Items without those that are there twice: a product may round differently in different places."""

    def __init__(self, items: Sequence[Vectors | None]) -> None:
        known: dict[tuple[object, ...], int] = {}
        width = next((one.shape[1] for one in items if one is not None), 1)
        nothing = np.zeros((0, width), np.float32)
        self.which = np.array([known.setdefault(_key(one), len(known)) for one in items], dtype=np.int64)
        _, places = np.unique(self.which, return_index=True)
        self.distinct = [nothing if one is None else one for one in (items[place] for place in places)]
        self.there = np.array([one is not None for one in items], dtype=bool)

    def __len__(self) -> int:
        return len(self.which)

    def some(self, which: Places) -> tuple[list[Vectors], Places]:
        """Those of the different items that are named, each once, and which of these each name means."""
        few, among = np.unique(which, return_inverse=True)
        return [self.distinct[place] for place in few], among


def _key(one: Vectors | None) -> tuple[object, ...]:
    return () if one is None else (one.shape, one.dtype.str, one.tobytes())


def _all(compute: Compute, queries: Places, gallery: Places, scores: Vectors) -> Vectors:
    return np.where(np.isnan(scores), np.nan, compute(queries, gallery))


def _first(
    compute: Compute,
    queries: Places,
    gallery: Places,
    scores: Vectors,
    *,
    first: int,
) -> Vectors:
    scores = scores.astype(np.float64)  # large scores of float32 have no room for places above them
    for row, query in zip(scores, queries, strict=True):
        scored = np.flatnonzero(~np.isnan(row))
        if not len(scored):
            continue
        values = row[scored]
        last = max(0, len(scored) - first)
        chosen = scored[values >= np.partition(values, last)[last]]
        aligned = compute(query[None], gallery[chosen])[0]
        _, order = np.unique(aligned, return_inverse=True)  # equal alignments stay equal
        row[chosen] = np.where(np.isnan(aligned), np.nan, np.floor(values.max()) + 1 + order)
    return scores
