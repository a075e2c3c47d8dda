"""`sterna explain`: which parts of a photograph speak for a sentence, and for each of its words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sterna.cli._options import FormatOption, ModelOption
from sterna.cli._output import print_json, print_table, say_written
from sterna.cli._paths import file_to_write, typed_path
from sterna.cli._progress import progress_line
from sterna.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sterna.explanations import Explanation, Word
    from sterna.figures import Heat

__all__ = ["explain"]

_LEAST = 0.03  # share of a word that gets a picture of its own in a PNG
_MOST = 12  # of those pictures


def explain(
    photo: Annotated[Path, typer.Argument(parser=typed_path, metavar="PHOTO", help="The photograph.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What it may show, in words.")],
    *,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png",
            parser=typed_path,
            metavar="FILE",
            help="Also write the photograph with the map of the sentence over it, and small ones of words.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            parser=typed_path,
            metavar="FILE",
            help="Also write a page where each word shows its map.",
        ),
    ] = None,
    grid: Annotated[
        int,
        typer.Option(
            "--grid",
            metavar="N",
            help="Cells of a side, 2 to 20; the model looks about N * N / 2 times.",
        ),
    ] = 8,
    fill: Annotated[
        Literal["blur", "mean"],
        typer.Option(
            "--fill", metavar="blur|mean", help="What hides a part: a strong blur, or the mean colour."
        ),
    ] = "blur",
    model: ModelOption = None,
    output: FormatOption = "table",
) -> None:
    """Show which parts of a photograph speak for a sentence.

    Parts are hidden, one after the other; a part speaks for the sentence where the score falls without it.
    A word's share is what the score loses when the word is left out. No library is needed.

    \b
    Examples:
      sterna explain beach.jpg "two dogs running along the beach" --png why.png
      sterna explain beach.jpg "a red ball" --html why.html
      sterna explain beach.jpg "a red ball" --grid 12 --format json
    """
    png = file_to_write("--png", png) if png is not None else None
    html = file_to_write("--html", html) if html is not None else None
    if html is not None and html == png:
        raise UsageError(f"--html and --png: both name {html}; name two files")
    from sterna import explanations

    with progress_line() as line:
        line.begin("opening the model")
        found = explanations.explain(
            photo,
            text,
            model=model,
            grid=grid,
            fill=fill,
            progress=lambda done, total: line("looking", done, total, unit="time"),
        )
    if output == "json":
        print_json({**found.as_json(), "photo": str(photo)})
    else:
        _print(found)
    _write(found, photo, png=png, html=html)


def _print(found: Explanation) -> None:
    scale = "score" if found.method == "occlusion" else "alignment"
    print(f"{scale} {found.score:.3f}")
    print_table(
        ("word", "share", "alone", "where"),
        [(word.text, f"{word.share:.0%}", f"{word.score:.3f}", _where(word)) for word in found.words],
        right=(1, 2),
    )


def _where(word: Word) -> str:
    """In which ninth of the photograph a word's strongest cell lies, in words."""
    if word.share == 0:
        return ""
    rows, cols = word.cells.shape
    row, col = divmod(int(word.cells.argmax()), cols)
    down = ("top", "", "bottom")[min(3 * row // rows, 2)]
    across = ("left", "", "right")[min(3 * col // cols, 2)]
    return " ".join(filter(None, (down, across))) or "middle"


def _write(found: Explanation, photo: Path, *, png: Path | None, html: Path | None) -> None:
    if png is None and html is None:
        return
    from sterna import figures

    note = f"score {found.score:.3f} by {found.model}"
    whole = figures.Heat(found.sentence, _contrast(found.cells), note)
    if html is not None:
        maps = [whole, *(_heat(word) for word in found.words)]
        figures.write_heat_html(html, photo, maps, title="What speaks for it", area=found.area)
    if png is not None:
        strongest = sorted(found.words, key=lambda word: -word.share)[:_MOST]
        shown = [word for word in found.words if word in strongest and word.share >= _LEAST]
        figures.write_heat_png(png, photo, [whole, *map(_heat, shown)], area=found.area)
    say_written(html, png)


def _heat(word: Word) -> Heat:
    from sterna.figures import Heat

    return Heat(word.text, _contrast(word.cells), f"share {word.share:.0%}", span=word.span)


def _contrast(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map against its mean: with much else hidden, what is left fits a word better, wherever that was."""
    against: NDArray[np.float32] = cells - cells.mean()
    return against
