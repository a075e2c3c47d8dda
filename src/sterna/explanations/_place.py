"""Where the cells of a grid lie on a photograph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sterna.explanations._types import Area

__all__ = ["cell_boxes", "seen", "square"]


def seen(fit: str, size: tuple[int, int]) -> Area:
    """What of an upright photograph of that width and height a model looks at."""
    return square(fit, size) if fit == "crop" else (0.0, 0.0, 1.0, 1.0)


def square(fit: str, size: tuple[int, int]) -> Area:
    """What a model's square covers of the photograph, beyond it where bars fill the rest."""
    width, height = size
    side = {"crop": min(size), "letterbox": max(size)}.get(fit)
    if side is None:
        return (0.0, 0.0, 1.0, 1.0)
    across, down = side / width, side / height
    return ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)


def cell_boxes(shape: tuple[int, int], area: Area) -> NDArray[np.float32]:
    """Boxes [rows, cols, 4] of a grid over an area, cut at the borders of the photograph."""
    rows, cols = shape
    xs, ys = np.linspace(area[0], area[2], cols + 1), np.linspace(area[1], area[3], rows + 1)
    boxes = np.empty((rows, cols, 4))
    boxes[..., 0], boxes[..., 2] = xs[None, :-1], xs[None, 1:]
    boxes[..., 1], boxes[..., 3] = ys[:-1, None], ys[1:, None]
    return np.clip(boxes, 0.0, 1.0).astype(np.float32)
