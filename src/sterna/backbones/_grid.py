"""A feature map as regions: cells of the picture with their boxes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sterna.errors import UsageError

__all__ = ["check_cells", "grid_boxes", "grid_values"]


def check_cells(cells: int | None, grid: int) -> int:
    """The side of the grid of regions: `cells`, or the map's own `grid` for `None`."""
    if cells is None:
        return grid
    if not 1 <= cells <= grid:
        raise UsageError(f"cells={cells}: the map has {grid} x {grid} places, so cells must be 1 to {grid}")
    return cells


def grid_boxes(cells: int) -> Float[Tensor, "R 4"]:
    """Boxes [cells * cells, 4] float32 of a regular grid, row by row, as x1 y1 x2 y2 in 0..1."""
    edges = torch.arange(cells + 1, dtype=torch.float32) / cells
    y1, x1 = torch.meshgrid(edges[:-1], edges[:-1], indexing="ij")
    y2, x2 = torch.meshgrid(edges[1:], edges[1:], indexing="ij")
    return torch.stack([x1, y1, x2, y2], dim=-1).reshape(-1, 4)


def grid_values(maps: Float[Tensor, "B D H H"], cells: int) -> Float[Tensor, "B R D"]:
    """Average square maps [B, D, H, H] over `cells` x `cells` places: [B, cells * cells, D], row by row.

    A place on the border of two cells counts in both, by its share. Sizes are read once, so that it exports.
    """
    grid = int(maps.shape[-1])
    if grid % cells == 0:
        pooled = F.avg_pool2d(maps, grid // cells) if grid != cells else maps
    else:
        share = _shares(grid, cells).to(maps)
        pooled = share @ maps @ share.T
    return pooled.flatten(2).transpose(1, 2)


def _shares(grid: int, cells: int) -> Tensor:
    # [cells, grid]: how much of each cell every place fills
    places = torch.arange(grid, dtype=torch.float32)
    edges = torch.arange(cells + 1, dtype=torch.float32)[:, None] * (grid / cells)
    overlap = torch.minimum(edges[1:], places + 1) - torch.maximum(edges[:-1], places)
    return overlap.clamp(min=0) * (cells / grid)
