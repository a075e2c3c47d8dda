"""Models that tell regions and words apart: regions are left out of the alignment, and the photograph is
looked at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sterna.encoders import Aligns, Encoder, aligned
from sterna.explanations._place import square
from sterna.explanations._types import Area
from sterna.images import FITS, PhotoSource
from sterna.scoring import align

__all__ = ["RegionGrid", "region_grid", "region_scores"]


@dataclass(frozen=True, eq=False)
class RegionGrid:
    """A photograph's regions that are the cells of a grid, row by row.

    Fields:
        regions: unit vectors [R, E].
        shape: rows and columns of the grid; R together.
        area: of the photograph that it covers, possibly beyond it.
    """

    regions: NDArray[np.float32]
    shape: tuple[int, int]
    area: Area


def region_grid(encoder: Encoder, photo: PhotoSource, size: tuple[int, int]) -> RegionGrid | None:
    """The regions, or `None` where the model has none or they are no grid over its square.

    Models that make a square of a photograph look at all of it by a grid; what a detector finds lies
    anywhere, and its `fit` is none of `sterna.images.FITS`.
    """
    fit = getattr(encoder, "fit", None)
    if getattr(encoder, "alignment", None) is None or fit not in FITS:
        return None
    regions = aligned(encoder).regions(photo)
    side = math.isqrt(len(regions))
    if side < 2 or side * side != len(regions):
        return None
    return RegionGrid(regions, (side, side), square(fit, size))


def region_scores(
    encoder: Aligns, grid: RegionGrid, masks: NDArray[np.bool_], texts: list[str]
) -> NDArray[np.float32]:
    """Alignment scores [N, K] of the regions that each of N masks [N, rows, cols] leaves, with all texts."""
    assert encoder.alignment is not None
    left = [grid.regions[~mask.reshape(-1)] for mask in masks]
    words = [encoder.words(text) for text in texts]
    return np.asarray(align(left, words, score=encoder.alignment), dtype=np.float32)
