"""`sterna caption`: the sentences that fit a photograph best."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sterna.cli._options import FormatOption, LibraryModelOption, LibraryOption, LimitOption
from sterna.cli._output import print_json, print_table, say
from sterna.errors import DataError

__all__ = ["caption"]


def caption(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photograph.")],
    *,
    captions: Annotated[
        str | None,
        typer.Option(
            "--captions",
            metavar="FILE",
            help="Sentences to choose from, one a line; - reads them from standard input.  "
            "[default: the captions known to the library]",
        ),
    ] = None,
    k: LimitOption = 10,
    model: LibraryModelOption = None,
    library: LibraryOption = None,
    output: FormatOption = "table",
) -> None:
    """Choose the sentences that describe a photograph best.

    \b
    Examples:
      sterna caption photo.jpg --captions captions.txt
      printf 'a dog\\na cat\\n' | sterna caption photo.jpg --captions - -k 1
      sterna caption photo.jpg
    """
    from sterna.library import Library

    sentences = None if captions is None else _read_sentences(captions)
    with Library.open(library, model=model) as opened:
        hits = opened.captions(photo, captions=sentences, k=k)
    if output == "json":
        records = [
            {
                "rank": hit.rank,
                "score": round(float(hit.score), 6),
                "caption": hit.caption,
                "path": None if hit.path is None else str(hit.path),
            }
            for hit in hits
        ]
        print_json({"schema": 1, "photo": str(photo), "captions": records})
    elif hits:
        print_table(
            ("rank", "score", "caption"),
            [(hit.rank, f"{hit.score:.3f}", hit.caption) for hit in hits],
            right=(0, 1),
        )
    if not hits:
        say("the library knows no captions; give some with --captions FILE")


def _read_sentences(name: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise DataError(f"{name}: {error.strerror}; --captions needs a file, one sentence a line") from None
    sentences = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
    sentences = [line for line in sentences if line]
    if not sentences:
        raise DataError(f"{name}: holds no sentence; --captions needs one a line")
    return sentences
