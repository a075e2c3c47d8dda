"""A photograph with maps over it, as one picture: a large one, and a small one for each word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sterna.figures._heat import Heat, heated, overlay
from sterna.figures._letters import fit, font, wrapped
from sterna.files import new_file
from sterna.images import PhotoSource, open_photo

__all__ = ["heat_png", "write_heat_png"]

_WIDTH, _MARGIN, _GAP = 1200, 32, 16  # pixels
_LARGE, _SMALL = (1136, 600), (272, 272)  # within which the photograph is shown
_ACROSS = 4  # small ones in a row
_INK, _SOFT, _PAPER = (24, 26, 30), (90, 96, 105), (255, 255, 255)
_TITLE, _NOTE, _LABEL = 24, 16, 18  # of letters
_BAR = (220, 14)
_LEGEND = ("less for it", "more for it")


def write_heat_png(
    path: Path, photo: PhotoSource, maps: Sequence[Heat], *, area: Sequence[float] = (0.0, 0.0, 1.0, 1.0)
) -> None:
    """Write `heat_png` to `path`, whole or not at all.

    Raises `PhotoError` where the photograph cannot be read, `DiskError` where `path` cannot be written.
    """
    picture = heat_png(photo, maps, area=area)
    with new_file(path) as aside:
        picture.save(aside, format="PNG", optimize=True)


def heat_png(
    photo: PhotoSource, maps: Sequence[Heat], *, area: Sequence[float] = (0.0, 0.0, 1.0, 1.0)
) -> Image.Image:
    """An RGB image 1,200 pixels wide: the photograph under the first map, large, and small under the others.

    Each map's strongest cell has the strongest colour. The labels stand above the large one and under the
    small ones, with a legend.

    Arguments:
        photo: as `sterna.images.open_photo` takes it.
        maps: at least one.
        area: left, top, right and bottom of all grids, in 0..1 of the upright photograph.

    Raises `PhotoError` where the photograph cannot be read.
    """
    image = open_photo(photo, at_least=min(_LARGE)).image
    first, *others = maps
    title = wrapped(first.label, _WIDTH - 2 * _MARGIN, size=_TITLE, lines=4)
    large, small = _within(image, _LARGE), _within(image, _SMALL)
    head = _MARGIN + len(title) * (_TITLE + 8) + _NOTE + 20
    rows = -(-len(others) // _ACROSS)
    each = small.height + _LABEL + _NOTE + 30
    foot = head + large.height + _GAP + _NOTE + 2 * _GAP
    canvas = Image.new("RGB", (_WIDTH, foot + rows * each + _MARGIN // 2), _PAPER)
    pen = ImageDraw.Draw(canvas)
    for place, line in enumerate(title):
        pen.text((_MARGIN, _MARGIN + place * (_TITLE + 8)), line, _INK, font=font(_TITLE))
    note = fit(first.note, _WIDTH - 2 * _MARGIN, size=_NOTE)
    pen.text((_MARGIN, head - _NOTE - 12), note, _SOFT, font=font(_NOTE))
    canvas.paste(heated(large, first.cells, area), (_MARGIN, head))
    _legend(canvas, top=head + large.height + _GAP)
    for place, one in enumerate(others):
        left = _MARGIN + place % _ACROSS * (_SMALL[0] + _GAP)
        top = foot + place // _ACROSS * each
        canvas.paste(heated(small, one.cells, area), (left, top))
        label, note = (
            fit(text, _SMALL[0], size=size) for text, size in ((one.label, _LABEL), (one.note, _NOTE))
        )
        pen.text((left, top + small.height + 4), label, _INK, font=font(_LABEL))
        pen.text((left, top + small.height + _LABEL + 8), note, _SOFT, font=font(_NOTE))
    return canvas


def _within(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The photograph as large as fits, small ones made larger."""
    scale = min(size[0] / image.width, size[1] / image.height)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _legend(canvas: Image.Image, *, top: int) -> None:
    """A bar of the colours, with its two words."""
    pen, letters = ImageDraw.Draw(canvas), font(_NOTE)
    left = _MARGIN + round(letters.getlength(_LEGEND[0])) + 10
    ramp = overlay(np.linspace(-1, 1, _BAR[0], dtype=np.float32)[None], _BAR)
    canvas.paste(ramp, (left, top + 3), ramp)
    pen.rectangle((left - 1, top + 2, left + _BAR[0], top + 3 + _BAR[1]), outline=_SOFT)
    pen.text((_MARGIN, top), _LEGEND[0], _SOFT, font=letters)
    pen.text((left + _BAR[0] + 10, top), _LEGEND[1], _SOFT, font=letters)
