"""`sterna features`: other people's features in and out, and a look at what a store holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sterna.cli._data_options import ColumnsOption, DataFormatOption, ImagesOption, read_data
from sterna.cli._options import FormatOption
from sterna.cli._output import number, print_json, say, say_some
from sterna.cli._paths import file_to_write, typed_path
from sterna.cli._progress import ProgressLine, duration, progress_line
from sterna.errors import UsageError
from sterna.words import counted, printable

if TYPE_CHECKING:
    from sterna.data import CaptionedImages
    from sterna.features import ExportReport, ImportReport, TransferProgress

__all__ = ["group"]

_ONE = {"images": "image", "captions": "caption"}  # by the kind of a store
group = typer.Typer(rich_markup_mode=None)
_LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="tsv, npz, scan, bert or hdf5.  [default: found out from the files]",
    ),
]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_SomeData = Annotated[
    Path | None,
    typer.Option(
        "--data", parser=typed_path, metavar="PATH", help="Captioned images: folder or captions file."
    ),
]


@group.callback()
def _features() -> None:
    """Take in and hand out features of others, and look at a store of features.

    \b
    Examples:
      sterna features import trainval_36 --out features
      sterna features show features
    """


@group.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(parser=typed_path, metavar="SOURCE", help="A file or folder of features.")
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=typed_path, metavar="STORE", help="Where they go; may hold a part already."
        ),
    ],
    layout: _LayoutOption = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            "--ids",
            parser=typed_path,
            metavar="FILE",
            help="From names in the source to ids: JSON, CSV name,id, or Karpathy's JSON.",
        ),
    ] = None,
    data: _SomeData = None,
    data_format: DataFormatOption = None,
    images: ImagesOption = None,
    columns: ColumnsOption = None,
    names: Annotated[
        str | None,
        typer.Option(
            "--names",
            metavar="HOW",
            help="What names in the source are: id, file, stem, number, position, imgid, cocoid.  "
            "[default: found out]",
        ),
    ] = None,
    sizes: Annotated[
        Path | None,
        typer.Option(
            "--sizes",
            parser=typed_path,
            metavar="FILE",
            help="Photographs' sizes, CSV or JSON.  [default: the source's, or from photographs of --data]",
        ),
    ] = None,
    boxes: Annotated[
        Literal["pixels", "relative"] | None,
        typer.Option("--boxes", metavar="pixels|relative", help="The boxes' unit, if not the format's."),
    ] = None,
    size_from_boxes: Annotated[
        bool,
        typer.Option("--size-from-boxes", help="Take the largest box corner where no size is known."),
    ] = False,
    dtype: Annotated[
        Literal["float16", "float32"],
        typer.Option("--dtype", metavar="float16|float32", help="Precision on disk."),
    ] = "float16",
    as_json: _JsonOption = False,
) -> None:
    """Take in features of others, to train on them as on extracted ones.

    The format is one of: tsv (bottom-up attention), npz (a file an image, also *_att and *_box folders),
    scan (SPLIT_ims.npy of SCAN and VSE-infinity), bert (a file a caption), hdf5.
    Stop at any time and run the same command again: it goes on where it was.
    With --data, items are kept under the data's ids, and its photographs need not be there.

    \b
    Examples:
      sterna features import trainval_36 --out features --data dataset_coco.json
      sterna features import cocobu_att --out features --ids dataset_coco.json --sizes sizes.csv
      sterna features import f30k_precomp --out features
      sterna features import bert --format bert --out features --dtype float32
    """
    from sterna.features import import_features

    captioned = _data(data, data_format=data_format, images=images, columns=columns)
    with progress_line() as line:
        report = import_features(
            source,
            out,
            format=layout,
            ids=ids,
            data=captioned,
            names=names,
            sizes=sizes,
            boxes=boxes,
            size_from_boxes=size_from_boxes,
            dtype=dtype,
            progress=_show(line),
        )
    _tell(report, f"imported from {report.format}", as_json=as_json)


@group.command("export")
def export(
    store: Annotated[
        Path, typer.Argument(parser=typed_path, metavar="STORE", help="A folder of features, or a store.")
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", parser=typed_path, metavar="DEST", help="The file or folder to write.")
    ],
    layout: Annotated[str, typer.Option("--format", metavar="NAME", help="tsv, npz, scan, bert or hdf5.")],
    view: Annotated[
        str, typer.Option("--view", metavar="NAME", help="Which view of the images.")
    ] = "original",
    data: _SomeData = None,
    data_format: DataFormatOption = None,
    images: ImagesOption = None,
    columns: ColumnsOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Hand out a store's features in a format of others.

    Stop at any time and run the same command again: it goes on where it was.
    scan writes the splits and captions of --data; where it is not given, those that came with the features.

    \b
    Examples:
      sterna features export features --out features.tsv --format tsv
      sterna features export features --out precomp --format scan --data flickr8k
      sterna features export features/captions --out bert --format bert
    """
    from sterna.features import DATA_FILE, export_features

    if data is None and layout == "scan" and (store / DATA_FILE).is_file():
        data = store / DATA_FILE
    captioned = _data(data, data_format=data_format, images=images, columns=columns)
    with progress_line() as line:
        report = export_features(store, out, format=layout, view=view, data=captioned, progress=_show(line))
    _tell(report, f"exported as {report.format}", as_json=as_json)


@group.command("show")
def show(
    what: Annotated[
        Path,
        typer.Argument(parser=typed_path, metavar="PHOTO|STORE", help="A photograph, or features."),
    ],
    *,
    features: Annotated[
        Path | None,
        typer.Option("--features", parser=typed_path, metavar="STORE", help="Its regions are in this store."),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="The photograph's id there.  [default: from its name]"),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", metavar="NAME", help="Look for regions with this backbone instead."),
    ] = None,
    most: Annotated[
        int, typer.Option("-k", "--limit", min=1, metavar="K", help="How many regions at most.")
    ] = 36,
    out: Annotated[
        Path | None,
        typer.Option("--out", parser=typed_path, metavar="FILE", help="The picture to write, a PNG."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all of a store and compare it with its hashes.")
    ] = False,
    output: FormatOption = "table",
) -> None:
    """Show what a store of features holds, or draw a photograph's regions.

    \b
    Examples:
      sterna features show features --verify
      sterna features show dog.jpg --features features --out dog.png
      sterna features show dog.jpg --backbone efficientnet-lite0 --out dog.png
    """
    if what.is_dir():
        from sterna.cli._features_store import show_store

        show_store(what, verify=verify, output=output)
        return
    if not what.exists():
        raise UsageError(f"{what}: no such photograph and no such store")
    if (features is None) == (backbone is None):
        raise UsageError(f"{what}: say where its regions are, with --features STORE or --backbone NAME")
    if out is None:
        raise UsageError(f"{what}: name the picture to write with --out FILE.png")
    from sterna.cli._features_photo import found_regions, seen_regions
    from sterna.figures import write_regions

    target = file_to_write("--out", out)
    if features is not None:
        regions = found_regions(what, features, identity=identity)
    else:
        regions = seen_regions(what, str(backbone))
    drawn = write_regions(target, what, regions, at_most=most)
    if output == "json":
        print_json(
            {"schema": 1, "photo": str(what), "out": str(out), "regions": len(regions), "drawn": drawn}
        )
    else:
        drawn_of = f"{number(drawn)} of {counted(len(regions), 'region')}"
        print(f"{printable(out)}: {drawn_of} of {printable(what.name)}")


def _data(
    path: Path | None, *, data_format: str | None, images: Path | None, columns: str | None
) -> CaptionedImages | None:
    if path is None:
        return None
    return read_data(
        path,
        split=None,
        data_format=data_format,
        restval=True,
        images=images,
        columns=columns,
        photographs=False,
    )


def _show(line: ProgressLine) -> Callable[[TransferProgress], None]:
    def show(progress: TransferProgress) -> None:
        line(progress.stage, progress.done, unit="item", detail=f"{progress.share:.0%}")

    return show


def _tell(report: ImportReport | ExportReport, done: str, *, as_json: bool) -> None:
    """Print what was done, and on stderr why some items were not, with an example of each reason."""
    from sterna.features import in_words

    facts: dict[str, Any] = asdict(report)
    if as_json:
        print_json({"schema": 1, **facts})
    else:
        items = counted(report.done, _ONE[report.kind])
        counts = [f"{items} {done} in {duration(report.seconds)}"]
        counts.append(f"{counted(report.skipped, 'was', 'were')} there already")
        if facts.get("unmatched"):
            counts.append(f"{counted(facts['unmatched'], 'is', 'are')} not in the data")
        if report.failed:
            counts.append(f"{number(report.failed)} could not be used")
        print("; ".join(counts))
    if unknown := facts.get("unmatched_names"):
        say_some([f"not in the data: {', '.join(unknown)}"], rest="")
    if left := facts.get("left_out"):
        say(f"left out, since {report.format} has no place for them: {', '.join(left)}")
    say_some(in_words(report.reasons), rest=" reasons")
