"""A photograph of any shape becomes a model's square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sterna.errors import UsageError

__all__ = ["FITS", "to_square"]

FITS = ("squeeze", "crop", "letterbox")
"""The ways: the whole photograph squeezed; the middle of its longer side; the whole one between grey bars."""

_GREY = (127, 127, 127)  # becomes zero in networks that take (x - 127) / 128
_GAP = 3.0  # of the size, to which large photographs are averaged first: bounds time and memory


def to_square(image: Image.Image, size: int, fit: str) -> NDArray[np.uint8]:
    """Resize an image (bicubic, antialiased) to `[size, size, 3]`, uint8 RGB.

    Arguments:
        image: of any mode and shape; it is not changed.
        size: side of the square in pixels.
        fit: one of `FITS`.

    Raises `UsageError` for another `fit` or a size below 1.
    """
    if fit not in FITS:
        raise UsageError(f"fit={fit!r}: not a way to make a square; known: {', '.join(FITS)}")
    if size < 1:
        raise UsageError(f"size={size}: a square has at least 1 pixel a side")
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    width, height = rgb.size
    if fit == "letterbox":
        return _letterbox(rgb, size)
    box = (0.0, 0.0, float(width), float(height))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return _pixels(_resize(rgb, (size, size), box))


def _letterbox(image: Image.Image, size: int) -> NDArray[np.uint8]:
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = Image.new("RGB", (size, size), _GREY)
    whole = (0.0, 0.0, float(image.width), float(image.height))
    square.paste(_resize(image, (width, height), whole), ((size - width) // 2, (size - height) // 2))
    return _pixels(square)


def _resize(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    if image.size == size and box == (0.0, 0.0, *size):
        return image
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=_GAP)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8)
