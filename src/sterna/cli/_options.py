"""Options that several commands share, spelt and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sterna.cli._paths import typed_path

__all__ = [
    "ExcludeOption",
    "FormatOption",
    "LibraryModelOption",
    "LibraryOption",
    "LimitOption",
    "ModelOption",
    "SplitOption",
]

ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Skip names or paths like this, such as '*.gif'; repeatable, and remembered until other "
        "patterns come ('' for none).",
    ),
]
LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        parser=typed_path,
        envvar="STERNA_LIBRARY",
        metavar="DIR",
        help="The library's folder.  [default: the platform's data folder]",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A model folder, a training run, or hf:NAME-or-folder.  [default: the one that ships]",
    ),
]
LibraryModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A model folder, a training run, or hf:NAME-or-folder.  [default: the library's own]",
    ),
]
FormatOption = Annotated[
    Literal["table", "json"],
    typer.Option("--format", "-f", metavar="table|json", help="How to print the answer."),
]
LimitOption = Annotated[int, typer.Option("-k", "--limit", min=1, metavar="K", help="How many at most.")]
SplitOption = Annotated[
    str | None,
    typer.Option("--split", metavar="S", help="One split of the data, such as train, dev or test."),
]
