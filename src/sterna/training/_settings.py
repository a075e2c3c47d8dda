"""Everything a training run can be told, with its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from sterna.settings import Settings
from sterna.training._steps import (
    OptimizerSettings,
    PartSettings,
    ScheduleSettings,
    Share,
    ValidationSettings,
)

__all__ = [
    "DataSettings",
    "FeatureSettings",
    "ModelSettings",
    "ObjectiveSettings",
    "OptimizerSettings",
    "PartSettings",
    "ScheduleSettings",
    "TowerSettings",
    "TrainSettings",
    "ValidationSettings",
]


class DataSettings(Settings):
    """Where photographs and captions are; `format`, `images`, `columns`, `restval` as in `sterna.data.read`.

    `train` and `validation` name two splits; without a name, validation is by the first of "val", "dev" and
    "validation" that the data has. Of data without any splits, the share `holdout` of the images, chosen by
    their ids, is kept for validation. `terms` is what the data's owners allow, for the model's card.
    """

    path: Path | None = None
    format: str | None = None
    images: Path | None = None
    columns: dict[str, str] | None = None
    restval: bool = True
    train: str = "train"
    validation: str | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    terms: str = ""


class FeatureSettings(Settings):
    """Which backbones see them, and where what they saw is kept (left out: `features` inside the run).

    Training draws one of `views` for each image and epoch; validation sees "original".
    """

    path: Path | None = None
    image: str = "efficientnet-lite0+efficientnet-lite1+efficientnet-lite2"
    text: str = "minilm"
    size: PositiveInt | None = None
    cells: PositiveInt = 6
    fit: Literal["squeeze", "crop", "letterbox"] = "squeeze"
    max_tokens: PositiveInt = 64
    views: Annotated[tuple[str, ...], Field(min_length=1)] = ("original",)
    dtype: Literal["float16", "float32"] = "float16"
    batch_size: PositiveInt = 16


class TowerSettings(Settings):
    """What may differ between the two towers; see `sterna.model.Tower`.

    `positions` left out: boxes for images, none for texts.
    """

    skip: bool = True
    skip_hidden: Annotated[int, Field(ge=0)] = 1024
    skip_dropout: Share = 0.4
    layers: Annotated[int, Field(ge=0)] = 0
    second_layers: Annotated[int, Field(ge=0)] = 0
    pooling: Literal["first", "mean", "sum", "max", "attention", "gpo"] = "mean"
    inputs: Literal["norm", "linear", "none"] = "norm"
    positions: Literal["boxes", "concat", "learned", "none"] | None = None
    max_items: PositiveInt = 128
    cls_token: bool = False
    drop_items: Share = 0.0


class ModelSettings(Settings):
    """TERN; see `sterna.model.build_model`. The defaults are the pooled model: skip paths alone."""

    embedding: PositiveInt = 512
    width: PositiveInt = 512
    heads: PositiveInt = 8
    feedforward: PositiveInt = 2048
    dropout: Share = 0.1
    norm: Literal["pre", "post"] = "pre"
    activation: Literal["gelu", "relu"] = "gelu"
    shared_layers: Annotated[int, Field(ge=0)] = 0
    image: TowerSettings = TowerSettings()
    text: TowerSettings = TowerSettings()


class ObjectiveSettings(Settings):
    """A loss by name, and its plain arguments."""

    name: str = "infonce"
    params: dict[str, Any] = Field(default_factory=dict)


class TrainSettings(Settings):
    """A training run. A step sees `accumulation` times `batch_images` images, each with its captions.

    `captions_per_image` is how many captions of an image a batch holds, drawn anew every epoch.
    `ema` is the decay of the averaged weights, which are then what is measured, kept and exported.
    `clip` bounds the norm of the gradients. `workers` are processes that read batches ahead.
    `checkpoint_every` and `log_every` count steps; a checkpoint is also written after every epoch.
    `device` "auto" takes the accelerator there is; on the CPU a run is repeatable bit for bit with the same
    number of `threads` (left out: as many as torch takes; a run that goes on takes what it began with).
    """

    data: DataSettings = DataSettings()
    features: FeatureSettings = FeatureSettings()
    model: ModelSettings = ModelSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    validation: ValidationSettings = ValidationSettings()
    batch_images: Annotated[int, Field(ge=2)] = 500
    captions_per_image: Literal["all"] | PositiveInt = "all"
    epochs: PositiveInt = 15
    accumulation: PositiveInt = 1
    clip: PositiveFloat | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    checkpoint_every: PositiveInt = 200
    log_every: PositiveInt = 10
    tensorboard: bool = True
    workers: Annotated[int, Field(ge=0)] = 0
    threads: PositiveInt | None = None
    device: Literal["cpu", "auto"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
