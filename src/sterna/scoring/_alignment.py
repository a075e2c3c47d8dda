"""TERAN's scores: every word meets every region, and the best matches are added up.

Messina, Amato, Esuli, Falchi, Gennaro, Marchand-Maillet: Fine-grained Visual Textual Alignment for
Cross-Modal Retrieval using Transformer Encoders, ACM TOMM 2021 (arXiv 2008.05231). In formulas A is the
matrix of one image's regions by one caption's words: their cosines, where the items are of unit length.

Padding is never looked at. (In the authors' code a padded place is a match of 0, so that a score depends on
the longest item of its batch. Where all images have as many regions, MrSw and MrAVGw are the same in both.)
"""

from __future__ import annotations

import math

from sterna.scoring._arrays import Array, namespace
from sterna.scoring._items import Items, prepare, similarities

__all__ = ["mravgw", "mrsw", "mwsr", "symm"]


def mrsw(images: Items, captions: Items) -> Array:
    """MrSw: each word's best region, summed over the words; `sum_j max_i A[i, j]`.

    Arguments:
        images: N images' regions [N, R, E].
        captions: C captions' words [C, T, E].

    Returns [N, C] in float32, in float64 where both are given in it; 0 where there is no region or no word.
    Raises `UsageError` where shapes do not fit.
    """
    images, captions = prepare(images, captions)
    return _best_regions(images, captions, similarities(images, captions))


def mravgw(images: Items, captions: Items) -> Array:
    """MrAVGw: `mrsw` over the number of the caption's words, so that long captions have no lead."""
    total = mrsw(images, captions)
    xp = namespace(total)
    words = xp.sum(xp.astype(captions.mask, total.dtype), axis=1)
    return total / xp.where(words > 0, words, 1.0)


def mwsr(images: Items, captions: Items) -> Array:
    """MwSr: each region's best word, summed over the regions; `sum_i max_j A[i, j]`."""
    images, captions = prepare(images, captions)
    return _best_words(images, captions, similarities(images, captions))


def symm(images: Items, captions: Items) -> Array:
    """Symm: `mrsw` and `mwsr` together."""
    images, captions = prepare(images, captions)
    matches = similarities(images, captions)
    return _best_regions(images, captions, matches) + _best_words(images, captions, matches)


def _best_regions(images: Items, captions: Items, matches: Array) -> Array:
    xp = namespace(matches)
    best = xp.max(xp.where(images.mask[:, :, None, None], matches, -math.inf), axis=1)  # [N, C, T]
    real = captions.mask[None] & xp.any(images.mask, axis=1)[:, None, None]
    return xp.sum(xp.where(real, best, 0.0), axis=2)


def _best_words(images: Items, captions: Items, matches: Array) -> Array:
    xp = namespace(matches)
    best = xp.max(xp.where(captions.mask[None, None], matches, -math.inf), axis=3)  # [N, R, C]
    real = images.mask[:, :, None] & xp.any(captions.mask, axis=1)[None, None]
    return xp.sum(xp.where(real, best, 0.0), axis=1)
