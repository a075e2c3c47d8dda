"""`sterna train`: train a model from features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sterna.cli._options import FormatOption

__all__ = ["train"]


def train(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The settings, as YAML.")],
    out: Annotated[Path, typer.Option("--out", metavar="RUN", help="The run's folder.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="PATH", help="The captioned images; instead of the settings' own."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features", metavar="DIR", help="Where features are, or go; instead of the settings'."
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
      sterna train --config runs/base/settings.yaml --out runs/base --resume
    """
