"""Training: from settings to a run folder, and from a run folder onwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sterna.errors import MissingExtraError, ModelError, StoreError, UsageError
from sterna.features import ExtractProgress
from sterna.files import FileLock
from sterna.settings import save_settings
from sterna.training._check import check_settings
from sterna.training._folder import (
    choose_settings,
    clear_leftovers,
    is_under_way,
    lock_file,
    read_threads,
    write_facts,
)
from sterna.training._inputs import check_data, find_inputs
from sterna.training._log import TrainProgress
from sterna.training._loop import Loop
from sterna.training._origin import origin_facts, weights_file
from sterna.training._process import Interrupt, computing_with
from sterna.training._settings import TrainSettings
from sterna.training._teachers import teacher_facts, teacher_file

__all__ = ["RunResult", "train"]

# Other settings are needed then, not other data.
_REFUSALS = (UsageError, ModelError, StoreError, MissingExtraError)


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Fields:
        best: the highest value of `metric`, reached after `best_step` steps.
        left_out: rows of the data and photographs that could not be read, one sentence each.
    """

    path: Path
    metric: str
    best: float
    best_step: int
    step: int
    steps: int
    stopped_early: bool
    seconds: float
    left_out: tuple[str, ...] = ()


def train(
    settings: TrainSettings | None,
    out: str | Path,
    *,
    resume: bool = False,
    progress: Callable[[TrainProgress], None] | None = None,
    extract_progress: Callable[[ExtractProgress], None] | None = None,
) -> RunResult:
    """Train a model; features that are not there yet are extracted first.

    `out` gets `settings.yaml`, `run.json` (data, features, versions), `metrics.jsonl`, `tensorboard/`,
    `checkpoints/last.safetensors` and `checkpoints/best.safetensors`, and `features/` unless settings name a
    place. On the CPU, the same settings and number of threads give the same bits, stopped and gone on with or
    not; a run goes on with its own number of threads unless `settings.threads` says another.

    Arguments:
        settings: what to train; with `resume` they may be left out and are the run's own.
        out: the run's folder.
        resume: go on where the run was stopped or killed; one that ended is left as it is.
        progress: told after every step.
        extract_progress: told after every batch of extraction.

    Raises `RunError` where `out` is there already, the settings differ from the run's, or the loss is not a
    number; `StoppedError` where the run was asked to stop, after its state was saved; `LockedError` where
    another process trains in `out`; `UsageError` for settings that cannot be trained; and the errors of
    reading data and features.
    """
    run = Path(out)
    # Before the lock too: neither a folder that is no run nor a run that cannot be gets one.
    chosen = choose_settings(run, settings, resume=resume)
    check_settings(chosen)
    if not is_under_way(run):
        check_data(chosen.data)
        if chosen.init_from is not None:
            weights_file(chosen.init_from)
        for teacher in chosen.teacher:
            teacher_file(teacher)
    with FileLock(lock_file(run), what=f"the run {run}"):
        settings = choose_settings(run, settings, resume=resume)
        clear_leftovers(run)
        return _train(run, settings, progress=progress, extract_progress=extract_progress)


def _others(run: Path, settings: TrainSettings) -> dict[str, Any]:
    """What to write down of other runs: whose weights this one begins with, and whom it learns from."""
    facts: dict[str, Any] = {}
    if settings.init_from is not None and not is_under_way(run):
        facts["begun_with"] = origin_facts(settings.init_from)
    if settings.teacher:
        facts["teachers"] = teacher_facts(settings.teacher)
    return facts


def _train(
    run: Path,
    settings: TrainSettings,
    *,
    progress: Callable[[TrainProgress], None] | None,
    extract_progress: Callable[[ExtractProgress], None] | None,
) -> RunResult:
    begins = not (run / "settings.yaml").is_file()
    if not is_under_way(run):  # a long extraction can then be gone on with by --resume alone
        save_settings(settings, run / "settings.yaml")
    threads = settings.threads or read_threads(run) or torch.get_num_threads()
    interrupt = Interrupt()
    with computing_with(threads):
        try:
            inputs = find_inputs(
                settings.data,
                settings.features,
                finetune=settings.finetune,
                folder=settings.features.path or run / "features",
                threads=settings.threads,
                progress=extract_progress,
            )
        except _REFUSALS:
            if begins:
                (run / "settings.yaml").unlink()
            raise
        write_facts(run, {**inputs.facts, **_others(run, settings), "threads": threads})
        save_settings(settings, run / "settings.yaml")
        with torch.random.fork_rng(devices=[]), interrupt.watched():
            loop = Loop(run, settings, inputs, interrupt)
            loop.go(progress or (lambda _: None))
    position = loop.position
    return RunResult(
        path=run,
        metric=settings.validation.metric,
        best=position.best if position.best is not None else math.nan,
        best_step=position.best_step,
        step=position.step,
        steps=loop.plan.steps,
        stopped_early=position.stopped_early,
        seconds=position.seconds,
        left_out=inputs.left_out,
    )
