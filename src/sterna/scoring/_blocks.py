"""Many against many in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError, check_known
from sterna.scoring._arrays import Array, as_numpy
from sterna.scoring._items import pad
from sterna.scoring._scores import ALIGNMENTS
from sterna.scoring._vectors import Score, Vectors, dot

__all__ = ["align", "align_blocks", "blocks"]

Places = NDArray[np.int64]


def blocks(
    queries: Vectors, gallery: Vectors, *, block: int = 1024, score: Score = dot
) -> Iterator[tuple[slice, Vectors]]:
    """Similarities of all queries to all of the gallery, `block` queries at a time.

    Arguments:
        queries: [Q, E].
        gallery: [G, E].
        block: queries at a time; memory is that of `block * G` similarities.
        score: gives [Q, G] similarities for [Q, E] and [G, E] vectors.

    Yields which queries, and their similarities [at most block, G].
    Raises `UsageError` where the widths differ or `block` is below 1.
    """
    _check_block(block)
    for start in range(0, len(queries), block):
        part = slice(start, min(start + block, len(queries)))
        yield part, score(queries[part], gallery)


def align(images: Sequence[Array], captions: Sequence[Array], *, score: str, block: int = 2048) -> Vectors:
    """Alignment scores of all images and captions, in blocks.

    Arguments:
        images: each image's regions [R, E], however many, all of NumPy or all of torch.
        captions: each caption's words [T, E].
        score: one of `ALIGNMENTS`.
        block: regions and words of either side at a time; see `align_blocks`.

    Returns float32 [N, C] of NumPy.
    Raises `UsageError` for another score, and where widths differ.
    """
    scores = np.zeros((len(images), len(captions)), dtype=np.float32)
    for rows, columns, found in align_blocks(images, captions, score=score, block=block):
        scores[np.ix_(rows, columns)] = as_numpy(found)
    return scores


def align_blocks(
    images: Sequence[Array], captions: Sequence[Array], *, score: str, block: int = 2048
) -> Iterator[tuple[Places, Places, Array]]:
    """Alignment scores, a block of images and of captions at a time, those of like length together.

    Arguments:
        images, captions, score: as for `align`.
        block: regions, and words, at a time, padding included, but at least one image and one caption.
            Memory is that of `block * block` matches a few times over: 150 MB as it stands.

    Yields the places of some images [n] and captions [c], and their scores [n, c].
    Raises `UsageError` for another score, where widths differ, and for a `block` below 1.
    """
    check_known("score", score, ALIGNMENTS)
    _check_block(block)
    compute = ALIGNMENTS[score]
    groups = _groups(captions, block)
    for rows in _groups(images, block):
        regions = pad([images[row] for row in rows])
        for columns in groups:
            words = pad([captions[column] for column in columns])
            yield rows, columns, compute(regions, words)


def _groups(items: Sequence[Array], block: int) -> list[Places]:
    """Places of items of like length, together `block` long at most where they are padded."""
    lengths = np.array([max(1, one.shape[0]) for one in items], dtype=np.int64)
    places = np.argsort(lengths, kind="stable")
    groups: list[Places] = []
    start = 0
    for end in range(1, len(places) + 1):
        last = end == len(places)
        if last or (end + 1 - start) * lengths[places[end]] > block:
            groups.append(places[start:end])
            start = end
    return groups


def _check_block(block: int) -> None:
    if block < 1:
        raise UsageError(f"block is {block}; at least 1 is needed")
