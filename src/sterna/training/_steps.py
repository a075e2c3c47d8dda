"""How a run's steps are told to go: optimizer, rate, validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from sterna.settings import Settings
from sterna.training._metrics import known_metric

__all__ = ["OptimizerSettings", "PartSettings", "ScheduleSettings", "Share", "ValidationSettings"]

Share = Annotated[float, Field(ge=0, lt=1)]
_Decay = Annotated[float, Field(ge=0)]

# Which settings a schedule looks at beside its name.
_TAKES: dict[str, tuple[str, ...]] = {
    "cosine": ("warmup", "floor"),
    "linear": ("warmup", "floor"),
    "constant": ("warmup",),
    "step": ("warmup", "milestones", "every", "gamma"),
    "plateau": ("warmup", "floor", "gamma", "patience", "threshold", "cooldown"),
    "1cycle": ("warmup", "floor", "start", "anneal", "three_phase", "momentum"),
    "restarts": ("warmup", "floor", "period", "growth"),
}
_ONE_CYCLE = {"warmup": 0.3, "floor": 4e-6}  # torch's pct_start, and 1 / (div_factor * final_div_factor)


class PartSettings(Settings):
    """How one part of what is trained differs from the rest; what is left out is as it is for all.

    Until `start_epoch` (counted from 0) the part is frozen: no gradients, no decay, nothing moves. Its rate
    then climbs for `warmup` (a share of all steps, counted from there) and follows the schedule.
    """

    rate: PositiveFloat | None = None
    warmup: Share | None = None
    start_epoch: NonNegativeInt = 0
    weight_decay: _Decay | None = None


class OptimizerSettings(Settings):
    """An optimizer of torch by `name`, with `params`, its other arguments, by theirs.

    `weight_decay` acts on the matrices of layers, not on norms, biases, items or temperature; left out, it is
    0.3 for adamw and 0 for any other. `betas` and `epsilon` left out are the optimizer's own. `parts` names
    what is trained otherwise: model, objective, and the backbones where they are trained.
    """

    name: Annotated[str, AfterValidator(str.lower)] = "adamw"
    rate: PositiveFloat = 1e-3
    weight_decay: _Decay = 0.3
    betas: tuple[Share, Share] | None = None
    epsilon: PositiveFloat | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    parts: dict[Literal["model", "objective", "image_backbone", "text_backbone"], PartSettings] = Field(
        default_factory=dict
    )

    @model_validator(mode="before")
    @classmethod
    def _decay_of_others(cls, values: Any) -> Any:
        others = isinstance(values, Mapping) and str(values.get("name", "adamw")).lower() != "adamw"
        return {"weight_decay": 0.0, **values} if others else values


class ScheduleSettings(Settings):
    """The rate climbs in a line for `warmup` (a share of all steps), then goes its way.

    - cosine, linear: falls to `floor` (a share of the rate) until the end; constant stays.
    - step: is multiplied with `gamma` at each of the `milestones`, or `every` so many epochs.
    - plateau: is multiplied with `gamma`, down to `floor`, after more than `patience` validations without a
      metric better than the best by the share `threshold`; then `cooldown` validations do not count.
    - 1cycle: climbs from the share `start` to the rate for `warmup` (0.3 unless named) and falls to `floor`
      (0.000004 unless named), both as `anneal` says; with `three_phase` it falls to `start` as fast as it
      rose and only then to `floor`. `momentum`, two numbers, lets momentum (or the first of betas) go from
      the higher to the lower while the rate climbs, and back.
    - restarts: falls along a cosine to `floor` within `period` epochs and begins again, each time with a
      period `growth` times as long.
    """

    name: Literal["cosine", "linear", "constant", "step", "plateau", "1cycle", "restarts"] = "cosine"
    warmup: Share = 0.03
    floor: Share = 0.0
    milestones: tuple[PositiveFloat, ...] = ()
    every: PositiveFloat | None = None
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: NonNegativeInt = 2
    threshold: Share = 1e-4
    cooldown: NonNegativeInt = 0
    start: Annotated[float, Field(gt=0, le=1)] = 0.04
    anneal: Literal["cosine", "linear"] = "cosine"
    three_phase: bool = False
    momentum: tuple[Share, Share] | None = None
    period: PositiveFloat | None = None
    growth: PositiveInt = 1

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_one_cycle(cls, values: Any) -> Any:
        one_cycle = isinstance(values, Mapping) and values.get("name") == "1cycle"
        return {**_ONE_CYCLE, **values} if one_cycle else values

    @model_validator(mode="after")
    def _all_is_of_use(self) -> Self:
        takes = _TAKES[self.name]
        for key, field in type(self).model_fields.items():
            value = getattr(self, key)
            if key not in ("name", *takes) and value != field.default:
                raise ValueError(
                    f"{key}={value} would change nothing: a {self.name} rate takes {', '.join(takes)}"
                )
        if self.name == "step" and bool(self.milestones) is (self.every is not None):
            raise ValueError("step needs milestones or every, in epochs, and not both")
        if self.name == "restarts" and self.period is None:
            raise ValueError("restarts needs period, the epochs until the first of them")
        if self.three_phase and self.warmup > 0.5:
            raise ValueError(f"warmup={self.warmup}: of three phases two are as long as this; at most 0.5")
        if self.momentum is not None and self.momentum[0] > self.momentum[1]:
            raise ValueError(f"momentum={list(self.momentum)}: the lower comes first")
        return self


class ValidationSettings(Settings):
    """Every `every` epochs; the run stops after `patience` validations without a better `metric`.

    `metric` is any figure of a report by its path, such as rsum, t2i.hits.5 or i2t.map_at_r; of ranks the
    lowest is the best, of all others the highest.
    """

    every: PositiveInt = 1
    metric: Annotated[str, AfterValidator(known_metric)] = "rsum"
    patience: PositiveInt | None = None
