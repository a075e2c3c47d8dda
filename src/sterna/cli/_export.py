"""`sterna export`: make a model folder of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The training run's folder.")],
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="The model folder to write.")],
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name.  [default: the folder's]")
    ] = None,
    text_weights: Annotated[
        Literal["float16", "int8"],
        typer.Option("--text-weights", metavar="float16|int8", help="How the text tower's weights are stored."),
    ] = "float16",
) -> None:
    """Make a model folder of a training run.

    It holds the best checkpoint with its backbones, and needs no torch to be used.
    Needs pip install 'sterna[train]'.

    \b
    Examples:
      sterna export runs/base --out models/base
      sterna export runs/base --out models/small --name small --text-weights int8
    """
