"""Views of a photograph."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from sterna.errors import UsageError
from sterna.features._views import check_views, view_of
from tests.conftest import draw_photo


def positions(width: int, height: int) -> Image.Image:
    """An image whose red and green tell where a pixel was, in 1/255 of the side."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8))


def test_the_original_and_its_mirror() -> None:
    image = draw_photo(1)
    assert view_of(image, "original", identity="a") is image
    assert np.array_equal(view_of(image, "flip", identity="a"), ImageOps.mirror(image))


def test_crops_hold_half_the_area_or_more_and_keep_their_shape_within_bounds() -> None:
    image = positions(300, 200)
    mirrored, areas, stretches = 0, [], []
    for number in range(200):
        crop = np.asarray(view_of(image, "crop0", identity=str(number)), dtype=int)
        left, right = crop[0, 0, 0], crop[0, -1, 0]
        mirrored += left > right
        assert (np.sign(np.diff(crop[0, :, 0])) == np.sign(right - left)).all() or abs(right - left) > 150
        assert (np.diff(crop[:, 0, 1]) >= 0).all()
        height, width = crop.shape[:2]
        areas.append(width * height / image.width / image.height)
        stretches.append((width / image.width) / (height / image.height))
    assert 60 < mirrored < 140
    assert 0.49 <= min(areas) < 0.6
    assert 0.9 < max(areas) <= 1
    assert 0.74 < min(stretches) < max(stretches) < 1.35


def test_a_crop_is_decided_by_its_id_and_number_alone() -> None:
    image = draw_photo(2)
    first = np.asarray(view_of(image, "crop0", identity="a"))
    assert np.array_equal(first, view_of(image, "crop0", identity="a"))
    for view, identity in (("crop1", "a"), ("crop0", "b")):
        other = np.asarray(view_of(image, view, identity=identity))
        assert first.shape != other.shape or not np.array_equal(first, other)


def test_a_picture_of_one_pixel_can_be_cropped() -> None:
    for number in range(20):
        assert min(view_of(Image.new("RGB", (1, 1)), f"crop{number}", identity="a").size) == 1


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (("original", "mirror"), "view 'mirror': must be original, flip, or crop0, crop1, ..."),
        (("crop",), "view 'crop': must be"),
        ((), r"views=\[\]: at least one is needed, and each once"),
        (("flip", "flip"), "at least one is needed, and each once"),
    ],
)
def test_unknown_views_are_named(views: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_views(views)
