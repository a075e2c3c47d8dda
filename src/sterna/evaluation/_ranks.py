"""Ranks of the right answers, both ways: all that every metric here is made of.

Letters: N images, C captions, E embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.scoring import Score, Vectors, blocks, dot

__all__ = ["Ranking", "Ranks", "rank_both_ways"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Zero-based ranks of the right answers to queries (Q queries, A answers that are right for one).

    Fields:
        ranks: int64 [A], query after query, ascending within a query. An answer without a score (its vector
            or its query's is not finite) has the rank `gallery`, one past the last, and is never found.
        offsets: int64 [Q + 1]; the ranks of query q are `ranks[offsets[q]:offsets[q + 1]]`, at least one.
        images: int64 [Q], the image that each query is or belongs to, for drawing images at random.
        gallery: how many items were ranked.
    """

    ranks: NDArray[np.int64]
    offsets: NDArray[np.int64]
    images: NDArray[np.int64]
    gallery: int

    @property
    def first(self) -> NDArray[np.int64]:
        """The rank of each query's best right answer, int64 [Q]."""
        return self.ranks[self.offsets[:-1]]


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks both ways.

    Fields:
        i2t: images as queries (those with captions, in order) and captions as gallery.
        t2i: captions as queries (in order) and images as gallery, also those without captions.
        owners: int64 [C], the image of each caption.
    """

    i2t: Ranking
    t2i: Ranking
    owners: NDArray[np.int64]

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
) -> Ranks:
    """Rank all captions for every image and all images for every caption.

    Ties are decided against the model: a wrong answer with the same score as a right one is ahead of it, so
    that constant vectors find nothing. Items with the very same vector always get the very same score. Of a
    query's right answers the better ones are ahead of the others.

    Arguments:
        image_vectors: [N, E]; a row that is not finite is never found and finds nothing.
        text_vectors: [C, E]; the same.
        owners: integers [C], the position of each caption's image, of which some may have no captions.
        block: queries at a time; memory is that of `block * max(N, C)` similarities.
        score: gives [N, C] similarities of images and captions.

    Raises `UsageError` where shapes or owners do not fit.
    """
    images, captions = np.asarray(image_vectors), np.asarray(text_vectors)
    owners = _checked_owners(owners, images=images, captions=captions)
    by_image = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=len(images))
    groups = np.split(by_image, np.cumsum(counts)[:-1])

    i2t_ranks = _ranks(images, captions, groups, block=block, score=score)
    singles = list(owners[:, None])
    t2i_ranks = _ranks(captions, images, singles, block=block, score=lambda c, i: score(i, c).T)

    asked = np.flatnonzero(counts)
    offsets = np.concatenate([[0], np.cumsum(counts[asked])])
    i2t = Ranking(ranks=i2t_ranks, offsets=offsets, images=asked, gallery=len(captions))
    each = np.arange(len(captions) + 1)
    t2i = Ranking(ranks=t2i_ranks, offsets=each, images=owners, gallery=len(images))
    return Ranks(i2t=i2t, t2i=t2i, owners=owners)


def _checked_owners(owners: NDArray[np.integer], *, images: Vectors, captions: Vectors) -> NDArray[np.int64]:
    if images.ndim != 2 or captions.ndim != 2 or images.shape[1] != captions.shape[1]:
        shapes = f"{images.shape} and {captions.shape}"
        raise UsageError(f"image and text vectors have the shapes {shapes}; [N, E] and [C, E] are needed")
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


def _ranks(
    queries: Vectors, gallery: Vectors, right: list[NDArray[np.int64]], *, block: int, score: Score
) -> NDArray[np.int64]:
    """The ranks of `right[q]` for every query q in turn, ascending within a query."""
    distinct, which = _distinct(gallery)
    usable, asks = _finite(distinct), _finite(queries)
    distinct, queries = np.where(usable[:, None], distinct, 0), np.where(asks[:, None], queries, 0)
    found = [np.empty(0, dtype=np.int64)]
    for part, similarities in blocks(queries, distinct, block=block, score=score):
        scores = similarities if usable.all() else np.where(usable, similarities, np.nan)
        scores = scores if len(distinct) == len(gallery) else scores[:, which]
        for row, q in zip(scores, range(part.start, part.stop), strict=True):
            found.append(_ranks_in(row, right[q]) if asks[q] else np.full(len(right[q]), len(row)))
    return np.concatenate(found)


def _ranks_in(scores: Vectors, right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ranks of the `right` items, ascending, in a gallery with these scores, NaN for no score."""
    best_first = -np.sort(-scores[right])  # NaN comes last
    ranks = np.full(len(right), len(scores))
    for place, score in enumerate(best_first):
        if not np.isnan(score):
            as_good = np.count_nonzero(scores >= score)
            right_as_good = np.count_nonzero(best_first >= score)
            ranks[place] = as_good - right_as_good + place
    return ranks


def _finite(vectors: Vectors) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(vectors).all(axis=1))


def _distinct(vectors: Vectors) -> tuple[Vectors, NDArray[np.int64]]:
    """The different rows, and which of them each row is.

    A matrix product may round differently for equal rows in different places; scored once, they tie exactly.
    """
    rows: dict[bytes, int] = {}
    vectors = vectors + np.zeros((), dtype=vectors.dtype)  # turns -0 into 0
    which = np.array([rows.setdefault(row.tobytes(), len(rows)) for row in vectors], dtype=np.int64)
    _, first = np.unique(which, return_index=True)
    return vectors[first], which
