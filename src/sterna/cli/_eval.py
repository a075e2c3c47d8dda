"""`sterna eval`: measure a model, or vectors, or a run, on captioned images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.cli import _eval_options as options
from sterna.cli._data_options import (
    ColumnsOption,
    DataFormatOption,
    ImagesOption,
    RestvalOption,
    check_split,
    read_data,
)
from sterna.cli._eval_calibrate import folder_to_calibrate, write_calibration
from sterna.cli._eval_failures import print_failures, write_failures
from sterna.cli._eval_files import Files, refuse
from sterna.cli._eval_print import print_report, print_run
from sterna.cli._options import FormatOption, SplitOption
from sterna.cli._output import print_json, say, say_some
from sterna.cli._paths import file_to_write
from sterna.cli._progress import ProgressLine, progress_line
from sterna.errors import UsageError
from sterna.files import check_writable

if TYPE_CHECKING:
    from sterna.evaluation import (
        Bank,
        Captioned,
        Encodes,
        Failures,
        Progress,
        Protocol,
        Report,
        Source,
    )

__all__ = ["evaluate"]

_FIRST = 10  # how many of the first answers --ranks writes


def evaluate(
    data: options.EvalDataOption = None,
    *,
    model: options.ModelsOption = None,
    split: SplitOption = None,
    data_format: DataFormatOption = None,
    restval: RestvalOption = True,
    images: ImagesOption = None,
    columns: ColumnsOption = None,
    features: options.FeaturesOption = None,
    protocol: options.ProtocolOption = "full",
    at: options.AtOption = "1,5,10",
    metrics: options.MetricsOption = None,
    relevance: options.RelevanceOption = None,
    min_score: options.MinScoreOption = None,
    max_distance: options.MaxDistanceOption = None,
    hubs: options.HubsOption = None,
    bank: options.BankOption = None,
    hubs_k: options.NearestOption = 10,
    hubs_beta: options.BetaOption = 20.0,
    rerank: options.RerankOption = None,
    image_vectors: options.ImageVectorsOption = None,
    text_vectors: options.TextVectorsOption = None,
    captions_per_image: options.CaptionsPerImageOption = None,
    score: options.ScoreOption = None,
    bank_image_vectors: options.BankImagesOption = None,
    bank_text_vectors: options.BankTextsOption = None,
    run: options.RunOption = None,
    qrels: options.QrelsOption = None,
    ranks: options.RanksOption = None,
    failures: options.FailuresOption = None,
    calibrate: options.CalibrateOption = None,
    trec_out: options.TrecOption = None,
    trec_depth: options.TrecDepthOption = 1000,
    output: FormatOption = "table",
) -> None:
    """Measure a model on captioned images; or someone else's vectors, or a run.

    How well does it find images by their captions (t2i), and captions by their images (i2t)?
    A hit: any right answer is among the first K. Recall: the share of the right answers among the first K.
    rsum is the sum of the six hits at 1, 5 and 10, in per cent. Ties count against the model.
    The page on metrics of the documentation defines every figure.

    \b
    Examples:
      sterna eval --data flickr8k --split dev
      sterna eval --data captions.csv --columns image=file,caption=text --images photos
      sterna eval --data flickr8k --split dev --model hf:openai/clip-vit-base-patch32 --format json
      sterna eval --data coco --split test --protocol folds:5x1000 --at 1,5,10,50
      sterna eval --data flickr8k --split dev --model runs/a --model runs/b --ranks ranks.csv
      sterna eval --data flickr8k --split dev --failures failures.html
      sterna eval --data flickr8k --split dev --model models/mine --calibrate 0.9
      sterna eval --data flickr8k --split dev --hubs csls --bank train
      sterna eval --data flickr8k --split dev --model runs/teran --rerank 100
      sterna eval --image-vectors images.npy --text-vectors texts.npy --captions-per-image 5
      sterna eval --run someone.run --qrels t2i.qrels
    """
    chosen = _protocol(
        protocol, at=at, metrics=metrics, min_score=min_score, max_distance=max_distance,
        hubs=None if hubs is None else (hubs, hubs_k, hubs_beta),
        top=max(0 if ranks is None and failures is None else _FIRST, 0 if trec_out is None else trec_depth),
    )  # fmt: skip
    names = None if metrics is None else chosen.metrics
    ranks = None if ranks is None else _ranks_file(ranks)
    failures = None if failures is None else file_to_write("--failures", failures)
    if run is not None or qrels is not None:
        others = {
            "--data": data, "--model": model, "--split": split, "--features": features,
            "--image-vectors": image_vectors, "--text-vectors": text_vectors, "--score": score,
            "--captions-per-image": captions_per_image, "--hubs": hubs, "--bank": bank,
            "--bank-image-vectors": bank_image_vectors, "--bank-text-vectors": bank_text_vectors,
            "--ranks": ranks, "--failures": failures, "--trec-out": trec_out, "--relevance": relevance,
            "--rerank": rerank, "--calibrate": calibrate,
        }  # fmt: skip
        refuse(others, beside="--run")
        _measure_run(run, qrels, chosen, names=names, output=output)
        return
    files = Files(image_vectors, text_vectors, bank_image_vectors, bank_text_vectors, score=score)
    if files.given:
        others = {
            "--model": model, "--features": features, "--rerank": rerank, "--bank": bank,
            "--calibrate": calibrate,
        }  # fmt: skip
        refuse(others, beside="--image-vectors")
    if failures is not None and chosen.folds is not None:
        raise UsageError("--failures does not go with --protocol folds: they are of one gallery")
    if data is not None:
        refuse({"--captions-per-image": captions_per_image}, beside="--data")
    if trec_out is not None:
        check_writable(trec_out / "i2t.run")
    folder = None if calibrate is None else folder_to_calibrate(model, features)
    sources = [files.source()] if files.given else _sources(model, features)
    captioned: Captioned
    if data is not None:
        found = read_data(
            data, split=None, data_format=data_format, restval=restval, images=images, columns=columns,
            photographs=features is None and not files.given,
        )  # fmt: skip
        check_split(found, split)
        captioned = found
    else:
        refuse({"--images": images, "--failures": failures}, beside="vectors without --data")
        captioned = files.numbered(captions_per_image)
    with progress_line() as line:
        report = _measured(
            sources, captioned, split=split, relevance=relevance or (), bank=files.bank() or bank,
            protocol=chosen, rerank=rerank, calibrate=calibrate, line=line,
        )  # fmt: skip
    if folder is not None:
        write_calibration(folder, report)
    _write(report, ranks=ranks, trec_out=trec_out)
    missed = None if failures is None else write_failures(failures, report, captioned.one_split(split))
    _show(report, names=names, output=output, failures=missed)


def _protocol(
    name: str,
    *,
    at: str,
    metrics: str | None,
    min_score: float | None,
    max_distance: float | None,
    hubs: tuple[str, int, float] | None,
    top: int,
) -> Protocol:
    from sterna import evaluation

    chosen = {} if metrics is None else {"metrics": options.words_of("--metrics", metrics)}
    return evaluation.Protocol(
        folds=evaluation.parse_folds(name),
        at=options.numbers_of("--at", at),
        min_score=min_score,
        max_distance=max_distance,
        hubs=None if hubs is None else evaluation.Hubs(hubs[0], k=hubs[1], beta=hubs[2]),
        top=top,
        **chosen,
    )


def _ranks_file(path: Path) -> Path:
    target = file_to_write("--ranks", path)
    if target.suffix not in {".csv", ".jsonl"}:
        raise UsageError(f"--ranks {path}: name a file that ends in .csv or .jsonl")
    return target


def _sources(models: Sequence[str] | None, features: Path | None) -> list[Encodes | Source]:
    from sterna._evaluate import source

    return [source(name, features) for name in models or (None,)]


def _measured(
    sources: Sequence[Encodes | Source],
    data: Captioned,
    *,
    split: str | None,
    relevance: Sequence[str],
    bank: str | Bank | None,
    protocol: Protocol,
    rerank: int | None,
    calibrate: float | None,
    line: ProgressLine,
) -> Report:
    from sterna import evaluation

    def show(progress: Progress) -> None:
        line("encoding", progress.done, progress.total, unit=progress.what)

    return evaluation.evaluate(
        sources, data, split=split, progress=show, protocol=protocol, relevance=relevance, bank=bank,
        rerank=rerank, calibrate=calibrate,
    )  # fmt: skip


def _write(report: Report, *, ranks: Path | None, trec_out: Path | None) -> None:
    from sterna import evaluation

    if ranks is not None:
        evaluation.write_ranks(ranks, report.parts, first=_FIRST)
    if trec_out is not None:
        evaluation.write_trec(trec_out, report.parts, tag=report.model)


def _show(
    report: Report, *, names: Sequence[str] | None, output: str, failures: Failures | None = None
) -> None:
    say_some(report.unreadable, rest=" that cannot be used")
    if report.unreadable:
        say("photographs and captions that cannot be used count as never found")
    if output == "json":
        print_json(report.as_json() | ({} if failures is None else {"failures": asdict(failures)}))
    else:
        print_report(report, metrics=names)
        if failures is not None:
            print_failures(failures)


def _measure_run(
    run: Path | None, qrels: Path | None, protocol: Protocol, *, names: Sequence[str] | None, output: str
) -> None:
    from sterna import evaluation

    if run is None or qrels is None:
        raise UsageError("--run and --qrels go together")
    if protocol.folds is not None:
        raise UsageError("--protocol folds does not go with --run, whose gallery is its own")
    report = evaluation.evaluate_run(run, qrels, protocol=protocol)
    if report.unanswered:
        say(f"{len(report.unanswered):,} queries are not answered, such as {report.unanswered[0]!r}")
    if report.unjudged:
        say(f"{len(report.unjudged):,} queries have no right answer and do not count")
    if output == "json":
        print_json(report.as_json())
    else:
        print_run(report, metrics=names)
