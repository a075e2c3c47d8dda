"""`sterna export`: make a model folder of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sterna.cli._extras import learning_wing
from sterna.cli._model import describe_model
from sterna.cli._options import FormatOption
from sterna.cli._output import print_json, size
from sterna.files import printable

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The training run's folder.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="The model folder to write.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The model's name.  [default: MODEL's]")
    ] = None,
    text_weights: Annotated[
        Literal["float16", "int8"],
        typer.Option(
            "--text-weights", metavar="float16|int8", help="How the text tower's weights are stored."
        ),
    ] = "float16",
    output: FormatOption = "table",
) -> None:
    """Make a model folder of a training run.

    It holds the best checkpoint with its backbones, and needs no torch to be used.
    Needs pip install 'sterna[train]'.

    \b
    Examples:
      sterna export runs/base --out models/base
      sterna export runs/base --out models/small --name small --text-weights int8
    """
    with learning_wing("Exporting a model"):
        from sterna.training import export as write

        write(run, out, name=name or out.resolve().name, text_weights=text_weights)
    answer = describe_model(str(out), verify=False)
    if output == "json":
        print_json(answer)
    else:
        print(f"{printable(answer['name'])}: {size(answer['bytes'])} in {printable(out)}")
