"""`sterna train`: train a model on captioned images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sterna.cli._extract import show_extraction
from sterna.cli._extras import learning_wing
from sterna.cli._options import FormatOption
from sterna.cli._output import print_json, say_some
from sterna.cli._paths import typed_path
from sterna.cli._progress import duration, progress_line
from sterna.errors import UsageError

if TYPE_CHECKING:
    from sterna.training import TrainProgress, TrainSettings

__all__ = ["train"]


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
      sterna train --out runs/base --resume
    """
    named = {"data.path": data, "features.path": features, "init_from": init_from, "device": device}
    places = {key: value for key, value in named.items() if value is not None}
    if config is None and resume and (places or changes):
        config = out / "settings.yaml"
    if config is None and not resume:
        raise UsageError("--config FILE is needed, unless a run goes on with --resume")
    with learning_wing("Training a model"):
        from sterna.training import train as run

        with progress_line() as line:

            def show(progress: TrainProgress) -> None:
                left = progress.seconds_left
                steps = (progress.step, progress.steps)
                line("training", *steps, unit="steps", seconds_left=left, detail=progress.detail)

            settings = _settings(config, places, changes or []) if config is not None else None
            result = run(settings, out, resume=resume, progress=show, extract_progress=show_extraction(line))
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
    else:
        print(f"best {result.metric} {result.best:.4g} after step {result.best_step} of {result.steps}")
        print(f"done in {duration(result.seconds)}; make a model of it: sterna export {out} --out MODEL")


def _settings(config: Path, places: Mapping[str, Any], overrides: Sequence[str]) -> TrainSettings:
    from sterna.settings import load_settings
    from sterna.training import TrainSettings

    return load_settings(TrainSettings, config, values=places, overrides=overrides)
