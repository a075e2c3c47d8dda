"""The learning rate as a function of the step; what a plateau has seen is all that is ever remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sterna.training._steps import PartSettings, ScheduleSettings

__all__ = ["Plateau", "Schedule"]


@dataclass
class Plateau:
    """What a plateau's rate depends on: as torch's `ReduceLROnPlateau`, with a relative threshold.

    `factor` is what the rate is multiplied with; `best` the best metric so far, `bad` the validations since,
    `waiting` those that still do not count.
    """

    factor: float = 1.0
    best: float | None = None
    bad: int = 0
    waiting: int = 0

    def see(self, value: float, settings: ScheduleSettings, *, lower: bool) -> None:
        """Take in a validation; `lower` says that a lower value is a better one."""
        if self.best is None or _beyond(value, self.best, settings.threshold, lower=lower):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.waiting:
            self.waiting -= 1
            self.bad = 0
        if self.bad > settings.patience:
            self.factor = max(self.factor * settings.gamma, settings.floor)
            self.waiting, self.bad = settings.cooldown, 0


def _beyond(value: float, best: float, threshold: float, *, lower: bool) -> bool:
    return value < best * (1 - threshold) if lower else value > best * (1 + threshold)


class _Moment(NamedTuple):
    """A step, from 0, of a run whose rate climbs over the first `rising` steps."""

    step: int
    steps: int
    rising: int
    steps_per_epoch: int
    held: float

    @property
    def fallen(self) -> float:
        """The share that is gone of the steps after the climb."""
        return max(0, self.step - self.rising) / max(1, self.steps - self.rising)


@dataclass(frozen=True)
class Schedule:
    """What rates are multiplied with at every step of a run.

    Arguments:
        settings: which way they go.
        steps, steps_per_epoch: how long the run is.
    """

    settings: ScheduleSettings
    steps: int
    steps_per_epoch: int

    def factor(self, step: int, part: PartSettings | None = None, *, held: float = 1.0) -> float:
        """For `step`, from 0, of a `part` that begins or climbs otherwise; `held` is a plateau's factor.

        0 before the part's first epoch.
        """
        part = part or PartSettings()
        if not self.has_begun(step, part):
            return 0.0
        gone = step - part.start_epoch * self.steps_per_epoch
        one_cycle = self.settings.name == "1cycle"  # whose own climb is part of its way
        common = 0.0 if one_cycle else self.settings.warmup
        rising = round((common if part.warmup is None else part.warmup) * self.steps)
        climbed = min(1.0, (gone + 1) / (rising + 1))
        moment = _Moment(step, self.steps, round(common * self.steps), self.steps_per_epoch, held)
        return climbed * _WAYS[self.settings.name](moment, self.settings)

    def has_begun(self, step: int, part: PartSettings) -> bool:
        """Whether a part is trained at `step`."""
        return step >= part.start_epoch * self.steps_per_epoch

    def momentum(self, step: int) -> float | None:
        """The momentum at `step`, where it goes up and down with the rate."""
        if self.settings.name != "1cycle" or self.settings.momentum is None:
            return None
        low, high = self.settings.momentum
        return _cycle(
            step, self.steps, self.settings, {"start": high, "top": low, "floor": high, "low": high}
        )


def _cosine(moment: _Moment, settings: ScheduleSettings) -> float:
    """Loshchilov and Hutter: SGDR, ICLR 2017, eq. 5, without restarts."""
    return _between(settings.floor, 0.5 * (1 + math.cos(math.pi * moment.fallen)))


def _linear(moment: _Moment, settings: ScheduleSettings) -> float:
    return _between(settings.floor, 1 - moment.fallen)


def _constant(moment: _Moment, settings: ScheduleSettings) -> float:
    return 1.0


def _step(moment: _Moment, settings: ScheduleSettings) -> float:
    """As torch's `MultiStepLR` and `StepLR`, with epochs that may be fractions."""
    epoch = moment.step / moment.steps_per_epoch
    if settings.every is not None:
        return settings.gamma ** math.floor(epoch / settings.every)
    return settings.gamma ** sum(epoch >= one for one in settings.milestones)


def _plateau(moment: _Moment, settings: ScheduleSettings) -> float:
    return moment.held


def _restarts(moment: _Moment, settings: ScheduleSettings) -> float:
    """Loshchilov and Hutter: SGDR, ICLR 2017, eq. 5; the first period begins after the climb."""
    gone, period = max(0, moment.step - moment.rising) / moment.steps_per_epoch, settings.period or 1.0
    if settings.growth == 1:
        gone %= period
    while gone >= period:
        gone -= period
        period *= settings.growth
    return _between(settings.floor, 0.5 * (1 + math.cos(math.pi * gone / period)))


def _one_cycle(moment: _Moment, settings: ScheduleSettings) -> float:
    """Smith and Topin: Super-Convergence, 2019; as torch's `OneCycleLR`."""
    heights = {"start": settings.start, "top": 1.0, "low": settings.start, "floor": settings.floor}
    return _cycle(moment.step, moment.steps, settings, heights)


def _cycle(step: int, steps: int, settings: ScheduleSettings, heights: Mapping[str, float]) -> float:
    """Where a value is that goes from `start` to `top`, by way of `low` with three phases, to `floor`."""
    rise, last = settings.warmup * steps - 1, steps - 1
    phases = [(rise, "start", "top"), (last, "top", "floor")]
    if settings.three_phase:
        phases[1:] = [(2 * rise, "top", "low"), (last, "low", "floor")]
    begin = 0.0
    for end, since, until in phases:
        if step <= end or end == last:
            gone = (step - begin) / (end - begin) if end > begin else 1.0
            if settings.anneal == "linear":
                return heights[since] + (heights[until] - heights[since]) * gone
            return heights[until] + (heights[since] - heights[until]) / 2 * (1 + math.cos(math.pi * gone))
        begin = end
    return heights["floor"]


def _between(floor: float, share: float) -> float:
    return floor + (1 - floor) * share


_WAYS: Mapping[str, Callable[[_Moment, ScheduleSettings], float]] = {
    "cosine": _cosine,
    "linear": _linear,
    "constant": _constant,
    "step": _step,
    "plateau": _plateau,
    "1cycle": _one_cycle,
    "restarts": _restarts,
}
