"""Answers as one picture: rows of photographs with their ranks, scores and names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from sterna.figures._letters import fit, font
from sterna.figures._section import Answer, Section, place, thumbnail, told
from sterna.files import new_file

__all__ = ["results_png", "write_png"]

_WIDTH, _ROW, _GAP, _MARGIN = 1200, 210, 14, 32  # pixels: of all, the height of a row of photographs, spaces
_THUMBNAIL = (480, 240)  # pixels
_INK, _SOFT, _PAPER, _MISSING = (24, 26, 30), (110, 116, 125), (255, 255, 255), (232, 234, 238)


def write_png(path: Path, sections: Sequence[Section]) -> None:
    """Write `results_png` to `path`, whole or not at all; raises `DiskError` where it cannot be written."""
    with new_file(path) as aside:
        results_png(sections).save(aside, format="PNG", optimize=True)


def results_png(sections: Sequence[Section]) -> Image.Image:
    """The photographs of all sections in rows, with rank, score and name: an RGB image 1,200 pixels wide."""
    rows: list[_Row] = []
    for section in sections:
        tiles = [_answer_tile(answer, section.measure) for answer in section.answers]
        note = "" if tiles else "nothing found"
        if section.right is not None:
            tiles.insert(0, _answer_tile(section.right, section.measure))
        if section.query_image is not None:
            tiles.insert(0, _Tile(thumbnail(section.query_image, within=_THUMBNAIL), label="query"))
        rows += [_Row(title=section.title, note=note), *_rows_of(tiles)]
    height = 2 * _MARGIN + sum(row.height for row in rows)
    canvas = Image.new("RGB", (_WIDTH, height), _PAPER)
    top = _MARGIN
    for row in rows:
        row.draw(canvas, top=top)
        top += row.height
    return canvas


def _answer_tile(answer: Answer, measure: str) -> _Tile:
    score = told(answer, measure)
    found = score if answer.alignment is None else f"{answer.alignment:.3f} ({score})"
    label = f"{place(answer)}   {found}"
    return _Tile(thumbnail(answer.path, within=_THUMBNAIL), label=label, name=answer.path.name)


@dataclass(frozen=True)
class _Tile:
    """A photograph, or why there is none, and the words under it."""

    picture: Image.Image | str
    label: str
    name: str = ""

    @property
    def shape(self) -> float:
        """Width over height, within what still looks like a photograph in a row."""
        if isinstance(self.picture, str):
            return 1.0
        return min(max(self.picture.width / self.picture.height, 0.5), 2.2)


@dataclass(frozen=True)
class _Row:
    """A line of the PNG: a title, or photographs side by side."""

    title: str = ""
    note: str = ""
    tiles: tuple[_Tile, ...] = ()
    photo_height: int = _ROW

    @property
    def height(self) -> int:
        if self.tiles:
            return self.photo_height + 56
        return 72 if self.note else 44

    def draw(self, canvas: Image.Image, *, top: int) -> None:
        pen = ImageDraw.Draw(canvas)
        if not self.tiles:
            title = fit(self.title, _WIDTH - 2 * _MARGIN, size=24)
            pen.text((_MARGIN, top), title, _INK, font=font(24))
            pen.text((_MARGIN, top + 36), self.note, _SOFT, font=font(16))
        left = _MARGIN
        for tile in self.tiles:
            width = round(tile.shape * self.photo_height)
            _draw_tile(canvas, tile, box=(left, top, left + width, top + self.photo_height))
            left += width + _GAP


def _rows_of(tiles: Sequence[_Tile]) -> Iterator[_Row]:
    """Break tiles into rows that fill the width; the last row keeps the usual height."""
    room = _WIDTH - 2 * _MARGIN
    row: list[_Tile] = []
    for tile in tiles:
        row.append(tile)
        shapes = sum(one.shape for one in row)
        gaps = _GAP * (len(row) - 1)
        if shapes * _ROW + gaps >= room:
            yield _Row(tiles=tuple(row), photo_height=int((room - gaps) / shapes))
            row = []
    if row:
        yield _Row(tiles=tuple(row))


def _draw_tile(canvas: Image.Image, tile: _Tile, *, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    pen = ImageDraw.Draw(canvas)
    if isinstance(tile.picture, str):
        pen.rectangle(box, fill=_MISSING)
        pen.text((left + 10, top + 10), fit(tile.picture, right - left - 20, size=14), _SOFT, font=font(14))
    else:
        canvas.paste(_cover(tile.picture, (right - left, bottom - top)), (left, top))
    pen.text((left, bottom + 6), fit(tile.label, right - left, size=16), _INK, font=font(16))
    pen.text((left, bottom + 26), fit(tile.name, right - left, size=14), _SOFT, font=font(14))


def _cover(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale to fill `size`, cutting evenly what stands over (in shapes beyond `_Tile.shape`'s limits)."""
    scale = max(size[0] / image.width, size[1] / image.height)
    width, height = max(size[0], round(image.width * scale)), max(size[1], round(image.height * scale))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    large = image.resize((width, height), Image.Resampling.LANCZOS)
    return large.crop((left, top, left + size[0], top + size[1]))
