"""SCAN's scores: a word gathers the regions that it is about, or a region its words, and is compared to them.

Lee, Chen, Hua, Hu, He: Stacked Cross Attention for Image-Text Matching, ECCV 2018, section 3.1, as the
authors' program computes it: there a negative match counts a tenth, where the paper has nothing left of it.
Padding is never looked at.
"""

from __future__ import annotations

from sterna.scoring._arrays import Array, namespace, root
from sterna.scoring._items import Items, prepare, similarities

__all__ = ["scan_i2t", "scan_t2i"]

_LEAK = 0.1
_SMALL = 1e-8


def scan_t2i(images: Items, captions: Items, *, sharpness: float = 9.0, lse: float | None = None) -> Array:
    """Text to image: each word attends to the regions, and its cosine to what they make is averaged.

    Arguments:
        images: N images' regions [N, R, E].
        captions: C captions' words [C, T, E].
        sharpness: the inverse temperature of the attention (lambda 1).
        lse: sum up by `log(sum(exp(lse * cosine))) / lse` (lambda 2, LSE) in place of the mean.

    Returns [N, C] in float32, in float64 where both are given in it; 0 where there is no region or no word.
    Raises `UsageError` where shapes do not fit.
    """
    return _attend(images, captions, sharpness=sharpness, lse=lse)


def scan_i2t(images: Items, captions: Items, *, sharpness: float = 4.0, lse: float | None = None) -> Array:
    """Image to text: each region attends to the words, and its cosine to what they make is averaged.

    Arguments, what is returned and raised: see `scan_t2i`.
    """
    return _attend(captions, images, sharpness=sharpness, lse=lse).T


def _attend(sources: Items, askers: Items, *, sharpness: float, lse: float | None) -> Array:
    """Scores [S, A] of sets of `askers` [A, Q, E], whose items attend to each set of `sources` [S, K, E].

    What an asker gathers, a weighted sum of sources, is never written out: [S, A, Q, E] would not fit. Its
    product with the asker is the weighted sum of the matches, and its length follows from the products among
    the sources.
    """
    sources, askers = prepare(sources, askers)
    matches = similarities(sources, askers)  # [S, K, A, Q]
    xp = namespace(matches)
    there = sources.mask[:, :, None, None]
    weights = _softmax(sharpness * _clipped(matches), there)
    product = xp.sum(weights * matches, axis=1)  # [S, A, Q]
    among = sources.values @ xp.matrix_transpose(sources.values)  # [S, K, K]
    flat = xp.reshape(weights, (*weights.shape[:2], -1))
    squares = xp.sum(xp.reshape(among @ flat, weights.shape) * weights, axis=1)
    length = root(squares) * root(xp.sum(askers.values * askers.values, axis=2))[None]
    cosines = product / xp.where(length > _SMALL, length, _SMALL)
    real = askers.mask[None] & xp.any(sources.mask, axis=1)[:, None, None]
    return _mean(cosines, real) if lse is None else _log_sum_exp(cosines, real, lse)


def _clipped(matches: Array) -> Array:
    """Matches, negative ones leaking a little, of length one over all items that ask the same source.

    At padding they are 0 and add nothing.
    """
    xp = namespace(matches)
    leaky = xp.where(matches > 0, matches, _LEAK * matches)
    return leaky / (root(xp.sum(leaky * leaky, axis=3, keepdims=True)) + _SMALL)


def _softmax(scores: Array, real: Array) -> Array:
    """Over the real sources, axis 1; all 0 where there are none. Padding scores 0, which is not far away."""
    xp = namespace(scores)
    powers = xp.where(real, xp.exp(scores - xp.max(scores, axis=1, keepdims=True)), 0.0)
    total = xp.sum(powers, axis=1, keepdims=True)
    return powers / xp.where(total > 0, total, 1.0)


def _mean(cosines: Array, real: Array) -> Array:
    xp = namespace(cosines)
    count = xp.sum(xp.astype(real, cosines.dtype), axis=2)
    return xp.sum(xp.where(real, cosines, 0.0), axis=2) / xp.where(count > 0, count, 1.0)


def _log_sum_exp(cosines: Array, real: Array, sharpness: float) -> Array:
    """The logarithm never sees 0: cosines of 1 at most and the usual sharpness overflow nothing."""
    xp = namespace(cosines)
    total = xp.sum(xp.where(real, xp.exp(sharpness * (cosines - 1)), 0.0), axis=2)
    found = total > 0
    return xp.where(found, xp.log(xp.where(found, total, 1.0)) / sharpness + 1, 0.0)
