"""Options of the commands that read captioned images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sterna.cli._output import say_some
from sterna.cli._paths import typed_path
from sterna.errors import DataError, UsageError

if TYPE_CHECKING:
    from sterna.data import CaptionedImages

__all__ = [
    "ColumnsOption",
    "DataFormatOption",
    "DataOption",
    "ImagesOption",
    "RestvalOption",
    "check_split",
    "read_data",
]

DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        parser=typed_path,
        metavar="PATH",
        help="The captioned images: a folder, or a captions file.",
    ),
]
DataFormatOption = Annotated[
    str | None,
    typer.Option(
        "--data-format", metavar="NAME", help="The data's format.  [default: found out from the files]"
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--images",
        parser=typed_path,
        metavar="DIR",
        help="Where the image files are, if not beside the captions.",
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME=COLUMN,...",
        help="Columns of a table, such as image=file,caption=text,split=part.",
    ),
]
RestvalOption = Annotated[
    bool,
    typer.Option(
        "--restval/--no-restval",
        help="Whether the split restval of Karpathy's files counts as training images or is left out.",
    ),
]


def read_data(
    path: Path,
    *,
    split: str | None,
    data_format: str | None,
    restval: bool,
    images: Path | None,
    columns: str | None,
    photographs: bool = True,
) -> CaptionedImages:
    """Read captioned images as the options say; tell on stderr about rows that were left out."""
    from sterna.data import read

    data = read(
        path,
        format=data_format,
        split=split,
        restval=restval,
        images=images,
        columns=_columns(columns),
        photographs=photographs,
    )
    say_some(data.problems, rest=" like these")
    return data


def check_split(data: CaptionedImages, split: str | None) -> None:
    """Raise `DataError` where the data has several splits and none was named."""
    names = data.split_names
    if split is None and len(names) > 1:
        raise DataError(
            f"{data.root}: there are several splits ({', '.join(names)}); name one of them with --split"
        )


def _columns(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    for name, equals, column in pairs:
        if not (name.strip() and equals and column.strip()):
            raise UsageError(
                f"--columns {text!r}: write NAME=COLUMN pairs with commas, such as image=file,caption=text"
            )
    return {name.strip(): column.strip() for name, _, column in pairs}
