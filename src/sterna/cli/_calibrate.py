"""`sterna model calibrate`: choose the score below which a model's search hides photographs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sterna.cli._data_options import (
    ColumnsOption,
    DataFormatOption,
    DataOption,
    ImagesOption,
    RestvalOption,
    read_data,
)
from sterna.cli._options import FormatOption, SplitOption
from sterna.cli._output import number, print_json
from sterna.cli._progress import progress_line
from sterna.errors import ModelError
from sterna.files import printable

if TYPE_CHECKING:
    from sterna.evaluation import Progress

__all__ = ["calibrate"]


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder; its config is changed.")],
    *,
    data: DataOption,
    split: SplitOption = None,
    data_format: DataFormatOption = None,
    restval: RestvalOption = True,
    images: ImagesOption = None,
    columns: ColumnsOption = None,
    recall: Annotated[
        float,
        typer.Option(
            "--recall", metavar="R", help="The share of captions that are still to find their own image."
        ),
    ] = 0.9,
    output: FormatOption = "table",
) -> None:
    """Choose the score below which searching for a sentence hides photographs.

    It is the highest at which the share R of the captions still find their own image, and is written into
    the folder's config and card, with what it does. Vectors and fingerprint stay what they are.

    \b
    Examples:
      sterna model calibrate models/mine --data flickr8k --split dev
      sterna model calibrate models/mine --data captions.csv --recall 0.95
    """
    from sterna.encoders import load, write_calibration
    from sterna.evaluation import threshold_of

    folder = Path(model).expanduser()
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: not a model folder, for it has no config.json")
    captioned = read_data(
        data, split=None, data_format=data_format, restval=restval, images=images, columns=columns
    )
    with progress_line() as line:

        def show(progress: Progress) -> None:
            line("encoding", progress.done, progress.total, unit=progress.what)

        found = asdict(threshold_of(load(folder), captioned, split=split, recall=recall, progress=show))
    calibration = {"min_score": found.pop("score"), **found, "data": captioned.name, "split": split}
    write_calibration(folder, calibration)
    if output == "json":
        print_json({"schema": 1, "path": str(folder), **calibration})
        return
    print(
        f"{printable(folder)}: a sentence finds photographs that score {calibration['min_score']:g} or more"
    )
    print(
        f"{number(found['captions'])} captions: {found['recall']:.1%} still find their own image (recall), "
        f"{found['hidden']:.1%} of the others are hidden, {found['precision']:.1%} of what is shown is a "
        "caption's own image (precision)"
    )
