"""`sterna eval`: measure a model on captioned images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sterna.cli._data_options import (
    ColumnsOption,
    DataFormatOption,
    DataOption,
    ImagesOption,
    RestvalOption,
    read_data,
)
from sterna.cli._options import FormatOption, ModelOption, SplitOption
from sterna.cli._output import number, print_json, print_table, say, say_some
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
    restval: RestvalOption = True,
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
    from sterna import encoders, evaluation

    captioned = read_data(
        data, split=None, data_format=data_format, restval=restval, images=images, columns=columns
    )
    with progress_line() as line:

        def show(progress: evaluation.Progress) -> None:
            line("encoding", progress.done, progress.total, unit=progress.what)

        report = evaluation.evaluate(encoders.load(model), captioned, split=split, progress=show)
    say_some(report.unreadable, rest=" that cannot be read")
    if report.unreadable:
        say("photographs that cannot be read count as never found")
    if output == "json":
        print_json(report.as_json())
    else:
        _print(report)


def _print(report: Report) -> None:
    part = f"{report.data}, split {report.split}" if report.split else report.data
    print(f"{report.model} on {part}: {number(report.images)} images, {number(report.captions)} captions")
    rows = []
    for way, figures in (("i2t", report.i2t), ("t2i", report.t2i)):
        ranks = (f"{figures.median_rank:g}", f"{figures.mean_rank:.1f}", f"{figures.mrr:.3f}")
        rows.append([f"{way} hits", *_percent(figures.hits), *ranks])
        rows.append([f"{way} recall", *_percent(figures.recall), "", "", ""])
    cutoffs = [f"@{cutoff}" for cutoff in report.i2t.hits]
    print_table(("%", *cutoffs, "median rank", "mean rank", "MRR"), rows, right=range(1, len(cutoffs) + 4))
    interval = report.intervals.get("rsum")
    print(f"rsum {report.rsum:.1f}" + (f" (95%: {interval[0]:.1f} to {interval[1]:.1f})" if interval else ""))


def _percent(shares: Mapping[int, float]) -> list[str]:
    return [f"{100 * share:.1f}" for share in shares.values()]
