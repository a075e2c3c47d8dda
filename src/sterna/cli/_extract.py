"""`sterna extract`: store what frozen backbones see, for training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sterna.cli._data_options import (
    ColumnsOption,
    DataFormatOption,
    DataOption,
    ImagesOption,
    RestvalOption,
    read_data,
)
from sterna.cli._extras import learning_wing
from sterna.cli._options import FormatOption, SplitOption
from sterna.cli._output import print_json, say, say_some
from sterna.cli._paths import typed_path
from sterna.cli._progress import ProgressLine, duration, progress_line
from sterna.errors import UsageError
from sterna.words import counted

if TYPE_CHECKING:
    from sterna.features import ExtractProgress

__all__ = ["extract", "show_extraction"]


def extract(
    data: DataOption,
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=typed_path, metavar="DIR", help="Where the features go; may hold a part already."
        ),
    ],
    image_backbone: Annotated[
        str,
        typer.Option(
            "--image-backbone",
            "--backbone",
            metavar="NAME",
            help="Such as efficientnet-lite0, A+B, hf:NAME-or-folder, or detector:NAME-or-folder.",
        ),
    ] = "efficientnet-lite0+efficientnet-lite1+efficientnet-lite2",
    text_backbone: Annotated[
        str, typer.Option("--text-backbone", metavar="NAME", help="minilm, or hf:NAME-or-folder.")
    ] = "minilm",
    size: Annotated[
        int | None, typer.Option("--size", min=32, metavar="PIXELS", help="Side of the square.")
    ] = None,
    cells: Annotated[
        int | None,
        typer.Option("--cells", min=1, metavar="N", help="Keep a grid of N x N regions; else of 6 x 6."),
    ] = None,
    fit: Annotated[
        Literal["squeeze", "crop", "letterbox"],
        typer.Option("--fit", metavar="squeeze|crop|letterbox", help="How a photograph becomes a square."),
    ] = "squeeze",
    hidden_layer: Annotated[
        int | None,
        typer.Option(
            "--hidden-layer",
            metavar="N",
            help="Keep what layer N of the text backbone gives; 0: embeddings; the last if left out.",
        ),
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option("--view", metavar="NAME", help="original, flip, crop0 and so on; repeatable."),
    ] = None,
    dtype: Annotated[
        Literal["float16", "float32"],
        typer.Option("--dtype", metavar="float16|float32", help="Precision on disk."),
    ] = "float16",
    maps: Annotated[
        int | None,
        typer.Option(
            "--maps",
            min=1,
            metavar="N",
            help="Keep the maps below the last N stages too, to fine-tune these.",
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option("--top", min=1, metavar="N", help="Of a detector keep the N surest regions; else 36."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            min=0,
            max=1,
            metavar="SCORE",
            help="Of a detector leave out less sure regions, never the best.",
        ),
    ] = None,
    suppress: Annotated[
        float | None,
        typer.Option(
            "--suppress",
            min=0,
            max=1,
            metavar="SHARE",
            help="Of a detector leave out boxes that overlap a surer one by more than this.",
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "onnx", "torch"],
        typer.Option(
            "--engine", metavar="auto|onnx|torch", help="What runs the backbones; auto: the fastest."
        ),
    ] = "auto",
    shard: Annotated[
        str,
        typer.Option("--shard", metavar="I/N", help="Only part I of N, for several machines; I from 1."),
    ] = "1/1",
    split: SplitOption = None,
    data_format: DataFormatOption = None,
    restval: RestvalOption = True,
    images: ImagesOption = None,
    columns: ColumnsOption = None,
    output: FormatOption = "table",
) -> None:
    """Store what frozen backbones see of captioned images.

    Training reads these regions and tokens instead of running the backbones again.
    Stop at any time and run the same command again: it goes on where it was.
    Needs pip install 'sterna[train]'.

    \b
    Examples:
      sterna extract --data flickr8k --out features
      sterna extract --data flickr8k --out features --view original --view flip
      sterna extract --data flickr8k --out regions --backbone detector:DETR-FOLDER --top 20 --threshold 0.1
      sterna extract --data flickr8k --out part1 --shard 1/4 --image-backbone efficientnet-lite0
    """
    part = _shard(shard)
    captioned = read_data(
        data, split=split, data_format=data_format, restval=restval, images=images, columns=columns
    )
    if cells is not None and image_backbone.startswith("detector:"):
        raise UsageError(f"--cells {cells}: is for grids; {image_backbone} has regions of its own")
    with learning_wing("Extracting features"), progress_line() as line:
        from sterna.features import extract as run

        report = run(
            captioned,
            out,
            image_backbone=image_backbone,
            text_backbone=text_backbone,
            size=size,
            cells=cells or 6,
            fit=fit,
            hidden_layer=hidden_layer,
            views=tuple(view or ("original",)),
            dtype=dtype,
            maps=maps,
            top=top,
            threshold=threshold,
            suppress=suppress,
            engine=engine,
            shard=part,
            progress=show_extraction(line),
        )
    if output == "json":
        print_json({"schema": 1, **asdict(report)})
    else:
        views = counted(report.images, "view of an image", "views of images")
        made = f"{views} and {counted(report.captions, 'caption')}"
        print(f"{made} in {duration(report.seconds)}; {counted(report.skipped, 'was', 'were')} there already")
    failed = [f"{one.path}: {one.reason}" for one in report.failed]
    say_some(failed, rest=f"; all are in {out / 'images' / 'failed.jsonl'}")


def show_extraction(line: ProgressLine, *, first: str | None = None) -> Callable[[ExtractProgress], None]:
    """What tells a `ProgressLine` how far an extraction is; `first` is said when it begins."""
    to_say = [first] if first is not None else []

    def show(progress: ExtractProgress) -> None:
        if to_say:
            say(to_say.pop())
        line(
            f"extracting {progress.stage}",
            progress.done,
            progress.total,
            unit="item",
            rate=progress.per_second,
            seconds_left=progress.seconds_left,
        )

    return show


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise UsageError(f"--shard {text!r}: write I/N with 1 <= I <= N, such as 1/4")
    return int(index) - 1, int(count)
