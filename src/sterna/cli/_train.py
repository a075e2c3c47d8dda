"""`sterna train`: train a model on captioned images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sterna.cli._extract import show_extraction
from sterna.cli._extras import learning_wing
from sterna.cli._options import FormatOption
from sterna.cli._output import print_json, print_table, say_some
from sterna.cli._paths import typed_path
from sterna.cli._progress import ProgressLine, duration, progress_line
from sterna.errors import UsageError

if TYPE_CHECKING:
    from sterna.training import RunResult, SeedsResult, TrainProgress, TrainSettings

__all__ = ["train"]

_EXTRACTING = (
    "features that are missing are made now; what is made is kept (sterna extract makes them beforehand)"
)
_SHOWN = tuple(f"{way}.hits.{cutoff}" for way in ("i2t", "t2i") for cutoff in (1, 5, 10))


def train(
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            parser=typed_path,
            metavar="FILE",
            help="The settings, as YAML; not needed with --resume.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", parser=typed_path, metavar="RUN", help="The run's folder.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            parser=typed_path,
            metavar="PATH",
            help="The captioned images, in place of the settings' own.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            parser=typed_path,
            metavar="DIR",
            help="Where features are, or go.  [default: in RUN]",
        ),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from",
            parser=typed_path,
            metavar="RUN",
            help="Begin with the weights of another run, a model folder or a .safetensors file.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="Where to compute, in place of the settings' own: cpu, cuda, cuda:1, mps, or auto.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="N,N,...",
            help="Train once for each seed, in RUN/seed-N, and tell mean and standard deviation.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    output: FormatOption = "table",
) -> None:
    """Train a model on captioned images.

    The run's folder gets the settings as they were used, the metrics, and the best and last checkpoints;
    a stopped run goes on with --resume and ends with the same model.
    Needs pip install 'sterna[train]'.

    \b
    Examples:
      sterna train --config configs/base.yaml --data flickr8k --out runs/base
      sterna train --config configs/base.yaml --data flickr8k --out runs/seed1 --set seed=1
      sterna train --config configs/base.yaml --data flickr8k --out runs/three --seeds 0,1,2
      sterna train --config configs/base.yaml --data coco --out runs/coco --init-from runs/base
      sterna train --out runs/base --resume
    """
    named = {"data.path": data, "features.path": features, "init_from": init_from, "device": device}
    places = {key: value for key, value in named.items() if value is not None}
    numbers = None if seeds is None else _numbers(seeds)
    if config is None and resume and (places or changes):
        config = _first_settings(out, numbers)
    if config is None and not resume:
        raise UsageError("--config FILE is needed, unless a run goes on with --resume")
    with learning_wing("Training a model"), progress_line() as line:
        settings = _settings(config, places, changes or []) if config is not None else None
        if numbers is None:
            result, moved = _train_one(settings, out, resume=resume, line=line)
        else:
            results = _train_several(settings, out, numbers, resume=resume, line=line)
    if numbers is None:
        _print_one(result, out, moved=moved, output=output)
    else:
        _print_several(results, output=output)


def _train_one(
    settings: TrainSettings | None, out: Path, *, resume: bool, line: ProgressLine
) -> tuple[RunResult, bool]:
    """How the run ended, and whether it made a step now."""
    from sterna.training import train as run

    moved = False

    def show(progress: TrainProgress) -> None:
        nonlocal moved
        moved = True
        _show(line, "training", progress)

    result = run(
        settings, out, resume=resume, progress=show, extract_progress=show_extraction(line, first=_EXTRACTING)
    )
    return result, moved


def _train_several(
    settings: TrainSettings | None, out: Path, seeds: Sequence[int], *, resume: bool, line: ProgressLine
) -> SeedsResult:
    from sterna.training import train_seeds

    def show(seed: int, progress: TrainProgress) -> None:
        _show(line, f"training with seed {seed}", progress)

    return train_seeds(
        settings,
        out,
        seeds,
        resume=resume,
        progress=show,
        extract_progress=show_extraction(line, first=_EXTRACTING),
    )


def _show(line: ProgressLine, what: str, progress: TrainProgress) -> None:
    steps, left = (progress.step, progress.steps), progress.seconds_left
    line(what, *steps, unit="step", seconds_left=left, detail=progress.detail)


def _print_one(result: RunResult, out: Path, *, moved: bool, output: str) -> None:
    say_some(result.left_out, rest=f"; {out / 'run.json'} has the first of them")
    if output == "json":
        print_json(
            {
                "schema": 1,
                "path": str(result.path),
                "metric": result.metric,
                "best": result.best,
                "best_step": result.best_step,
                "step": result.step,
                "steps": result.steps,
                "stopped_early": result.stopped_early,
                "seconds": round(result.seconds, 3),
            }
        )
        return
    print(f"best {result.metric} {result.best:.4g} after step {result.best_step} of {result.steps}")
    done = f"done in {duration(result.seconds)}" if moved else "was done already"
    print(f"{done}; make a model of it: sterna export {out} --out MODEL")


def _print_several(result: SeedsResult, *, output: str) -> None:
    first = next(iter(result.runs.values()))
    say_some(first.left_out, rest=f"; {first.path / 'run.json'} has the first of them")
    if output == "json":
        print_json(result.as_json())
        return
    shown = [name for name in dict.fromkeys(("rsum", result.metric, *_SHOWN)) if name in result.mean]
    seeds = list(result.runs)
    rows = [
        [name, _figure(result.mean[name]), "± " + _figure(result.deviation[name])]
        + [_figure(result.figures[seed][name]) for seed in seeds]
        for name in shown
    ]
    names = ["figure", "mean", "deviation", *(f"seed {seed}" for seed in seeds)]
    print_table(names, rows, right=range(1, len(names)))
    print(f"best weights by {result.metric} on validation; {result.path / 'seeds.json'} has every figure")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"--seeds {text}: whole numbers with commas between them are needed, such as 0,1,2")
    return [int(part) for part in parts]


def _first_settings(out: Path, seeds: Sequence[int] | None) -> Path:
    """The settings of the run to go on with; of several seeds, those of the first that was begun."""
    places = [out] if seeds is None else [out / f"seed-{seed}" for seed in seeds]
    files = [place / "settings.yaml" for place in places]
    return next((file for file in files if file.is_file()), files[0])


def _settings(config: Path, places: Mapping[str, Any], overrides: Sequence[str]) -> TrainSettings:
    from sterna.settings import load_settings
    from sterna.training import TrainSettings

    return load_settings(TrainSettings, config, values=places, overrides=overrides)
