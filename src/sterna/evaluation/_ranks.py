"""Ranks of the right answers, both ways: all that every metric here is made of.

Letters: Q queries, G gallery, A right answers in all, N images, C captions, E embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.evaluation._blocks import Adjust, count_scored, first_of, scored_blocks
from sterna.evaluation._relevance import Relevance, Way, own_captions, own_images
from sterna.scoring import Score, Vectors, dot

__all__ = ["Ranking", "Ranks", "checked_owners", "rank", "rank_both_ways", "ranks_in"]

_PASSES = 64  # with more right answers than this, sorting a query's scores is quicker than counting for each


@dataclass(frozen=True, eq=False)
class Ranking:
    """Zero-based ranks of the right answers to queries (Q queries, A answers that are right for one).

    Fields:
        ranks: int64 [A], query after query, ascending within a query. An answer without a score (its vector
            or its query's is not finite, or it is beyond the cut-off) has the rank `gallery`, one past the
            last, and is never found.
        offsets: int64 [Q + 1]; the ranks of query q are `ranks[offsets[q]:offsets[q + 1]]`, at least one.
        images: int64 [Q], the image that each query is or belongs to, for drawing images at random.
        gallery: how many items were ranked.
        grades: float64 [A], how right each answer is; `None` where all are equally right.
        answers: int64 [A], the position of each right answer in the gallery; `None` where unknown.
        queries: int64 [Q], the position of each query among all; `None` where unknown.
        returned: int64 [Q], how many items have a score at all; `None` where not counted.
        top: int64 [Q, T], positions of the first T items, -1 where there are fewer; `None` if not asked for.
        top_scores: [Q, T], their scores, NaN where there are fewer.
        scores: [A], the score of each right answer, NaN where it has none; `None` where unknown.
    """

    ranks: NDArray[np.int64]
    offsets: NDArray[np.int64]
    images: NDArray[np.int64]
    gallery: int
    grades: NDArray[np.float64] | None = None
    answers: NDArray[np.int64] | None = None
    queries: NDArray[np.int64] | None = None
    returned: NDArray[np.int64] | None = None
    top: NDArray[np.int64] | None = None
    top_scores: Vectors | None = None
    scores: Vectors | None = None

    @property
    def first(self) -> NDArray[np.int64]:
        """The rank of each query's best right answer, int64 [Q]."""
        return self.ranks[self.offsets[:-1]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many right answers each query has, int64 [Q]."""
        return np.diff(self.offsets)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks both ways.

    Fields:
        i2t: images as queries (those with right answers, in order) and captions as gallery.
        t2i: captions as queries (in order) and images as gallery, also those without captions.
        owners: int64 [C], the image of each caption.
        image_ids, caption_ids: what to call images and captions; empty where they are known by position.
    """

    i2t: Ranking
    t2i: Ranking
    owners: NDArray[np.int64]
    image_ids: Sequence[str] = ()
    caption_ids: Sequence[str] = ()

    @property
    def images(self) -> int:
        """How many images there are."""
        return self.t2i.gallery

    @property
    def captions(self) -> int:
        """How many captions there are."""
        return self.i2t.gallery


def rank_both_ways(
    image_vectors: Vectors,
    text_vectors: Vectors,
    owners: NDArray[np.integer],
    *,
    block: int = 1024,
    score: Score = dot,
    relevance: Mapping[Way, Relevance] | None = None,
    adjust: Mapping[Way, Adjust] | None = None,
    min_score: float | None = None,
    top: int = 0,
) -> Ranks:
    """Rank all captions for every image and all images for every caption.

    Ties are decided against the model: a wrong answer with the same score as a right one is ahead of it, and
    of right ones the less right, so that constant vectors find nothing. Items with the very same vector
    always get the very same score. Of a query's right answers the better ones are ahead of the others.

    Arguments:
        image_vectors: [N, E]; a row that is not finite is never found and finds nothing.
        text_vectors: [C, E]; the same.
        owners: integers [C], the position of each caption's image, of which some may have no captions.
        block: queries at a time at most; memory is bounded by a few times 16 million similarities.
        score: gives [N, C] similarities of images and captions.
        relevance: what is right, by way, where it is not an image's own captions and a caption's own image.
        adjust: changes scores, by way; see `Adjust`.
        min_score: answers that score less are not returned: they are never found.
        top: how many of the first answers to keep for each query.

    Raises `UsageError` where shapes, owners or relevance do not fit.
    """
    images, captions = np.asarray(image_vectors), np.asarray(text_vectors)
    owners = checked_owners(owners, images=images, captions=captions)
    right: dict[Way, Relevance] = {
        "i2t": own_captions(owners, images=len(images)),
        "t2i": own_images(owners, images=len(images)),
        **(relevance or {}),
    }
    change = adjust or {}
    i2t = rank(
        images, captions, right["i2t"], images=np.arange(len(images)), block=block, score=score,
        adjust=change.get("i2t"), min_score=min_score, top=top,
    )  # fmt: skip
    t2i = rank(
        captions, images, right["t2i"], images=owners, block=block, score=lambda c, i: score(i, c).T,
        adjust=change.get("t2i"), min_score=min_score, top=top,
    )  # fmt: skip
    return Ranks(i2t=i2t, t2i=t2i, owners=owners)


def checked_owners(owners: NDArray[np.integer], *, images: Vectors, captions: Vectors) -> NDArray[np.int64]:
    """Owners as int64; raises `UsageError` where they, or the vectors' shapes, do not fit together."""
    if images.ndim != 2 or captions.ndim != 2 or images.shape[1] != captions.shape[1]:
        shapes = f"{images.shape} and {captions.shape}"
        raise UsageError(f"image and text vectors have the shapes {shapes}; [N, E] and [C, E] are needed")
    for name, vectors in (("image", images), ("text", captions)):
        if vectors.dtype.kind not in "fiub":
            raise UsageError(f"{name} vectors are {vectors.dtype}; real numbers are needed")
    owners = np.asarray(owners)
    if owners.shape != (len(captions),):
        needed = f"one for each of {len(captions)} captions is needed"
        raise UsageError(f"owners have the shape {owners.shape}; {needed}")
    if owners.size and not np.issubdtype(owners.dtype, np.integer):
        raise UsageError(f"owners are {owners.dtype}; integers are needed")
    if owners.size and (owners.min() < 0 or owners.max() >= len(images)):
        raise UsageError(
            f"owners reach from {owners.min()} to {owners.max()}; there are {len(images)} images"
        )
    return owners.astype(np.int64)


def rank(
    queries: Vectors,
    gallery: Vectors,
    right: Relevance,
    *,
    images: NDArray[np.int64],
    block: int = 1024,
    score: Score = dot,
    adjust: Adjust | None = None,
    min_score: float | None = None,
    top: int = 0,
) -> Ranking:
    """Rank the gallery for every query that has a right answer; one way of `rank_both_ways`.

    Arguments:
        queries: [Q, E].
        gallery: [G, E].
        right: what is right.
        images: int64 [Q], the image that each query is or belongs to.
        block, score, adjust, min_score, top: as there, `score` giving [Q, G].

    Raises `UsageError` where `right` is of another number of queries or items.
    """
    if len(right.offsets) != len(queries) + 1 or right.gallery != len(gallery):
        told = f"relevance of {len(right.offsets) - 1} queries in a gallery of {right.gallery}"
        raise UsageError(f"{told} does not fit {len(queries)} queries in a gallery of {len(gallery)}")
    asked = right.asked
    offsets = np.concatenate([[0], right.offsets[asked + 1]])  # what is not asked has no answers in between
    order = np.empty(len(right.answers), dtype=np.int64)
    ranks = np.empty(len(right.answers), dtype=np.int64)
    found = np.empty(len(right.answers))
    returned = np.empty(len(asked), dtype=np.int64)
    kept = min(top, len(gallery))
    listed = np.full((len(asked), kept), -1, dtype=np.int64)
    listed_scores = np.full((len(asked), kept), np.nan)
    for part, scores in scored_blocks(
        queries, gallery, asked, block=block, score=score, adjust=adjust, min_score=min_score
    ):
        bounds = offsets[part.start : part.stop + 1]
        here = slice(bounds[0], bounds[-1])
        answers, grades = right.answers[here], right.grades[here]
        sorted_here, ranks[here] = ranks_in(scores, bounds - bounds[0], answers, grades)
        order[here] = sorted_here + bounds[0]
        found[here] = scores[np.repeat(np.arange(len(scores)), np.diff(bounds)), answers][sorted_here]
        returned[part] = count_scored(scores)
        if kept:
            judged = (bounds - bounds[0], answers, grades)
            for row, first in enumerate(_first_of_each(scores, *judged, count=kept)):
                at = (part.start + row, slice(len(first)))
                listed[at], listed_scores[at] = first, scores[row, first]
    return Ranking(
        ranks=ranks,
        offsets=offsets,
        images=images[asked],
        gallery=len(gallery),
        grades=right.grades[order],
        answers=right.answers[order],
        queries=asked,
        returned=returned,
        top=listed if top else None,
        top_scores=listed_scores if top else None,
        scores=found,
    )


def ranks_in(
    scores: Vectors, bounds: NDArray[np.int64], answers: NDArray[np.int64], grades: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of the right answers of a block of queries, best first in each, and their ranks.

    Arguments:
        scores: [B, G], NaN for no score.
        bounds: int64 [B + 1]; row b's right answers are `answers[bounds[b]:bounds[b + 1]]`.
        answers, grades: [A], positions in the gallery and how right each is.
    """
    rows = np.repeat(np.arange(len(scores)), np.diff(bounds))
    found = scores[rows, answers]
    order = np.lexsort((grades, -found, rows))  # NaN comes last in its row
    found = found[order]
    here = np.arange(len(found))
    changes = np.flatnonzero((found[1:] != found[:-1]) | (rows[1:] != rows[:-1])) + 1
    tie_ends = np.append(changes, len(found))
    right_as_good = tie_ends[np.searchsorted(changes, here, side="right")] - bounds[rows]
    places = here - bounds[rows]
    ranks = _count_as_good(scores, found, rows, places) - right_as_good + places
    return order, np.where(np.isnan(found), scores.shape[1], ranks)


def _count_as_good(
    scores: Vectors, found: Vectors, rows: NDArray[np.int64], places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many items of its row score at least `found`, for each, [A]; `places` count within the row."""
    as_good = np.zeros(len(found), dtype=np.int64)
    many = np.bincount(rows, minlength=len(scores)) > _PASSES
    for row in np.flatnonzero(many):
        mine = slice(*np.searchsorted(rows, [row, row + 1]))
        ordered = np.sort(scores[row])  # NaN comes last
        ordered = ordered[: len(ordered) - np.count_nonzero(np.isnan(ordered))]
        as_good[mine] = len(ordered) - np.searchsorted(ordered, found[mine], side="left")
    few = ~many[rows]
    for place in range(int(places[few].max(initial=-1)) + 1):
        these = np.flatnonzero(few & (places == place))
        chosen = scores if len(these) == len(scores) else scores[rows[these]]
        as_good[these] = np.count_nonzero(chosen >= found[these, None], axis=1)
    return as_good


def _first_of_each(
    scores: Vectors,
    bounds: NDArray[np.int64],
    answers: NDArray[np.int64],
    grades: NDArray[np.float64],
    *,
    count: int,
) -> Iterator[NDArray[np.int64]]:
    """The first `count` items of each row; arguments as for `ranks_in`."""
    row_grades = np.zeros(scores.shape[1])
    for row, values in enumerate(scores):
        mine = slice(bounds[row], bounds[row + 1])
        row_grades[answers[mine]] = grades[mine]
        yield first_of(values, row_grades, count)
        row_grades[answers[mine]] = 0
