"""`sterna eval`: measure a model on captioned images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sterna.cli._data_options import ColumnsOption, DataFormatOption, DataOption, ImagesOption, read_data
from sterna.cli._options import FormatOption, ModelOption, SplitOption
from sterna.cli._output import number, print_json, print_table
from sterna.cli._progress import progress_line

if TYPE_CHECKING:
    from sterna.evaluation import Report

__all__ = ["evaluate"]


def evaluate(
    data: DataOption,
    *,
    model: ModelOption = None,
    split: SplitOption = None,
    data_format: DataFormatOption = None,
    images: ImagesOption = None,
    columns: ColumnsOption = None,
    output: FormatOption = "table",
) -> None:
    """Measure a model on captioned images.

    How well does it find images by their captions (t2i), and captions by their images (i2t)?
    A hit: any right answer is among the first K. Recall: the share of the right answers among the first K.
    rsum is the sum of the six hits at 1, 5 and 10, in per cent. Ties count against the model.

    \b
    Examples:
      sterna eval --data flickr8k --split dev
      sterna eval --data captions.csv --columns image=file,caption=text --images photos
      sterna eval --data flickr8k --split dev --model hf:openai/clip-vit-base-patch32 --format json
    """
    from sterna.encoders import load
    from sterna.evaluation import evaluate as measure

    captioned = read_data(data, split=split, data_format=data_format, images=images, columns=columns)
    with progress_line("encoding", unit="images and captions") as line:
        report = measure(load(model), captioned, progress=line)
    if output == "json":
        print_json(report.as_json())
    else:
        _print(report)


def _print(report: Report) -> None:
    answer = report.as_json()
    where = f"{answer['data']}" + (f", split {answer['split']}" if answer["split"] else "")
    print(
        f"{answer['model']} on {where}: {number(answer['images'])} images, {number(answer['captions'])} captions"
    )
    names = ("", "R@1", "R@5", "R@10", "median rank", "mean rank", "MRR")
    rows = []
    for way in ("i2t", "t2i"):
        figures = answer[way]
        for kind in ("hits", "recall"):
            shares = [f"{100 * figures[kind][k]:.1f}" for k in ("1", "5", "10")]
            ranks = [f"{figures['median_rank']:g}", f"{figures['mean_rank']:.1f}", f"{figures['mrr']:.3f}"]
            rows.append([f"{way} {kind}", *shares, *(ranks if kind == "hits" else ["", "", ""])])
    print_table(names, rows, right=range(1, len(names)))
    print(f"rsum {answer['rsum']:.1f}")
