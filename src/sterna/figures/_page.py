"""A page of answers that holds its pictures inside itself, runs no script and loads nothing.

Its content policy forbids everything else, and names of files are shown with everything escaped that could
break the page or a line.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sterna.figures._section import Answer, Section, Table, place, thumbnail, told
from sterna.files import write_text
from sterna.images import PhotoSource
from sterna.words import printable

__all__ = ["STYLE", "escaped", "framed", "inlined", "results_html", "write_html"]

_THUMBNAIL, _QUALITY = (720, 400), 82  # pixels, twice what is shown, for fine screens; of JPEG


def write_html(path: Path, sections: Sequence[Section | Table], *, title: str) -> None:
    """Write `results_html` to `path`, whole or not at all; raises `DiskError` where it cannot be written."""
    write_text(path, results_html(sections, title=title))


def results_html(sections: Sequence[Section | Table], *, title: str) -> str:
    """One page with the photographs, ranks, scores and paths of all sections; it needs nothing beside it."""
    body = "\n".join(
        _table_html(section) if isinstance(section, Table) else _section_html(section) for section in sections
    )
    return framed(body, title=title, style=STYLE)


def framed(body: str, *, title: str, style: str) -> str:
    """A page around `body`, in HTML, that may show the pictures inside it and be styled by `style` alone."""
    policy = hashlib.sha256(style.encode()).digest()
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'sha256-{base64.b64encode(policy).decode()}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escaped(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{escaped(title)}</h1></header>
<main>
{body}
</main>
</body>
</html>
"""


STYLE = """
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
table{border-collapse:collapse;font-size:.9rem}
th,td{padding:.25rem .9rem;text-align:right;font-weight:400;font-variant-numeric:tabular-nums}
tr:first-child th{color:var(--soft)}
th:first-child{padding-left:0;text-align:left}
tr+tr>*{border-top:1px solid var(--line)}
.rank{font-weight:650}
.score{float:right;font-variant-numeric:tabular-nums;color:var(--accent)}
.name{display:block;font-weight:550;color:inherit;text-decoration:none}
a.name:hover{text-decoration:underline}
.folder,.caption,.none{display:block;color:var(--soft);font-size:.78rem}
.caption{font-style:italic}
"""


def _section_html(section: Section) -> str:
    cards = [] if section.query_image is None else [_query_card(section.query_image)]
    if section.right is not None:
        cards.append(_answer_card(section.right, section.measure, kind=' class="query"'))
    cards += [_answer_card(answer, section.measure) for answer in section.answers]
    wall = "\n".join(f"<li>{card}</li>" for card in cards)
    none = "" if section.answers else '\n<p class="none">Nothing found.</p>'
    return f'<section>\n<h2>{escaped(section.title)}</h2>\n<ul class="wall">\n{wall}\n</ul>{none}\n</section>'


def _query_card(source: PhotoSource) -> str:
    picture = _picture_html(source, alt="The photograph that was asked with")
    return f'<figure class="query">{picture}<figcaption><span class="rank">query</span></figcaption></figure>'


def _table_html(table: Table) -> str:
    rows = [[f'<th scope="col">{escaped(head)}</th>' for head in table.heads]]
    rows += [
        [f'<th scope="row">{escaped(cells[0])}</th>', *(f"<td>{escaped(cell)}</td>" for cell in cells[1:])]
        for cells in table.rows
    ]
    lines = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f"<section>\n<h2>{escaped(table.title)}</h2>\n<table>\n{lines}\n</table>\n</section>"


def _answer_card(answer: Answer, measure: str, *, kind: str = "") -> str:
    captions = "".join(
        f'<span class="caption">{escaped(caption)}</span>' for caption in list(answer.captions)[:1]
    )
    also = "".join(f'<span class="folder">same: {escaped(path)}</span>' for path in answer.also)
    alt = answer.captions[0] if answer.captions else f"Photograph {answer.path.name}"
    return (
        f"<figure{kind}>{_picture_html(answer.path, alt=alt)}<figcaption>"
        f'<span class="rank">{place(answer)}</span> <span class="score">{_scores(answer, measure)}</span>'
        f'<a class="name" href="{html.escape(_link(answer.path))}">{escaped(answer.path.name)}</a>'
        f'<span class="folder">{escaped(answer.path.parent)}</span>{also}{captions}</figcaption></figure>'
    )


def _scores(answer: Answer, measure: str) -> str:
    """What an answer is ordered by."""
    plain = told(answer, measure)
    return plain if answer.alignment is None else f"alignment {answer.alignment:.3f}, score {plain}"


def _picture_html(source: PhotoSource, *, alt: str) -> str:
    picture = thumbnail(source, within=_THUMBNAIL)
    if isinstance(picture, str):
        return f'<div class="gone">{escaped(picture)}</div>'
    width, height = picture.size
    return f'<img alt="{escaped(alt)}" width="{width}" height="{height}" src="{inlined(picture)}">'


def inlined(picture: Image.Image) -> str:
    """A picture as an address that holds it: a JPEG, or a PNG where it is transparent."""
    data = io.BytesIO()
    if picture.mode == "RGBA":
        picture.save(data, format="PNG", optimize=True)
        kind = "png"
    else:
        picture.save(data, format="JPEG", quality=_QUALITY, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def escaped(value: object) -> str:
    """Text for a page, with everything shown that could break it or a line."""
    return html.escape(printable(value))


def _link(path: Path) -> str:
    return path.absolute().as_uri()
