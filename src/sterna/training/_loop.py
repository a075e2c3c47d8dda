"""The steps of a run, from where it stands to its end.

Nothing random is remembered between steps: the order of images, their views and their captions are functions
of the seed and the epoch, and torch's generator is seeded anew for every forward pass. So all that a resumed
run needs is weights, moments, averages and a position, and on the CPU, with as many threads, it ends with the
bits of a run that was never stopped.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from sterna.errors import RunError, StoppedError
from sterna.training._assembly import new_learner, new_plan
from sterna.training._batches import read_batches
from sterna.training._checkpoint import Position, checkpoint_path, load_last, save_best, save_last
from sterna.training._device import new_accelerator
from sterna.training._ema import Average
from sterna.training._inputs import Inputs
from sterna.training._learner import Batch
from sterna.training._log import RunLog, TrainProgress
from sterna.training._metrics import cutoffs_for, is_better, lower_is_better, metric_of
from sterna.training._optimizer import build_optimizer, set_rates
from sterna.training._origin import begin_with
from sterna.training._panels import FIRST, panels
from sterna.training._plan import seed_of
from sterna.training._process import Interrupt
from sterna.training._readers import open_readers
from sterna.training._schedule import Schedule
from sterna.training._settings import TrainSettings
from sterna.training._validation import validate

__all__ = ["Loop"]


class Loop:
    """The parts of one run, put together; every one is a thing of its own.

    `position` is where it stands, `plan` says how far it goes.
    """

    def __init__(self, run: Path, settings: TrainSettings, inputs: Inputs, interrupt: Interrupt) -> None:
        self.run, self.settings, self.inputs, self.interrupt = run, settings, inputs, interrupt
        self.plan = new_plan(settings, inputs)
        self.schedule = Schedule(settings.schedule, self.plan.steps, self.plan.steps_per_epoch)
        self.accelerator = new_accelerator(settings.device, settings.precision)
        self.learner = new_learner(settings, inputs, device=self.accelerator.device)
        begun = checkpoint_path(run, "last").is_file()
        if settings.init_from is not None and not begun:
            begin_with(settings.init_from, self.learner, strict=settings.init_strict)
        self.optimizer = build_optimizer(self.learner, settings.optimizer)
        self.average = Average(self.learner, decay=settings.ema) if settings.ema else None
        self.position = Position()
        if begun:
            self.position = load_last(
                run, learner=self.learner, optimizer=self.optimizer, average=self.average
            )
        self.compute, self.stepper = self.accelerator.prepare(self.learner, self.optimizer)
        if self.accelerator.scaler is not None and self.position.scaler is not None:
            self.accelerator.scaler.load_state_dict(self.position.scaler)
        self.started, self.first_step = time.monotonic() - self.position.seconds, self.position.step

    def go(self, tell: Callable[[TrainProgress], None]) -> None:
        """Train from the position to the end; a run that ended opens nothing, unless its best is lost."""
        position, settings = self.position, self.settings
        if not checkpoint_path(self.run, "best").is_file():
            position.best = None
        if self._ended() and position.best is not None:
            return
        reader, self.validation_reader = open_readers(
            self.inputs,
            self.learner,
            views=settings.features.views,
            tuning=settings.finetune.image,
            others=self.learner.teachers.models if self.learner.teachers else (),
        )
        wanted = settings.captions_per_image
        reading = read_batches(
            reader,
            self.inputs.train,
            self.plan,
            start=position.step,
            captions_per_image=None if wanted == "all" else wanted,
            workers=settings.workers,
        )
        began = time.monotonic()
        with (
            contextlib.closing(reading) as batches,  # or its processes outlive an error
            RunLog(self.run, step=position.step, tensorboard=settings.tensorboard) as log,
        ):
            while not self._ended():
                loss, rates = self._step(batches)
                self._after_step(log, loss=loss, rates=rates)
                tell(self._progress(loss, rates["model"], seconds=time.monotonic() - began))
            if position.best is None:
                self._validate(log)
                self._save(log)

    def _ended(self) -> bool:
        return self.position.step >= self.plan.steps or self.position.stopped_early

    def _step(self, batches: Iterator[Batch]) -> tuple[float, dict[str, float]]:
        """One step of the optimizer; its loss, and its rates by part."""
        settings, step = self.settings, self.position.step
        held = self.position.plateau.factor
        rates = set_rates(self.optimizer, settings.optimizer, self.schedule, step=step, held=held)
        self.compute.train()
        parts, total = self.plan.parts_in(step), 0.0
        for part in range(parts):
            batch = next(batches).to(self.accelerator.device)
            torch.manual_seed(seed_of(settings.seed, step, part))
            loss = self.compute(batch)
            self.accelerator.backward(loss / parts)
            total += float(loss.detach()) / parts
        if not math.isfinite(total):
            raise RunError(
                f"{self.run}: the loss is {total} at step {step + 1}; try a lower optimizer.rate, or clip=1"
            )
        if settings.clip is not None:
            self.accelerator.clip_grad_norm_(self.learner.parameters(), settings.clip)
        self.stepper.step()
        self.stepper.zero_grad()
        if self.average is not None:
            self.average.update(self.learner, steps=step)
        return total, rates

    def _after_step(self, log: RunLog, *, loss: float, rates: dict[str, float]) -> None:
        """Count the step, log, validate and save as is due; raises `StoppedError` where asked to."""
        position, plan, settings = self.position, self.plan, self.settings
        position.step += 1
        position.loss_sum += loss
        position.loss_steps += 1
        position.seconds = time.monotonic() - self.started
        epoch_ends = position.step % plan.steps_per_epoch == 0
        if epoch_ends or position.step % settings.log_every == 0:
            mean = position.loss_sum / position.loss_steps
            others = {"rates": rates} if settings.optimizer.parts else {}
            log.row("train", position.step, {**self._when(), "loss": mean, "rate": rates["model"], **others})
            position.loss_sum, position.loss_steps = 0.0, 0
        if epoch_ends:
            epoch = position.step // plan.steps_per_epoch
            if epoch % settings.validation.every == 0 or position.step == plan.steps:
                self._validate(log)
        if epoch_ends or position.step % settings.checkpoint_every == 0 or self.interrupt.asked:
            self._save(log)
        if self.interrupt.asked and position.step < plan.steps and not position.stopped_early:
            raise StoppedError(
                f"{self.run}: stopped after step {position.step} of {plan.steps}; "
                f"go on with: sterna train --out {self.run} --resume"
            )

    def _save(self, log: RunLog) -> None:
        log.settle()
        if self.accelerator.scaler is not None:
            self.position.scaler = self.accelerator.scaler.state_dict()
        save_last(
            self.run, self.position, learner=self.learner, optimizer=self.optimizer, average=self.average
        )

    def _validate(self, log: RunLog) -> None:
        position, settings = self.position, self.settings.validation
        shown = self.settings.tensorboard_panels if self.settings.tensorboard else 0
        weights = self.average.inside(self.learner) if self.average else contextlib.nullcontext()
        with weights:
            measured, ranks = validate(
                self.learner,
                self.validation_reader,
                self.inputs.validation,
                device=self.accelerator.device,
                at=cutoffs_for(settings.metric),
                score=self.settings.score,
                top=FIRST if shown else 0,
            )
            value = metric_of(measured, settings.metric)
            position.value = value
            position.seconds = time.monotonic() - self.started
            position.plateau.see(value, self.settings.schedule, lower=lower_is_better(settings.metric))
            if is_better(value, position.best, settings.metric):
                position.best, position.best_step, position.validations_since_best = value, position.step, 0
                save_best(self.run, position, learner=self.learner, report=measured)
            else:
                position.validations_since_best += 1
        if settings.patience is not None and position.validations_since_best >= settings.patience:
            position.stopped_early = True
        log.row("validation", position.step, {**self._when(), **measured})
        for name, picture in panels(ranks, self.inputs.shown, count=shown) if shown else ():
            log.picture(name, position.step, picture)

    def _when(self) -> dict[str, Any]:
        return {
            "epoch": self.position.step / self.plan.steps_per_epoch,
            "seconds": round(self.position.seconds, 3),
        }

    def _progress(self, loss: float, rate: float, *, seconds: float) -> TrainProgress:
        position, plan = self.position, self.plan
        left = plan.steps - position.step
        return TrainProgress(
            step=position.step,
            steps=plan.steps,
            epoch=plan.epoch_of(position.step - 1) + 1,
            epochs=plan.epochs,
            loss=loss,
            rate=rate,
            metric=self.settings.validation.metric,
            value=position.value,
            best=position.best,
            seconds_left=0.0
            if position.stopped_early
            else left * seconds / (position.step - self.first_step),
        )
