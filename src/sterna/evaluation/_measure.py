"""Measuring vectors, whoever made them: the one path for models, committees and files of vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, UsageError, check_known
from sterna.evaluation._blocks import Adjust
from sterna.evaluation._graded import graded_ndcg
from sterna.evaluation._hubs import Bank, hub_corrections
from sterna.evaluation._protocol import Protocol
from sterna.evaluation._ranks import Ranks, checked_owners, rank_both_ways
from sterna.evaluation._relevance import WAYS, Relevance, Way, own_captions, own_images
from sterna.evaluation._report import Corrected, Report, both_ways, report
from sterna.scoring import Score, Vectors, dot, order

__all__ = ["SCORES", "committee", "measure"]

SCORES: Mapping[str, Score] = {"dot": dot, "order": order}
"""Similarities of vectors by name."""


def measure(
    image_vectors: Vectors,
    text_vectors: Vectors,
    owners: NDArray[np.integer[Any]],
    *,
    protocol: Protocol = Protocol(),  # noqa: B008  it is frozen
    score: str | Score = "dot",
    relevance: Mapping[Way, Relevance] | None = None,
    grades: NDArray[np.floating[Any]] | None = None,
    bank: Bank | None = None,
    adjust: Mapping[Way, Adjust] | None = None,
    image_ids: Sequence[str] = (),
    caption_ids: Sequence[str] = (),
    model: str = "",
    data: str = "",
    split: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    unreadable: tuple[str, ...] = (),
    problems: tuple[str, ...] = (),
) -> Report:
    """Measure vectors by a protocol.

    Arguments:
        image_vectors: [N, E]; a row that is not finite is never found and finds nothing.
        text_vectors: [C, E]; the same.
        owners: integers [C], the position of each caption's image.
        protocol: what is measured, and how.
        score: a key of `SCORES`, or a function that gives [N, C] for [N, E] and [C, E].
        relevance: what is right, by way, where it is not an image's own captions and a caption's own image.
        grades: [C, N], how right each image is for each caption: NDCG by them is reported beside the rest.
        bank: what `protocol.hubs` are known by; needed where that is set.
        adjust: changes scores, by way, given the positions of queries and gallery; see `Adjust`.
        image_ids, caption_ids: what to call them in files of ranks; their positions where not given.
        model, data, split, unreadable, problems: for the report.
        bootstrap, seed: draws of images for the intervals.

    Raises `UsageError` and `DataError` where something does not fit.
    """
    name, compute = _named(score)
    images, captions = np.asarray(image_vectors), np.asarray(text_vectors)
    work = _Work(
        images=images,
        captions=captions,
        owners=checked_owners(owners, images=images, captions=captions),
        score=compute,
        lowest=protocol.lowest_score(name),
        protocol=protocol,
        relevance=relevance or {},
        image_ids=_checked_ids(image_ids, len(images), what="image"),
        caption_ids=_checked_ids(caption_ids, len(captions), what="caption"),
    )
    return report(
        work.ranks(adjust or {}),
        model=model, data=data, split=split, bootstrap=bootstrap, seed=seed, unreadable=unreadable,
        problems=problems, protocol=protocol, score=name,
        relevance={way: _judged_by(work.relevance, way) for way in WAYS},
        graded=None if grades is None else work.graded(grades, adjust or {}),
        hubs=_corrected(work, bank, adjust or {}),
    )  # fmt: skip


def committee(scores: Sequence[Score], widths: Sequence[int]) -> Score:
    """The plain mean of several models' scores, for vectors that stand side by side.

    Arguments:
        scores: each model's score.
        widths: how wide each model's vectors are; the models' vectors of an item are joined in this order.

    Returns a score of such joined vectors [.., sum of widths].
    """
    ends = np.cumsum(widths)
    columns = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]

    def mean(first: Vectors, second: Vectors) -> Vectors:
        parts = [score(first[:, part], second[:, part]) for score, part in zip(scores, columns, strict=True)]
        total: Vectors = sum(parts[1:], parts[0])
        return total / np.asarray(len(parts), dtype=total.dtype)

    mean.__name__ = _one_name([getattr(score, "__name__", "custom") for score in scores])
    return mean


def _one_name(names: Sequence[str]) -> str:
    return names[0] if len(set(names)) == 1 else "+".join(names)


@dataclasses.dataclass(frozen=True, eq=False)
class _Work:
    """What is measured, and the protocol, before any score is known."""

    images: Vectors
    captions: Vectors
    owners: NDArray[np.int64]
    score: Score
    lowest: float | None
    protocol: Protocol
    relevance: Mapping[Way, Relevance]
    image_ids: Sequence[str]
    caption_ids: Sequence[str]

    def ranks(self, adjust: Mapping[Way, Adjust], *, lowest: bool = True) -> list[Ranks]:
        """Ranks in each gallery; `adjust` is told positions among all images and captions."""
        right: Mapping[Way, Relevance] = {
            "i2t": own_captions(self.owners, images=len(self.images)),
            "t2i": own_images(self.owners, images=len(self.images)),
            **self.relevance,
        }
        return [
            self._ranks_of(images, captions, right, adjust, self.lowest if lowest else None)
            for images, captions in self._parts()
        ]

    def _parts(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        return list(self.protocol.parts(self.owners, images=len(self.images)))

    def _ranks_of(
        self,
        images: NDArray[np.int64],
        captions: NDArray[np.int64],
        right: Mapping[Way, Relevance],
        adjust: Mapping[Way, Adjust],
        lowest: float | None,
    ) -> Ranks:
        among = {"i2t": (images, captions), "t2i": (captions, images)}
        here = {way: each.within(*among[way]) for way, each in right.items()}
        for way, each in here.items():
            if not len(each.asked) and len(captions):
                raise DataError(f"{way}: no query has a right answer")
        place = np.searchsorted(images, self.owners[captions])
        found = rank_both_ways(
            self.images[images],
            self.captions[captions],
            place,
            score=self.score,
            relevance=here,
            adjust={way: _among_all(change, *among[way]) for way, change in adjust.items()},
            min_score=lowest,
            top=self.protocol.top,
        )
        ids = (_chosen(self.image_ids, images), _chosen(self.caption_ids, captions))
        return dataclasses.replace(found, image_ids=ids[0], caption_ids=ids[1])

    def graded(
        self, grades: NDArray[np.floating[Any]], adjust: Mapping[Way, Adjust]
    ) -> dict[str, dict[int, float]]:
        """NDCG by a matrix of grades, the mean over captions, over those above 0, and over the galleries."""
        if grades.shape != (len(self.captions), len(self.images)):
            needed = f"[captions, images] = {(len(self.captions), len(self.images))}"
            raise UsageError(f"grades have the shape {grades.shape}; {needed} is needed")
        change = adjust.get("t2i")
        parts = []
        for images, captions in self._parts():
            parts.append(
                graded_ndcg(
                    self.images[images],
                    self.captions[captions],
                    grades if self.protocol.folds is None else grades[captions][:, images],
                    at=self.protocol.at,
                    score=self.score,
                    adjust=None if change is None else _among_all(change, captions, images),
                    min_score=self.lowest,
                )
            )
        return {
            name: {cutoff: float(np.mean([mean(part[cutoff]) for part in parts])) for cutoff in parts[0]}
            for name, mean in (("ndcg", _mean), ("ndcg_found", _mean_found))
        }


def _mean(values: NDArray[np.float64]) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else 0.0


def _mean_found(values: NDArray[np.float64]) -> float:
    values = values[values > 0]
    return float(values.mean()) if len(values) else 0.0


def _corrected(work: _Work, bank: Bank | None, adjust: Mapping[Way, Adjust]) -> Corrected | None:
    """The figures after the protocol's correction of hubs; a cut-off of scores does not apply to them."""
    hubs = work.protocol.hubs
    if hubs is None:
        return None
    if bank is None:
        raise UsageError(f"hubs={hubs.name!r} needs a bank of images and captions that are not measured")
    corrections = hub_corrections(hubs, bank, images=work.images, captions=work.captions, score=work.score)
    changes = {way: _one_after_other(adjust.get(way), corrections[way]) for way in WAYS}
    parts = work.ranks(changes, lowest=False)
    i2t, t2i, total, _ = both_ways(parts, protocol=work.protocol)
    about = {
        "correction": hubs.name,
        **hubs.parameters,
        "bank": bank.name,
        "bank_images": len(bank.images),
        "bank_captions": len(bank.captions),
    }
    return Corrected(about=about, i2t=i2t, t2i=t2i, rsum=total, parts=tuple(parts))


def _one_after_other(first: Adjust | None, second: Adjust) -> Adjust:
    if first is None:
        return second
    return lambda queries, gallery, scores: second(queries, gallery, first(queries, gallery, scores))


def _among_all(change: Adjust, queries: NDArray[np.int64], gallery: NDArray[np.int64]) -> Adjust:
    """`change`, told positions among all where a fold has its own."""
    return lambda some, items, scores: change(queries[some], gallery[items], scores)


def _named(score: str | Score) -> tuple[str, Score]:
    if isinstance(score, str):
        check_known("score", score, SCORES)
        return score, SCORES[score]
    return getattr(score, "__name__", "custom"), score


def _judged_by(relevance: Mapping[Way, Relevance], way: Way) -> str:
    return relevance[way].name if way in relevance else "captions"


def _chosen(ids: Sequence[str], places: NDArray[np.int64]) -> Sequence[str]:
    return [ids[place] for place in places] if ids else ()


def _checked_ids(ids: Sequence[str], count: int, *, what: str) -> Sequence[str]:
    if ids and len(ids) != count:
        raise UsageError(f"{len(ids)} {what} ids for {count} {what}s; one for each is needed")
    if len(set(ids)) != len(ids):
        twice = next(name for place, name in enumerate(ids) if name in ids[:place])
        raise UsageError(f"the {what} id {twice!r} is given twice")
    return ids
