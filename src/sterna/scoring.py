"""Similarities between two sets of vectors, block by block: what training, evaluation and re-ranking share.

Letters: Q queries, G gallery, N images, C captions, E embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError

__all__ = ["Score", "Vectors", "blocks", "dot", "order"]

Vectors = NDArray[np.floating[Any]]
Score = Callable[[Vectors, Vectors], Vectors]


def dot(queries: Vectors, gallery: Vectors) -> Vectors:
    """Dot products, which are cosines for vectors of length one.

    Arguments:
        queries: [Q, E], float16, float32 or float64.
        gallery: [G, E].

    Returns [Q, G] in float32, in float64 where both are given in it.
    """
    queries, gallery = _comparable(queries, gallery)
    with np.errstate(all="ignore"):
        product: Vectors = queries @ gallery.T
    return product


def order(images: Vectors, captions: Vectors) -> Vectors:
    """Order-violation similarities: how far a caption says more than its image shows, negative, 0 at best.

    `-|| max(0, |caption| - |image|) ||` (Vendrov, Kiros, Fidler, Urtasun: Order-Embeddings of Images and
    Language, 2016, equation 2, on absolute values). It is not symmetric: images come first.

    Arguments:
        images: [N, E].
        captions: [C, E].

    Returns [N, C] in float32, in float64 where both are given in it.
    """
    images, captions = _comparable(images, captions)
    images, captions = np.abs(images), np.abs(captions)
    similarities = np.empty((len(images), len(captions)), dtype=images.dtype)
    for row, image in zip(similarities, images, strict=True):  # one image at a time: [N, C, E] would not fit
        excess = np.maximum(captions - image, 0)
        row[:] = -np.sqrt(np.einsum("ce,ce->c", excess, excess))
    return similarities


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
    if block < 1:
        raise UsageError(f"block is {block}; at least 1 is needed")
    for start in range(0, len(queries), block):
        part = slice(start, min(start + block, len(queries)))
        yield part, score(queries[part], gallery)


def _comparable(first: Vectors, second: Vectors) -> tuple[Vectors, Vectors]:
    """Both sets in one dtype that is precise enough, checked to be of one width."""
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise UsageError(f"vectors of shapes {first.shape} and {second.shape}; [Q, E] and [G, E] are needed")
    both_double = first.dtype == second.dtype == np.float64
    dtype = np.float64 if both_double else np.float32
    return first.astype(dtype, copy=False), second.astype(dtype, copy=False)
