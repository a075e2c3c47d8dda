"""A page on which every word of a sentence shows its map over the photograph; no script is needed.

Words are the labels of a group of buttons, so the arrow keys walk through them, and a pointer over a word
shows its map for as long as it stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sterna.figures._heat import Heat, overlay, pale
from sterna.figures._page import STYLE, escaped, framed, inlined
from sterna.files import write_text
from sterna.images import PhotoSource, open_photo

__all__ = ["heat_html", "write_heat_html"]

_PHOTO = (1200, 900)  # pixels within which the photograph is kept
_MAP = 160  # pixels of a map's longer side; a browser makes it larger, and smooth


def write_heat_html(
    path: Path,
    photo: PhotoSource,
    maps: Sequence[Heat],
    *,
    title: str,
    area: Sequence[float] = (0.0, 0.0, 1.0, 1.0),
) -> None:
    """Write `heat_html` to `path`, whole or not at all.

    Raises `PhotoError` where the photograph cannot be read, `DiskError` where `path` cannot be written.
    """
    write_text(path, heat_html(photo, maps, title=title, area=area))


def heat_html(
    photo: PhotoSource, maps: Sequence[Heat], *, title: str, area: Sequence[float] = (0.0, 0.0, 1.0, 1.0)
) -> str:
    """One page with the photograph under the map of a sentence, or of the word that is pointed at or chosen.

    Arguments:
        photo: as `sterna.images.open_photo` takes it.
        maps: the first is about a sentence, its label; the others about words of it, in order, with spans.
        title: of the page.
        area: left, top, right and bottom of all grids, in 0..1 of the upright photograph.

    Raises `PhotoError` where the photograph cannot be read.
    """
    image = open_photo(photo, at_least=min(_PHOTO)).image
    image.thumbnail(_PHOTO)
    scale = _MAP / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    buttons = "".join(
        f'<input type="radio" name="word" id="w{place}"{" checked" if place == 0 else ""}'
        f' aria-label="{escaped(_said(one, place))}">'
        for place, one in enumerate(maps)
    )
    layers = "".join(
        f'<img class="map m{place}" alt="" src="{inlined(overlay(one.cells, size, area))}">'
        for place, one in enumerate(maps)
    )
    notes = "".join(
        f'<p class="note n{place}">{escaped(_said(one, place))}</p>' for place, one in enumerate(maps)
    )
    body = f"""<div class="all">
{buttons}
<p class="sentence">{"".join(_sentence(maps))} <label class="whole" for="w0">whole sentence</label></p>
<div class="notes">{notes}</div>
<div class="stage"><img class="photo" alt="The photograph" width="{image.width}" height="{image.height}" \
src="{inlined(pale(image))}">{layers}</div>
<p class="legend"><span>less for it</span><span class="bar"></span><span>more for it</span></p>
<p class="hint">Point at a word, or choose one with the arrow keys.</p>
</div>"""
    return framed(body, title=title, style=STYLE + _STYLE + "".join(_rules(len(maps))))


def _said(one: Heat, place: int) -> str:
    name = "The whole sentence" if place == 0 else one.label
    return f"{name}: {one.note}" if one.note else name


def _sentence(maps: Sequence[Heat]) -> Iterator[str]:
    """The sentence with its words as labels."""
    sentence, end = maps[0].label, 0
    for place, one in enumerate(maps[1:], start=1):
        if one.span is not None:
            yield escaped(sentence[end : one.span[0]])
            yield f'<label for="w{place}">{escaped(sentence[slice(*one.span)])}</label>'
            end = one.span[1]
    yield escaped(sentence[end:])


_STYLE = """
.all{max-width:1200px}
input{position:absolute;opacity:0;pointer-events:none}
.sentence{font-size:1.35rem;line-height:1.9;margin:0 0 .5rem;overflow-wrap:anywhere}
label{cursor:pointer;padding:.1rem .25rem;border-radius:5px;border-bottom:2px solid var(--line)}
label:hover{background:var(--line)}
.whole{font-size:.85rem;color:var(--soft);margin-left:.75rem;white-space:nowrap}
.notes{min-height:1.6em;color:var(--soft)}
.note{display:none;margin:0}
.stage{position:relative;width:fit-content;max-width:100%;margin-top:.75rem}
.stage img{height:auto;max-height:none;max-width:100%;border-radius:6px}
.stage .map{position:absolute;inset:0;width:100%;height:100%;opacity:0}
.legend{display:flex;gap:.6rem;align-items:center;font-size:.85rem;color:var(--soft)}
.bar{width:13rem;height:.85rem;border:1px solid var(--soft);
background:linear-gradient(90deg,
rgb(33 102 172/.8),rgb(33 102 172/0) 50%,rgb(230 97 1/0) 50%,rgb(230 97 1/.8))}
.hint{font-size:.85rem;color:var(--soft)}
"""


def _rules(count: int) -> Iterator[str]:
    """What is shown for the chosen word, unless another one is pointed at."""
    for place in range(count):
        chosen, over = f".all:has(#w{place}:checked)", f".all:has(label[for=w{place}]:hover)"
        idle = f"{chosen}:not(:has(label:hover))"
        yield f"{idle} .m{place},{over} .m{place}{{opacity:1}}\n"
        yield f"{idle} .n{place},{over} .n{place}{{display:block}}\n"
        yield f"{chosen} label[for=w{place}]{{border-color:var(--accent);font-weight:600}}\n"
        yield f".all:has(#w{place}:focus-visible) label[for=w{place}]{{outline:3px solid var(--accent)}}\n"
