"""A photograph with the boxes of its regions."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sterna.files import new_file
from sterna.images import PhotoSource, open_photo
from sterna.words import printable

__all__ = ["Region", "regions_png", "write_regions"]

_LONG_SIDE = 1400  # pixels of the picture
_LINE, _FONT, _PAD = 3, 17, 4
_LONGEST = 40  # letters of a label
_TURN = 0.618034  # of the circle of hues, from one region to the next: neighbours never look alike


@dataclass(frozen=True)
class Region:
    """A part of a photograph.

    Arguments:
        box: left, top, right and bottom, in 0..1 of the photograph.
        label: what it is, in a word; may be empty.
        score: how sure that is; `None` where nothing says it.
    """

    box: tuple[float, float, float, float]
    label: str = ""
    score: float | None = None


def write_regions(path: Path, photo: PhotoSource, regions: Sequence[Region], *, at_most: int = 36) -> int:
    """Write `regions_png` to `path`, whole or not at all, and say how many regions it shows.

    Raises `PhotoError` where the photograph cannot be read, `DiskError` where `path` cannot be written.
    """
    picture = regions_png(photo, regions, at_most=at_most)
    with new_file(path) as aside:
        picture.save(aside, format="PNG", optimize=True)
    return min(len(regions), at_most)


def regions_png(photo: PhotoSource, regions: Sequence[Region], *, at_most: int = 36) -> Image.Image:
    """An RGB image of a photograph with the boxes, labels and scores of its surest regions.

    Arguments:
        photo: as `sterna.images.open_photo` takes it.
        regions: in any order; those that have no score keep theirs.
        at_most: how many are drawn.

    Raises `PhotoError` where the photograph cannot be read.
    """
    image = open_photo(photo).image
    scale = _LONG_SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    canvas = image.resize((width, height), Image.Resampling.LANCZOS)
    shown = sorted(enumerate(regions), key=lambda one: -(one[1].score or 0.0))[:at_most]
    pen = ImageDraw.Draw(canvas, "RGBA")
    # the surest come last, over the others
    for place, region in reversed(shown):
        _draw_box(pen, region, colour=_colour(place), size=canvas.size)
    for place, region in reversed(shown):
        _draw_label(pen, region, place, colour=_colour(place), size=canvas.size)
    return canvas


def _draw_box(
    pen: ImageDraw.ImageDraw, region: Region, *, colour: tuple[int, int, int], size: tuple[int, int]
) -> None:
    box = _corners(region, size)
    pen.rectangle(box, outline=(255, 255, 255, 200), width=_LINE + 2)
    inner = (box[0] + 1, box[1] + 1, max(box[0] + 1, box[2] - 1), max(box[1] + 1, box[3] - 1))
    pen.rectangle(inner, outline=colour, width=_LINE)


def _draw_label(
    pen: ImageDraw.ImageDraw,
    region: Region,
    place: int,
    *,
    colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:
    words = [printable(region.label[:_LONGEST]) or str(place + 1)]
    if region.score is not None:
        words.append(f"{region.score:.2f}")
    text, font = " ".join(words), ImageFont.load_default(_FONT)
    width, height = round(font.getlength(text)) + 2 * _PAD, _FONT + 2 * _PAD
    left, top, _, _ = _corners(region, size)
    left = max(0, min(left, size[0] - width))
    top = max(0, min(top, size[1] - height))
    pen.rectangle((left, top, left + width, top + height), fill=colour)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    pen.text((left + _PAD, top + _PAD - 2), text, (0, 0, 0) if bright else (255, 255, 255), font=font)


def _corners(region: Region, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box in the picture's pixels, inside it and at least one pixel large."""
    left, top, right, bottom = (min(max(one, 0.0), 1.0) for one in region.box)
    x1, y1 = round(left * (size[0] - 1)), round(top * (size[1] - 1))
    return x1, y1, max(x1, round(right * (size[0] - 1))), max(y1, round(bottom * (size[1] - 1)))


def _colour(place: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb((place * _TURN) % 1, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
