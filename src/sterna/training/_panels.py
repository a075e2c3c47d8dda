"""What a model finds, as pictures: a query, what is right for it, and the first ten answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sterna.errors import PhotoError
from sterna.evaluation import Ranking, Ranks
from sterna.images import open_photo, to_square
from sterna.words import printable

__all__ = ["FIRST", "Shown", "panels"]

FIRST = 10  # answers that a panel shows

_WIDTH, _MARGIN, _GAP = 1120, 20, 12  # pixels
_SIDE, _TILE, _LINE = 250, 148, 28  # of the query's photograph, of an answer's, and a line of text
_INK, _SOFT, _PAPER, _GONE = (24, 26, 30), (110, 116, 125), (255, 255, 255), (212, 215, 220)
_RIGHT, _WRONG = (22, 138, 62), (196, 52, 40)
_MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class Shown:
    """A split as people see it, in the order in which it is measured.

    Fields:
        paths: of the photographs, N; one that cannot be opened is shown as a grey tile.
        captions: C sentences.
    """

    paths: Sequence[Path]
    captions: Sequence[str]


def panels(ranks: Ranks, shown: Shown, *, count: int) -> Iterator[tuple[str, Image.Image]]:
    """`count` queries each way, evenly spaced and the same ones every time, with the names of their panels.

    Arguments:
        ranks: of the split, with the first `FIRST` of each query.
        shown: the split.
    """
    for way, ranking in (("i2t", ranks.i2t), ("t2i", ranks.t2i)):
        queries = len(ranking.counts)
        chosen = np.unique(np.linspace(0, queries - 1, min(count, queries)).round().astype(np.int64))
        for number, query in enumerate(chosen):
            one = _Query.of(ranking, int(query))
            draw = _captions_of_photograph if way == "i2t" else _photographs_of_caption
            yield f"{way}/{number}", draw(one, shown)


@dataclass(frozen=True)
class _Query:
    """One query: its position, the right answers with their ranks from 1, and the first answers."""

    place: int
    right: dict[int, int]
    first: tuple[int, ...]

    @classmethod
    def of(cls, ranking: Ranking, query: int) -> _Query:
        assert ranking.top is not None
        assert ranking.answers is not None
        assert ranking.queries is not None
        answers = slice(int(ranking.offsets[query]), int(ranking.offsets[query + 1]))
        pairs = zip(ranking.answers[answers].tolist(), ranking.ranks[answers].tolist(), strict=True)
        return cls(
            place=int(ranking.queries[query]),
            right={answer: rank + 1 for answer, rank in pairs},
            first=tuple(one for one in ranking.top[query].tolist() if one >= 0),
        )


def _photographs_of_caption(query: _Query, shown: Shown) -> Image.Image:
    """A caption, its photograph, and the first photographs found, five in a row."""
    rows = -(-FIRST // 5)
    canvas = Image.new("RGB", (_WIDTH, 2 * _MARGIN + 2 * _LINE + rows * (_TILE + _LINE)), _PAPER)
    pen = ImageDraw.Draw(canvas)
    _text(pen, (_MARGIN, _MARGIN), shown.captions[query.place], width=_WIDTH - 2 * _MARGIN, size=20)
    top = _MARGIN + 2 * _LINE
    for answer, rank in list(query.right.items())[:1]:
        canvas.paste(_tile(shown.paths[answer], _SIDE), (_MARGIN, top))
        told = f"right: rank {rank}"
        _text(pen, (_MARGIN, top + _SIDE + 6), told, width=_SIDE, size=16, colour=_SOFT)
    for number, answer in enumerate(query.first):
        left = _MARGIN + _SIDE + 3 * _GAP + number % 5 * (_TILE + _GAP)
        upper = top + number // 5 * (_TILE + _LINE)
        right = answer in query.right
        colour = _RIGHT if right else _WRONG
        canvas.paste(_tile(shown.paths[answer], _TILE), (left, upper))
        if right:
            pen.rectangle((left - 3, upper - 3, left + _TILE + 2, upper + _TILE + 2), outline=colour, width=4)
        _mark(pen, (left, upper + _TILE + 7), right=right)
        _text(pen, (left + 20, upper + _TILE + 4), str(number + 1), width=_TILE, size=16, colour=colour)
    return canvas


def _captions_of_photograph(query: _Query, shown: Shown) -> Image.Image:
    """A photograph, the captions that are right for it, and the first captions found."""
    right = sorted(query.right.items(), key=lambda pair: pair[1])[:5]
    height = 2 * _MARGIN + max(_SIDE + (len(right) + 1) * _LINE, FIRST * _LINE + _LINE)
    canvas = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(canvas)
    canvas.paste(_tile(shown.paths[query.place], _SIDE), (_MARGIN, _MARGIN))
    left, width = _MARGIN + _SIDE + 3 * _GAP, _WIDTH - 2 * _MARGIN - _SIDE - 3 * _GAP
    for number, answer in enumerate(query.first):
        upper = _MARGIN + number * _LINE
        good = answer in query.right
        colour = _RIGHT if good else _INK
        _text(pen, (left, upper), str(number + 1), width=30, size=16, colour=_RIGHT if good else _WRONG)
        _mark(pen, (left + 28, upper + 3), right=good)
        _text(pen, (left + 54, upper), shown.captions[answer], width=width - 54, size=16, colour=colour)
    top = _MARGIN + max(_SIDE, FIRST * _LINE) + _LINE // 2
    for number, (answer, rank) in enumerate(right):
        told = f"right, rank {rank}: {shown.captions[answer]}"
        place = (_MARGIN, top + number * _LINE)
        _text(pen, place, told, width=_WIDTH - 2 * _MARGIN, size=16, colour=_SOFT)
    return canvas


def _tile(path: Path, side: int) -> Image.Image:
    """The middle of a photograph, or a grey square where there is none."""
    try:
        photo = open_photo(path, at_least=side, max_pixels=_MAX_PIXELS)
    except PhotoError:
        return Image.new("RGB", (side, side), _GONE)
    square: NDArray[np.uint8] = to_square(photo.image, side, "crop")
    return Image.fromarray(square)


def _mark(pen: ImageDraw.ImageDraw, place: tuple[int, int], *, right: bool) -> None:
    """A tick or a cross, 14 pixels wide; no font is sure to have them."""
    x, y = place
    if right:
        pen.line([(x, y + 7), (x + 5, y + 12), (x + 14, y + 1)], fill=_RIGHT, width=3, joint="curve")
    else:
        pen.line([(x + 2, y + 2), (x + 12, y + 12)], fill=_WRONG, width=3)
        pen.line([(x + 2, y + 12), (x + 12, y + 2)], fill=_WRONG, width=3)


def _text(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    *,
    width: int,
    size: int,
    colour: tuple[int, int, int] = _INK,
) -> None:
    """One line, with an ellipsis where it is longer than `width` pixels."""
    font = ImageFont.load_default(size)
    shown = printable(" ".join(text[:400].split()))
    if font.getlength(shown) > width:
        while shown and font.getlength(shown + "…") > width:
            shown = shown[:-1]
        shown += "…"
    pen.text(place, shown, colour, font=font)
