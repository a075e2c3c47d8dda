"""Hiding parts of a photograph: windows over the cells of a grid, and what is put over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageStat

from sterna.explanations._types import Area

__all__ = ["FILLS", "Hiding", "hide", "small", "spread", "windows"]

Hiding = Literal["blur", "mean"]
FILLS: tuple[Hiding, ...] = ("blur", "mean")
"""What hides a part: a strong blur of the photograph, or its mean colour."""

_PARTS = 5  # of a side: the middle cell of a window has one part on either side
_BLUR = 0.1  # radius, of the longer side: nothing can be recognised, light and colour stay
_EDGE = 0.015  # of the longer side: a hard border would be something to see
_SHORT_SIDE = 768  # pixels that masks are drawn on: more than the models look at


def windows(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Windows [N, rows, cols] over a grid, cut at its borders: around every other cell, or every single cell.

    A window takes about two fifths of a side: a smaller one leaves most of a thing in sight, and the score
    hardly moves. Every cell lies in some window.
    """
    rows, cols = (np.arange(side) for side in shape)
    reach = [side // _PARTS for side in shape]
    down = np.abs(rows[:, None] - rows[None, :]) <= reach[0]
    across = np.abs(cols[:, None] - cols[None, :]) <= reach[1]
    around: NDArray[np.bool_] = down[:, None, :, None] & across[None, :, None, :]
    if min(reach) == 0:
        return around.reshape(-1, *shape)
    every_other: NDArray[np.bool_] = around[(rows[:, None] + cols[None, :]) % 2 == 0]
    return every_other


def spread(falls: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What each cell contributes, of how much the score falls when windows are hidden.

    Arguments:
        falls: [N, K], of K scores.
        masks: [N, rows, cols], what was hidden; no window is empty and none of the cells is left out.

    A window's fall is divided among its cells; a cell has the mean over the windows that hide it. Returns
    [K, rows, cols].
    """
    flat = masks.reshape(len(masks), -1).astype(np.float64)
    each = falls / flat.sum(axis=1, keepdims=True)
    mean: NDArray[np.float64] = each.T @ flat / flat.sum(axis=0)
    return mean.astype(np.float32).reshape(-1, *masks.shape[1:])


def small(image: Image.Image) -> Image.Image:
    """A photograph of no more pixels than masks are drawn on."""
    scale = _SHORT_SIDE / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def hide(image: Image.Image, masks: NDArray[np.bool_], *, area: Area, fill: Hiding) -> Iterator[Image.Image]:
    """A photograph with the cells of each mask hidden, one after the other.

    Arguments:
        image: upright, RGB.
        masks: [N, rows, cols], True where a cell is hidden.
        area: where the grid lies: left, top, right and bottom, in 0..1, within the photograph.
        fill: what hides, one of `FILLS`.
    """
    over = _FILLS[fill](image)
    width, height = image.size
    left, right = (round(side * width) for side in area[::2])
    top, bottom = (round(side * height) for side in area[1::2])
    size = max(1, right - left), max(1, bottom - top)
    edge = ImageFilter.GaussianBlur(_EDGE * max(size))
    for mask in masks:
        cells = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
        soft = cells.resize(size, Image.Resampling.NEAREST).filter(edge)
        whole = Image.new("L", image.size)
        whole.paste(soft, (left, top))
        yield Image.composite(over, image, whole)


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(max(1.0, _BLUR * max(image.size))))


def _mean(image: Image.Image) -> Image.Image:
    red, green, blue = (round(value) for value in ImageStat.Stat(image).mean)
    return Image.new("RGB", image.size, (red, green, blue))


_FILLS: dict[Hiding, Callable[[Image.Image], Image.Image]] = {"blur": _blurred, "mean": _mean}
