"""A photograph with its regions: boxes lie where they are said to be, whatever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sterna.errors import PhotoError
from sterna.figures import Region, regions_png, write_regions


def lit(picture: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is not black."""
    places = np.argwhere(np.asarray(picture.convert("L")) > 40)
    (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
    return int(left), int(top), int(right), int(bottom)


def test_a_box_lies_where_it_is_said_to_be() -> None:
    picture = regions_png(Image.new("RGB", (100, 200)), [Region((0.5, 0.25, 1, 0.5))])
    assert (picture.mode, picture.size) == ("RGB", (700, 1400))
    assert np.abs(np.array(lit(picture)) - [350, 350, 699, 700]).max() <= 2
    inside = np.asarray(picture)[400:690, 370:690]
    assert not inside.any()  # the photograph is seen through


def test_the_surest_regions_are_drawn_first_and_others_left_out() -> None:
    corners = [
        Region((0, 0, 0.2, 0.2), score=0.1),
        Region((0.8, 0.8, 1, 1), score=0.9),
        Region((0, 0.8, 0.2, 1)),
    ]
    picture = regions_png(Image.new("RGB", (100, 100)), corners, at_most=1)
    assert np.abs(np.array(lit(picture)) - [1119, 1119, 1399, 1399]).max() <= 2
    assert lit(regions_png(Image.new("RGB", (100, 100)), corners))[0] == 0


def test_regions_have_colours_and_labels_of_their_own() -> None:
    black = Image.new("RGB", (100, 100))
    boxes = [(0, 0, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)]
    picture = np.asarray(regions_png(black, [Region(box) for box in boxes]))  # type: ignore[arg-type]
    first, second = picture[300, 3], picture[1100, 842]
    assert np.abs(first.astype(int) - second.astype(int)).max() > 60
    plain = regions_png(black, [Region((0.2, 0.2, 0.8, 0.8))])
    named = regions_png(black, [Region((0.2, 0.2, 0.8, 0.8), label="a dog", score=0.93)])
    assert not np.array_equal(np.asarray(plain)[270:310, 300:500], np.asarray(named)[270:310, 300:500])


@pytest.mark.parametrize(
    "region",
    [
        Region((0, 0, 0, 0), label="x" * 500),
        Region((1, 1, 1, 1), label="two\nlines\x1b[31m", score=1.0),
        Region((-3, -3, 9, 9), label="かもめ"),
        Region((0.9, 0.1, 0.1, 0.9)),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (300, 2), (2, 300)])
def test_any_box_on_any_photograph_is_drawn(region: Region, size: tuple[int, int]) -> None:
    assert max(regions_png(Image.new("RGB", size), [region]).size) == 1400


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "a.jpg")
    drawn = write_regions(tmp_path / "a.png", tmp_path / "a.jpg", [Region((0, 0, 1, 1))] * 40)
    assert drawn == 36
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1400, 1400))
    (tmp_path / "b.jpg").write_bytes(b"no photograph")
    with pytest.raises(PhotoError, match="b.jpg"):
        write_regions(tmp_path / "b.png", tmp_path / "b.jpg", [])
    assert not (tmp_path / "b.png").exists()
    assert write_regions(tmp_path / "c.png", tmp_path / "a.jpg", []) == 0
