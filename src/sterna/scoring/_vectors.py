"""Scores of two vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.scoring._arrays import Array, namespace, precise, root

__all__ = ["Score", "Vectors", "dot", "order"]

Vectors = NDArray[np.floating[Any]]
Score = Callable[[Array, Array], Array]

_CELLS = 1 << 22  # N x C x E numbers that `order` holds at a time


def dot(queries: Array, gallery: Array) -> Array:
    """Dot products, which are cosines for vectors of length one.

    Arguments:
        queries: [Q, E], float16, float32 or float64, of NumPy or torch.
        gallery: [G, E].

    Returns [Q, G] in float32, in float64 where both are given in it.
    """
    queries, gallery = _comparable(queries, gallery)
    with np.errstate(all="ignore"):
        return queries @ gallery.T


def order(images: Array, captions: Array) -> Array:
    """Order-violation similarities: how far a caption says more than its image shows, negative, 0 at best.

    `-|| max(0, |caption| - |image|) ||` (Vendrov, Kiros, Fidler, Urtasun: Order-Embeddings of Images and
    Language, 2016, equation 2, on absolute values). It is not symmetric: images come first. Where nothing is
    violated its gradient is 0.

    Arguments:
        images: [N, E], of NumPy or torch.
        captions: [C, E].

    Returns [N, C] in float32, in float64 where both are given in it.
    """
    images, captions = _comparable(images, captions)
    xp = namespace(images, captions)
    images, captions = xp.abs(images), xp.abs(captions)
    at_once = max(1, _CELLS // max(1, captions.shape[0] * captions.shape[1]))  # [N, C, E] would not fit
    parts = []
    for start in range(0, images.shape[0], at_once):
        excess = captions[None] - images[start : start + at_once, None]
        excess = xp.where(excess > 0, excess, 0.0)
        parts.append(-root(xp.sum(excess * excess, axis=2)))
    return xp.concat(parts) if parts else images @ captions.T


def _comparable(first: Array, second: Array) -> list[Array]:
    """Both sets in one dtype that is precise enough, checked to be of one width."""
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise UsageError(f"vectors of shapes {shapes}; [Q, E] and [G, E] are needed")
    return precise(first, second)
