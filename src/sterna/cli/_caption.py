"""`sterna caption`: the sentences that fit a photograph best."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sterna.cli._options import FormatOption, LibraryModelOption, LibraryOption, LimitOption
from sterna.cli._output import print_json, print_table, say, size
from sterna.cli._paths import typed_path
from sterna.errors import DataError

__all__ = ["caption"]

_MOST_BYTES = 64_000_000


def caption(
    photo: Annotated[Path, typer.Argument(parser=typed_path, metavar="PHOTO", help="The photograph.")],
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
    wanted = "--captions needs a file of text, one sentence a line"
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MOST_BYTES + 1)
        elif Path(name).exists() and not Path(name).is_file():
            raise DataError(f"{name}: not a file; {wanted}")
        else:
            with Path(name).open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{name}: {error.strerror}; {wanted}") from None
    if len(data) > _MOST_BYTES:
        raise DataError(f"{name}: more than {size(_MOST_BYTES)}; {wanted}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name}: not UTF-8 text; {wanted}") from None
    sentences = [line.strip() for line in text.splitlines()]
    sentences = [line for line in sentences if line]
    if not sentences:
        raise DataError(f"{name}: holds no sentence; --captions needs one a line")
    return sentences
