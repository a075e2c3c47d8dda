"""Options of `sterna eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sterna.cli._paths import typed_path
from sterna.errors import UsageError

__all__ = [
    "AtOption",
    "BankImagesOption",
    "BankOption",
    "BankTextsOption",
    "BetaOption",
    "CalibrateOption",
    "CaptionsPerImageOption",
    "EvalDataOption",
    "FailuresOption",
    "FeaturesOption",
    "HubsOption",
    "ImageVectorsOption",
    "MaxDistanceOption",
    "MetricsOption",
    "MinScoreOption",
    "ModelsOption",
    "NearestOption",
    "ProtocolOption",
    "QrelsOption",
    "RanksOption",
    "RelevanceOption",
    "RerankOption",
    "RunOption",
    "ScoreOption",
    "TextVectorsOption",
    "TrecDepthOption",
    "TrecOption",
    "numbers_of",
    "words_of",
]


def _file(name: str, metavar: str, words: str) -> object:
    return typer.Option(name, parser=typed_path, metavar=metavar, help=words)


EvalDataOption = Annotated[
    Path | None, _file("--data", "PATH", "The captioned images: a folder, or a captions file.")
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A model folder, a training run, or hf:NAME-or-folder; repeated: a committee, whose scores are "
        "averaged.  [default: the one that ships]",
    ),
]
FeaturesOption = Annotated[
    Path | None,
    _file("--features", "DIR", "Let training runs look at these features; photographs need not be there."),
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="full|folds:FxN",
        help="One gallery of all, or the mean over F folds of N consecutive images each (folds:5x1000).",
    ),
]
AtOption = Annotated[str, typer.Option("--at", metavar="K,...", help="Cut-offs, such as 1,5,10,50.")]
MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="NAME,...",
        help="Only these, such as hits,map,ndcg.  [default: all in JSON, the usual ones in the table]",
    ),
]
RelevanceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--relevance",
        metavar="[WAY=]FILE",
        help="What is right: qrels, JSON {query: [ids]}, or grades .npy; WAY is i2t or t2i. May be repeated.",
    ),
]
MinScoreOption = Annotated[
    float | None, typer.Option("--min-score", metavar="X", help="Do not return answers that score less.")
]
MaxDistanceOption = Annotated[
    float | None,
    typer.Option("--max-distance", metavar="X", help="The same as a distance, which is 1 less the cosine."),
]
HubsOption = Annotated[
    str | None,
    typer.Option(
        "--hubs",
        metavar="csls|inverted-softmax",
        help="Report apart, beside the plain figures, those after this correction of hubs.",
    ),
]
BankOption = Annotated[
    str | None,
    typer.Option("--bank", metavar="SPLIT", help="The split that hubs are known by, such as train."),
]
NearestOption = Annotated[
    int, typer.Option("--hubs-k", metavar="K", help="How many neighbours in the bank csls takes.")
]
BetaOption = Annotated[
    float, typer.Option("--hubs-beta", metavar="X", help="How steep the inverted softmax is.")
]
RerankOption = Annotated[
    int | None,
    typer.Option(
        "--rerank",
        metavar="N",
        help="Order the first N answers by alignment of regions and words, 0 for none; "
        "left out: all, where a run's score is an alignment.",
    ),
]
CalibrateOption = Annotated[
    float | None,
    typer.Option(
        "--calibrate",
        metavar="RECALL",
        help="Choose the score below which searching with this model folder hides photographs: the highest "
        "at which this share of the captions (such as 0.9) finds its own image. Its config is changed.",
    ),
]
FailuresOption = Annotated[
    Path | None,
    _file("--failures", "FILE", "Also write a page of what is not found: the worst captions, hubs, kinds."),
]
RanksOption = Annotated[
    Path | None,
    _file(
        "--ranks",
        "FILE",
        "Write every query's right answers, their ranks, and its first ten: .csv or .jsonl.",
    ),
]
TrecOption = Annotated[
    Path | None, _file("--trec-out", "DIR", "Write runs and qrels both ways for TREC's tools.")
]
TrecDepthOption = Annotated[
    int, typer.Option("--trec-depth", min=1, metavar="K", help="How many answers a query has in a run.")
]
RunOption = Annotated[
    Path | None, _file("--run", "FILE", "Measure this run of TREC's format, by --qrels, and no model.")
]
QrelsOption = Annotated[Path | None, _file("--qrels", "FILE", "What is right, for --run.")]
ImageVectorsOption = Annotated[
    Path | None,
    _file("--image-vectors", "FILE", "Measure these vectors (.npy, a row an image), and no model."),
]
TextVectorsOption = Annotated[
    Path | None, _file("--text-vectors", "FILE", "Their captions' vectors (.npy, a row a caption).")
]
CaptionsPerImageOption = Annotated[
    int | None,
    typer.Option(
        "--captions-per-image",
        min=1,
        metavar="N",
        help="Without --data: each image has so many captions, in order.",
    ),
]
ScoreOption = Annotated[
    str | None,
    typer.Option("--score", metavar="dot|order", help="What vectors are compared by.  [default: dot]"),
]
BankImagesOption = Annotated[
    Path | None, _file("--bank-image-vectors", "FILE", "Images' vectors of the bank, for vectors.")
]
BankTextsOption = Annotated[
    Path | None, _file("--bank-text-vectors", "FILE", "Captions' vectors of the bank, for vectors.")
]


def numbers_of(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers from 1 with commas between them; raises `UsageError` naming the option."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and part.isascii() and len(part) < 10 and int(part) for part in parts):
        raise UsageError(f"{option} {text!r}: write whole numbers from 1 with commas, such as 1,5,10")
    return tuple(dict.fromkeys(map(int, parts)))


def words_of(option: str, text: str) -> tuple[str, ...]:
    """Names with commas between them; raises `UsageError` naming the option."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{option} {text!r}: write names with commas, such as hits,map")
    return tuple(dict.fromkeys(parts))
