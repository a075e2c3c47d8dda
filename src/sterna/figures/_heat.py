"""Numbers on a grid as colours over a photograph: orange for more, blue for less.

Orange and blue are told apart by everyone who tells colours apart at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = ["Heat", "heated", "overlay", "pale"]

_MORE, _LESS = (230, 97, 1), (33, 102, 172)
_STRONGEST = 0.8  # of opaque
_GREY = 0.65  # how far the photograph goes to grey, so that its own colours are not taken for the map's


@dataclass(frozen=True, eq=False)
class Heat:
    """Numbers on a grid over a photograph.

    Arguments:
        label: what they are about, in a word or a sentence.
        cells: [rows, cols]; positive is more for it, negative less or against it.
        note: more to say, such as a share; may be empty.
        span: where the label stands in the sentence that a page shows; `None` for the whole sentence.
    """

    label: str
    cells: NDArray[np.float32]
    note: str = ""
    span: tuple[int, int] | None = None


def overlay(
    cells: NDArray[np.float32], size: tuple[int, int], area: Sequence[float] = (0.0, 0.0, 1.0, 1.0)
) -> Image.Image:
    """The colours of a map, an RGBA image; the strongest cell is the least transparent.

    Arguments:
        cells: [rows, cols].
        size: width and height of the picture that it lies on, in pixels.
        area: left, top, right and bottom of the grid on that picture, in 0..1, possibly beyond it.
    """
    values = np.asarray(cells, dtype=np.float32)
    strongest = float(np.abs(values).max(initial=0.0))
    values = values / strongest if strongest > 0 else values
    left, right = (round(side * size[0]) for side in area[::2])
    top, bottom = (round(side * size[1]) for side in area[1::2])
    over = max(1, right - left), max(1, bottom - top)
    whole = Image.new("F", size)
    whole.paste(Image.fromarray(values).resize(over, Image.Resampling.BICUBIC), (left, top))
    smooth = np.clip(np.asarray(whole), -1.0, 1.0)
    colours = np.empty((size[1], size[0], 4), dtype=np.uint8)
    colours[..., :3] = np.where(smooth[..., None] > 0, _MORE, _LESS)
    colours[..., 3] = np.round(255 * _STRONGEST * np.abs(smooth))
    return Image.fromarray(colours, "RGBA")


def pale(image: Image.Image) -> Image.Image:
    """A photograph, paler, for colours to lie on."""
    return Image.blend(image, ImageOps.grayscale(image).convert("RGB"), _GREY)


def heated(image: Image.Image, cells: NDArray[np.float32], area: Sequence[float]) -> Image.Image:
    """A photograph, RGB, with the colours of a map over it."""
    whole = pale(image)
    colours = overlay(cells, image.size, area)
    whole.paste(colours, (0, 0), colours)
    return whole
