"""Regions of images, words of captions: several vectors each, padded to the longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sterna.errors import UsageError
from sterna.scoring._arrays import Array, namespace, precise

__all__ = ["Items", "pad", "prepare", "similarities"]


class Items(NamedTuple):
    """The vectors of several images' regions, or of several captions' words.

    Fields:
        values: [B, R, E], float, of NumPy or torch; of unit length where cosines are wanted. Whatever stands
            at padding is ignored.
        mask: bool [B, R], True where an item is real.
    """

    values: Array
    mask: Array


def pad(items: Sequence[Array]) -> Items:
    """Arrays [R, E] of some lengths, at least one array, padded with zeros to the longest.

    Raises `UsageError` where there are none, or they differ in width.
    """
    if not items:
        raise UsageError("items: there are none; at least one array [R, E] is needed")
    xp, first = namespace(*items), items[0]
    for one in items:
        if one.ndim != 2 or one.shape[1] != first.shape[1]:
            raise UsageError(
                f"items of shapes {tuple(first.shape)} and {tuple(one.shape)}; all [R, E] are needed"
            )
    shape = (len(items), max(1, *(one.shape[0] for one in items)))
    device = {} if xp.__name__.endswith("numpy") else {"device": first.device}
    values = xp.zeros((*shape, first.shape[1]), dtype=first.dtype, **device)
    mask = xp.zeros(shape, dtype=xp.bool, **device)
    for row, one in enumerate(items):
        values[row, : one.shape[0]] = one
        mask[row, : one.shape[0]] = True
    return Items(values, mask)


def prepare(first: Items, second: Items) -> tuple[Items, Items]:
    """Both in one precise dtype, with zeros at padding; raises `UsageError` where shapes do not fit."""
    for items in (first, second):
        if items.values.ndim != 3 or tuple(items.mask.shape) != tuple(items.values.shape[:2]):
            shapes = f"{tuple(items.values.shape)} and {tuple(items.mask.shape)}"
            raise UsageError(f"items and mask of shapes {shapes}; [B, R, E] and [B, R] are needed")
    if first.values.shape[2] != second.values.shape[2]:
        shapes = f"{tuple(first.values.shape)} and {tuple(second.values.shape)}"
        raise UsageError(f"items of shapes {shapes}; [N, R, E] and [C, T, E] are needed")
    xp = namespace(first.values, second.values)
    values = precise(first.values, second.values)
    tidy = [
        Items(xp.where(items.mask[..., None], value, 0.0), items.mask)
        for items, value in zip((first, second), values, strict=True)
    ]
    return tidy[0], tidy[1]


def similarities(first: Items, second: Items) -> Array:
    """Dot products [B, R, C, T] of all items of one prepared set with all of the other, padding included."""
    one, other = first.values, second.values
    xp, width = namespace(one, other), one.shape[2]
    products = xp.reshape(one, (-1, width)) @ xp.reshape(other, (-1, width)).T  # one product of matrices
    return xp.reshape(products, (*one.shape[:2], *other.shape[:2]))
