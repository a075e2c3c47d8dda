"""`sterna export`: make a model folder of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sterna.cli._extras import learning_wing
from sterna.cli._model import describe_model
from sterna.cli._options import FormatOption
from sterna.cli._output import print_json, size
from sterna.cli._paths import typed_path
from sterna.errors import UsageError
from sterna.files import printable, read_json

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(parser=typed_path, metavar="RUN", help="The training run's folder.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", parser=typed_path, metavar="MODEL", help="The model folder to write.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The model's name.  [default: MODEL's]")
    ] = None,
    text_weights: Annotated[
        Literal["float16", "int8"],
        typer.Option(
            "--text-weights", metavar="float16|int8", help="How the text tower's weights are stored."
        ),
    ] = "float16",
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--results",
            parser=typed_path,
            metavar="FILE",
            help="Figures for the card: what eval --format json printed; repeatable.",
        ),
    ] = None,
    output: FormatOption = "table",
) -> None:
    """Make a model folder of a training run.

    It holds the best checkpoint with its backbones, and needs no torch to be used.
    Without --results its card has the run's own figures, which are of the weights in float32.
    Needs pip install 'sterna[train]'.

    \b
    Examples:
      sterna export runs/base --out models/base
      sterna export runs/base --out models/small --name small --text-weights int8
      sterna export runs/base --out models/base --results test.json
    """
    figures = _read_results(results or ())
    with learning_wing("Exporting a model"):
        from sterna.training import export as write

        write(run, out, name=name or out.resolve().name, text_weights=text_weights, results=figures)
    answer = describe_model(str(out), verify=False)
    if output == "json":
        print_json(answer)
    else:
        print(f"{printable(answer['name'])}: {size(answer['bytes'])} in {printable(out)}")


def _read_results(files: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Reports by split, or by the data's name where it has no splits."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        report = read_json(file, error=UsageError)
        if not isinstance(report, dict) or not {"rsum", "i2t", "t2i", "images", "data"} <= set(report):
            raise UsageError(f"{file}: not a report; write one with sterna eval --format json")
        found[report.get("split") or report["data"]] = {
            key: report[key] for key in ("model", "images", "captions", "rsum", "i2t", "t2i") if key in report
        }
    return found
