"""Maps as regions: averages of cells against the slow, obvious way."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.backbones._grid import grid_boxes, grid_values


def slow_values(maps: torch.Tensor, cells: int) -> torch.Tensor:
    """Enlarge every place `cells` times, so that cells hold whole places, and average."""
    fine = maps.repeat_interleave(cells, -1).repeat_interleave(cells, -2)
    step = maps.shape[-1]
    rows = []
    for y in range(cells):
        for x in range(cells):
            rows.append(fine[:, :, y * step : (y + 1) * step, x * step : (x + 1) * step].mean((2, 3)))
    return torch.stack(rows, dim=1)


@settings(deadline=None, max_examples=40)
@given(grid=st.integers(1, 14), data=st.data())
def test_cells_average_the_places_they_cover_by_their_share(grid: int, data: st.DataObject) -> None:
    cells = data.draw(st.integers(1, grid))
    maps = torch.randn((2, 3, grid, grid), generator=torch.Generator().manual_seed(grid))
    assert torch.allclose(grid_values(maps, cells), slow_values(maps, cells), atol=1e-5)


def test_boxes_cover_the_square_row_by_row() -> None:
    boxes = grid_boxes(2)
    assert boxes.tolist() == [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]


def test_a_bright_corner_lights_the_region_with_its_box() -> None:
    maps = torch.zeros((1, 1, 12, 12))
    maps[..., :2, 10:] = 1.0  # top right
    values = grid_values(maps, 6)[0, :, 0]
    x1, y1, x2, y2 = grid_boxes(6)[int(values.argmax())].tolist()
    assert (x1, y1, x2, y2) == pytest.approx((5 / 6, 0, 1, 1 / 6))
