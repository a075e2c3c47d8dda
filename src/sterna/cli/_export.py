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
from sterna.cli._progress import progress_line
from sterna.errors import UsageError
from sterna.files import read_json
from sterna.words import printable

__all__ = ["export"]

ImageTuning = Annotated[
    float,
    typer.Option(
        "--image-tuning", metavar="0..1", help="Of tuned image networks: from published (0) to tuned (1)."
    ),
]
TextTuning = Annotated[
    float,
    typer.Option(
        "--text-tuning", metavar="0..1", help="Of a tuned text encoder: from published (0) to tuned (1)."
    ),
]


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(parser=typed_path, metavar="RUN", help="The training run's folder, or several."),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", parser=typed_path, metavar="MODEL", help="The model folder to write.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The model's name.  [default: MODEL's]")
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(
            "--dim", metavar="N", min=1, help="Numbers in a vector.  [default: as many as RUN's; the first's]"
        ),
    ] = None,
    image_weights: Annotated[
        Literal["float16", "int8"],
        typer.Option(
            "--image-weights", metavar="float16|int8", help="How the image tower's weights are stored."
        ),
    ] = "float16",
    image_arithmetic: Annotated[
        Literal["float32", "int8"],
        typer.Option(
            "--image-arithmetic",
            metavar="float32|int8",
            help="What its convolutions compute in; int8 is faster and less exact.",
        ),
    ] = "float32",
    text_weights: Annotated[
        Literal["float16", "int8"],
        typer.Option(
            "--text-weights", metavar="float16|int8", help="How the text tower's weights are stored."
        ),
    ] = "float16",
    image_tuning: ImageTuning = 1.0,
    text_tuning: TextTuning = 1.0,
    few_words: Annotated[
        str | None,
        typer.Option(
            "--few-words",
            metavar="SENTENCE",
            help='Texts of one or two words are read within it: "there is {}".',
        ),
    ] = None,
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
    """Make a model folder of a training run, or of several.

    It holds the best checkpoint with its backbones, and needs no torch to be used.
    Several runs, such as of other seeds, become one better model: what they find is found by all of them
    together. Backbones that they share are run once.
    Of a run that tuned its backbones, weights between the published and the tuned ones often find
    more than either (--image-tuning 0.8); measure what comes out.
    Without --results its card has the run's own figures, which are of the weights in float32.
    Needs pip install 'sterna[train]'.

    \b
    Examples:
      sterna export runs/base --out models/base
      sterna export runs/base --out models/small --name small --text-weights int8
      sterna export runs/base --out models/base --results test.json
      sterna export runs/seeds/seed-0 runs/seeds/seed-1 runs/seeds/seed-2 --dim 512 --out models/three
    """
    figures = _read_results(results or ())
    with learning_wing("Exporting a model"):
        from sterna.training import export as write

        with progress_line() as line:
            write(
                runs, out, dim=dim, name=name or out.resolve().name, image_weights=image_weights,
                text_weights=text_weights, image_arithmetic=image_arithmetic, image_tuning=image_tuning,
                text_tuning=text_tuning, few_words=few_words, results=figures,
                progress=lambda what, done, total: line("reading", done, total, unit=what),
            )  # fmt: skip
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
