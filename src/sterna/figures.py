"""Pictures of answers: photographs with their scores as one self-contained page, or as one PNG.

A page holds its pictures inside itself, runs no script, and loads nothing (its content policy forbids it).
Names of files are shown with everything escaped that could break the page or a line.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont

from sterna.errors import PhotoError
from sterna.files import new_file, printable, write_text
from sterna.images import PhotoSource, open_photo

__all__ = ["Answer", "Section", "results_html", "results_png", "write_html", "write_png"]

_THUMBNAIL = (720, 400)  # pixels; twice what is shown, for fine screens
_QUALITY = 82
_PNG_WIDTH, _ROW, _GAP, _MARGIN = (
    1200,
    210,
    14,
    32,
)  # pixels of the PNG: whole width, height of a row of photographs
_INK, _SOFT, _PAPER, _MISSING = (24, 26, 30), (110, 116, 125), (255, 255, 255), (232, 234, 238)


class Answer(Protocol):
    """What a figure shows of a hit; `sterna.library.Hit` is one."""

    @property
    def rank(self) -> int:
        """1 for the best."""

    @property
    def score(self) -> float:
        """The similarity, higher is better."""

    @property
    def path(self) -> Path:
        """The photograph."""

    @property
    def captions(self) -> Sequence[str]:
        """What is known to be on it; may be empty."""


@dataclass(frozen=True)
class Section:
    """One question and its answers.

    Arguments:
        title: the question, in words.
        answers: best first; may be empty.
        query_image: the photograph that was asked with, if one was.
    """

    title: str
    answers: Sequence[Answer]
    query_image: PhotoSource | None = None


def write_html(path: Path, sections: Sequence[Section], *, title: str) -> None:
    """Write `results_html` to `path`, whole or not at all; raises `DiskError` where it cannot be written."""
    write_text(path, results_html(sections, title=title))


def write_png(path: Path, sections: Sequence[Section]) -> None:
    """Write `results_png` to `path`, whole or not at all; raises `DiskError` where it cannot be written."""
    with new_file(path) as aside:
        results_png(sections).save(aside, format="PNG", optimize=True)


def results_html(sections: Sequence[Section], *, title: str) -> str:
    """One page with the photographs, ranks, scores and paths of all sections; it needs nothing beside it."""
    policy = hashlib.sha256(_STYLE.encode()).digest()
    body = "\n".join(_section_html(section) for section in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'sha256-{base64.b64encode(policy).decode()}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{_text(title)}</h1></header>
<main>
{body}
</main>
</body>
</html>
"""


def results_png(sections: Sequence[Section]) -> Image.Image:
    """The photographs of all sections in rows, with rank, score and name: an RGB image 1,200 pixels wide."""
    rows: list[_Row] = []
    for section in sections:
        query = [] if section.query_image is None else [_Tile(section.query_image, label="query")]
        tiles = query + [_answer_tile(answer) for answer in section.answers]
        rows += [_Row(title=section.title, note="" if tiles else "nothing found"), *_rows_of(tiles)]
    height = _MARGIN * 2 + sum(row.height for row in rows)
    canvas = Image.new("RGB", (_PNG_WIDTH, height), _PAPER)
    top = _MARGIN
    for row in rows:
        row.draw(canvas, top=top)
        top += row.height
    return canvas


# ---------------------------------------------------------------------------------------------- the page

_STYLE = """
:root{--paper:#fbfbfa;--card:#fff;--ink:#1b1d21;--soft:#6b7079;--line:#e4e5e8;--accent:#1f6f8b}
@media (prefers-color-scheme:dark){
:root{--paper:#141619;--card:#1d2025;--ink:#e9eaec;--soft:#9aa0aa;--line:#2c3037;--accent:#7cc4dd}}
*{box-sizing:border-box}
body{margin:0;padding:2rem clamp(1rem,4vw,4rem) 4rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.35rem;font-weight:650;margin:0 0 1.5rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;font-weight:600;margin:2.25rem 0 .9rem;padding-bottom:.45rem;
border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.wall{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start;list-style:none;margin:0;padding:0}
figure{margin:0;width:min-content;min-width:11rem;background:var(--card);border:1px solid var(--line);
border-radius:10px;overflow:hidden}
figure.query{border:2px solid var(--accent)}
img{display:block;height:180px;width:auto;max-width:min(360px,80vw);object-fit:contain;margin:0 auto}
.gone{height:180px;display:grid;place-items:center;padding:1rem;text-align:center;color:var(--soft)}
figcaption{padding:.55rem .75rem .7rem;font-size:.85rem;overflow-wrap:anywhere}
.rank{font-weight:650}
.score{float:right;font-variant-numeric:tabular-nums;color:var(--accent)}
.name{display:block;font-weight:550;color:inherit;text-decoration:none}
a.name:hover{text-decoration:underline}
.folder,.caption,.none{display:block;color:var(--soft);font-size:.78rem}
.caption{font-style:italic}
"""


def _section_html(section: Section) -> str:
    cards = [] if section.query_image is None else [_query_card(section.query_image)]
    cards += [_answer_card(answer) for answer in section.answers]
    wall = "\n".join(f"<li>{card}</li>" for card in cards)
    none = "" if section.answers else '\n<p class="none">Nothing found.</p>'
    return f'<section>\n<h2>{_text(section.title)}</h2>\n<ul class="wall">\n{wall}\n</ul>{none}\n</section>'


def _query_card(source: PhotoSource) -> str:
    picture = _picture_html(_Tile(source, label="query"), alt="The photograph that was asked with")
    return f'<figure class="query">{picture}<figcaption><span class="rank">query</span></figcaption></figure>'


def _answer_card(answer: Answer) -> str:
    captions = "".join(
        f'<span class="caption">{_text(caption)}</span>' for caption in list(answer.captions)[:1]
    )
    alt = answer.captions[0] if answer.captions else f"Photograph {answer.path.name}"
    return (
        f"<figure>{_picture_html(_answer_tile(answer), alt=alt)}<figcaption>"
        f'<span class="rank">{answer.rank}</span> <span class="score">{answer.score:.3f}</span>'
        f'<a class="name" href="{html.escape(_link(answer.path))}">{_text(answer.path.name)}</a>'
        f'<span class="folder">{_text(answer.path.parent)}</span>{captions}</figcaption></figure>'
    )


def _picture_html(tile: _Tile, *, alt: str) -> str:
    thumbnail = tile.thumbnail
    if isinstance(thumbnail, str):
        return f'<div class="gone">{_text(thumbnail)}</div>'
    data = io.BytesIO()
    thumbnail.save(data, format="JPEG", quality=_QUALITY, optimize=True)
    inline = base64.b64encode(data.getvalue()).decode()
    width, height = thumbnail.size
    return f'<img alt="{_text(alt)}" width="{width}" height="{height}" src="data:image/jpeg;base64,{inline}">'


def _text(value: object) -> str:
    return html.escape(printable(value))


def _link(path: Path) -> str:
    return path.absolute().as_uri()


# ----------------------------------------------------------------------------------------------- the PNG


@dataclass(frozen=True)
class _Tile:
    """A photograph and the words under it."""

    source: PhotoSource
    label: str
    name: str = ""

    @cached_property
    def thumbnail(self) -> Image.Image | str:
        """A small RGB image, or why there is none."""
        try:
            image = open_photo(self.source, at_least=_THUMBNAIL[1]).image
        except PhotoError as error:
            return error.reason
        image.thumbnail(_THUMBNAIL, Image.Resampling.LANCZOS)
        return image

    @property
    def shape(self) -> float:
        """Width over height, within what still looks like a photograph in a row."""
        thumbnail = self.thumbnail
        return 1.0 if isinstance(thumbnail, str) else min(max(thumbnail.width / thumbnail.height, 0.5), 2.2)


def _answer_tile(answer: Answer) -> _Tile:
    return _Tile(answer.path, label=f"{answer.rank}   {answer.score:.3f}", name=answer.path.name)


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
            pen.text(
                (_MARGIN, top), _fit(self.title, _PNG_WIDTH - 2 * _MARGIN, size=24), _INK, font=_font(24)
            )
            pen.text((_MARGIN, top + 36), self.note, _SOFT, font=_font(16))
        left = _MARGIN
        for tile in self.tiles:
            width = round(tile.shape * self.photo_height)
            _draw_tile(canvas, tile, box=(left, top, left + width, top + self.photo_height))
            left += width + _GAP


def _rows_of(tiles: Sequence[_Tile]) -> Iterator[_Row]:
    """Break tiles into rows that fill the width; the last row keeps the usual height."""
    room = _PNG_WIDTH - 2 * _MARGIN
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
    thumbnail = tile.thumbnail
    if isinstance(thumbnail, str):
        pen.rectangle(box, fill=_MISSING)
        pen.text((left + 10, top + 10), _fit(thumbnail, right - left - 20, size=14), _SOFT, font=_font(14))
    else:
        canvas.paste(_cover(thumbnail, (right - left, bottom - top)), (left, top))
    pen.text((left, bottom + 6), tile.label, _INK, font=_font(16))
    pen.text((left, bottom + 26), _fit(tile.name, right - left, size=14), _SOFT, font=_font(14))


def _cover(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale to fill `size`, cutting evenly what stands over (in shapes beyond `_Tile.shape`'s limits)."""
    scale = max(size[0] / image.width, size[1] / image.height)
    width, height = max(size[0], round(image.width * scale)), max(size[1], round(image.height * scale))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    large = image.resize((width, height), Image.Resampling.LANCZOS)
    return large.crop((left, top, left + size[0], top + size[1]))


def _fit(text: str, width: int, *, size: int) -> str:
    """Shorten `text` to `width` pixels, with an ellipsis where something was left out."""
    shown = printable(text)
    font = _font(size)
    if font.getlength(shown) <= width:
        return shown
    while shown and font.getlength(shown + "…") > width:
        shown = shown[:-1]
    return shown + "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
