"""Photographs that are changed in every step."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

from sterna.training._augment import Augment

AS_IT_IS = Augment(crop=1.0, flip=False, colour=0.0)


def noise(count: int = 3, side: int = 24) -> torch.Tensor:
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8)


def places(count: int = 64, side: int = 48) -> torch.Tensor:
    """Squares whose red is where a place lies from left to right, and whose green is where from top to bottom."""
    steps = (torch.arange(side) + 0.5) / side * 255
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    return (
        torch.stack([across, down, torch.zeros_like(down)], -1)
        .round()
        .to(torch.uint8)
        .expand(count, -1, -1, -1)
    )


def test_nothing_asked_for_is_nothing_changed() -> None:
    pixels = noise()
    assert torch.equal(AS_IT_IS(pixels), pixels.float())


def test_half_of_the_photographs_are_mirrored_and_nothing_else() -> None:
    torch.manual_seed(0)
    pixels = noise(200, 8)
    changed = AS_IT_IS._replace(flip=True)(pixels)
    mirrored = [
        bool(torch.allclose(one, square.float().flip(1), atol=0.01))
        for one, square in zip(changed, pixels, strict=True)
    ]
    for one, square, other in zip(changed, pixels, mirrored, strict=True):
        assert other or torch.allclose(one, square.float(), atol=0.01)
    assert 70 < sum(mirrored) < 130


@given(crop=st.floats(0.05, 1), seed=st.integers(0, 2**32))
def test_a_crop_is_a_rectangle_of_its_share_or_more_and_lies_inside(crop: float, seed: int) -> None:
    torch.manual_seed(seed)
    changed = AS_IT_IS._replace(crop=crop)(places())
    left, right = changed[:, :, :1, 0].mean(1), changed[:, :, -1:, 0].mean(1)
    top, bottom = changed[:, 0, :, 1].mean(1), changed[:, -1, :, 1].mean(1)
    width, height = (right[:, 0] - left[:, 0]) / 255, (bottom - top) / 255
    inside = 47 / 48  # from the middle of the first pixel to that of the last
    area = width * height / inside**2
    assert (area > crop - 0.03).all()
    assert (width < inside + 0.01).all()
    assert (height < inside + 0.01).all()
    assert ((width / height).log().abs() < 0.31 + 0.1 / crop**0.5).all()


def test_each_photograph_is_changed_in_its_own_way_and_by_the_generator_alone() -> None:
    same = noise(1).expand(4, -1, -1, -1)
    change = Augment(crop=0.4, flip=True, colour=0.3)
    torch.manual_seed(1)
    first = change(same)
    assert all(not torch.equal(first[0], one) for one in first[1:])
    torch.manual_seed(1)
    assert torch.equal(change(same), first)


def test_colours_stay_within_what_was_asked_for() -> None:
    torch.manual_seed(2)
    grey = torch.full((100, 4, 4, 3), 100, dtype=torch.uint8)
    changed = AS_IT_IS._replace(colour=0.2)(grey)
    assert changed.min() >= 80 - 1e-3
    assert changed.max() <= 120 + 1e-3
    assert changed[:, 0, 0, 0].std() > 5
    # grey has neither contrast nor saturation to lose
    assert (changed - changed[:, :1, :1, :1]).abs().max() < 1e-3
    loud = AS_IT_IS._replace(colour=0.9)(noise(50))
    assert loud.min() >= 0
    assert loud.max() <= 255


def test_photographs_are_changed_in_full_precision_whatever_the_model_computes_in() -> None:
    pixels, change = noise(8, 96), Augment(crop=0.4, flip=True, colour=0.3)
    torch.manual_seed(3)
    plain = change(pixels)
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(change(pixels), plain)
