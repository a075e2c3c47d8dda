"""Everything a training run can be told, with its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from sterna.scoring import SCORES
from sterna.settings import Settings
from sterna.training._steps import (
    OptimizerSettings,
    PartSettings,
    ScheduleSettings,
    Share,
    ValidationSettings,
)

__all__ = [
    "AugmentSettings",
    "DataSettings",
    "FeatureSettings",
    "FinetuneSettings",
    "ImageTuningSettings",
    "ModelSettings",
    "ObjectiveSettings",
    "OptimizerSettings",
    "PartSettings",
    "ScheduleSettings",
    "TextTuningSettings",
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

    "imported" in the place of a backbone takes what `sterna features import` brought, and extracts nothing;
    "run:FOLDER" takes the backbone as that run trained it.
    Training draws one of `views` for each image and epoch; validation sees "original". `hidden_layer` is
    whose output the tokens are: 0 the text backbone's embeddings, K its K-th layer's; left out or -1 the last
    one's.
    """

    path: Path | None = None
    image: str = "efficientnet-lite0+efficientnet-lite1+efficientnet-lite2"
    text: str = "minilm"
    size: PositiveInt | None = None
    cells: PositiveInt = 6
    fit: Literal["squeeze", "crop", "letterbox"] = "squeeze"
    max_tokens: PositiveInt = 64
    hidden_layer: int | None = None
    views: Annotated[tuple[str, ...], Field(min_length=1)] = ("original",)
    dtype: Literal["float16", "float32"] = "float16"
    batch_size: PositiveInt = 16


class TextTuningSettings(Settings):
    """What of the text backbone is trained: its last `layers`, or "all" of it with the word vectors.

    With `low_rank` adapters of this rank are trained beside the queries and values of those layers (of all
    layers where none are named), and everything else stays frozen.
    """

    layers: Literal["all"] | Annotated[int, Field(ge=0)] = 0
    low_rank: Annotated[int, Field(ge=0)] = 0

    @property
    def tuned(self) -> bool:
        """Whether anything is trained."""
        return bool(self.layers or self.low_rank)


class AugmentSettings(Settings):
    """How a photograph is changed, anew whenever it is trained on.

    A rectangle at a random place, of `crop`, a share, of its area or more and a shape within 4:3 of its own,
    is stretched to the whole square; with `flip` half of them are mirrored. Brightness, contrast and
    saturation are each multiplied with a number within `colour` of 1.
    """

    crop: Annotated[float, Field(gt=0, le=1)] = 0.5
    flip: bool = True
    colour: Share = 0.0


class ImageTuningSettings(Settings):
    """What of the image backbone is trained: its last `stages`; see `sterna.backbones.image_backbone`.

    The statistics of `batch_norm` inside them are "frozen", or "moving" with the batches. They are trained on
    kept maps of the views; with `augment` on the photographs themselves, each changed anew in every epoch,
    which takes the whole backbone in every step: for a GPU.
    """

    stages: Annotated[int, Field(ge=0)] = 0
    batch_norm: Literal["frozen", "moving"] = "frozen"
    augment: AugmentSettings | None = None

    @property
    def tuned(self) -> bool:
        """Whether anything is trained."""
        return self.stages > 0

    @model_validator(mode="after")
    def _norms_are_trained(self) -> Self:
        if self.batch_norm == "moving" and not self.stages:
            raise ValueError("batch_norm='moving' would change nothing: no stages are trained")
        if self.augment is not None and not self.stages:
            raise ValueError("augment would change nothing: no stages are trained")
        return self


class FinetuneSettings(Settings):
    """Which parts of the backbones are trained along with the model: none, unless named.

    `checkpointing` runs their layers again for the gradients, for less memory and more time.
    """

    text: TextTuningSettings = TextTuningSettings()
    image: ImageTuningSettings = ImageTuningSettings()
    checkpointing: bool = False

    @model_validator(mode="after")
    def _something_is_run_again(self) -> Self:
        if self.checkpointing and not (self.text.tuned or self.image.tuned):
            raise ValueError("checkpointing would change nothing: no backbone is trained")
        return self


class TowerSettings(Settings):
    """What may differ between the two towers; see `sterna.model.Tower`.

    `positions` left out: boxes for images, none for texts. `width`, `heads`, `feedforward`, `dropout`,
    `norm`, `activation` and `layer_norm` left out: those of the model.
    """

    skip: bool = True
    skip_hidden: Annotated[int, Field(ge=0)] = 1024
    skip_dropout: Share = 0.4
    skip_pooling: Literal["mean", "statistics"] = "mean"
    layers: Annotated[int, Field(ge=0)] = 0
    second_layers: Annotated[int, Field(ge=0)] = 0
    width: PositiveInt | None = None
    heads: PositiveInt | None = None
    feedforward: PositiveInt | None = None
    dropout: Share | None = None
    norm: Literal["pre", "post"] | None = None
    activation: Literal["gelu", "relu"] | None = None
    layer_norm: Literal["variance", "deviation"] | None = None
    projection: Literal["linear", "network"] = "linear"
    pooling: Literal[
        "first", "mean", "sum", "max", "kmax", "attention", "gated", "gpo", "gru", "sum-network"
    ] = "mean"
    k: PositiveInt = 5
    inputs: Literal["norm", "linear", "none"] = "norm"
    positions: Literal["boxes", "concat", "learned", "none"] | None = None
    box_numbers: Literal["corners", "area", "size"] = "area"
    max_items: PositiveInt = 128
    cls_token: bool | Literal["pair", "zero"] = False
    trim: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (0, 0)
    drop_items: Share = 0.0


class ModelSettings(Settings):
    """TERN; see `sterna.model.build_model`. The defaults are the pooled model: skip paths alone.

    `names` is the weight of what ImageNet's classes are called (Norouzi et al., ICLR 2014) beside what is
    learned; it needs image networks with their classifiers, such as efficientnet-lite0, and takes as many
    numbers of `embedding` as a token is wide.
    """

    embedding: PositiveInt = 512
    width: PositiveInt = 512
    heads: PositiveInt = 8
    feedforward: PositiveInt = 2048
    dropout: Share = 0.1
    norm: Literal["pre", "post"] = "pre"
    activation: Literal["gelu", "relu"] = "gelu"
    layer_norm: Literal["variance", "deviation"] = "variance"
    shared_layers: Annotated[int, Field(ge=0)] = 0
    second_at: Literal["embedding", "width"] = "embedding"
    absolute: bool = False
    names: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    image: TowerSettings = TowerSettings()
    text: TowerSettings = TowerSettings()


class ObjectiveSettings(Settings):
    """A loss by name, and its plain arguments."""

    name: str = "infonce"
    params: dict[str, Any] = Field(default_factory=dict)


def _known_score(name: str) -> str:
    if name not in SCORES:
        raise ValueError(f"{name!r} is not known; known: {', '.join(sorted(SCORES))}")
    return name


class TrainSettings(Settings):
    """A training run. A step sees `accumulation` times `batch_images` images, each with its captions.

    `init_from`, a run, a model folder or a .safetensors file, gives the first weights, all of the model's
    (those that fit, with `init_strict` off). `teacher` are runs on the same features whose mean similarities
    an objective that distils learns from.
    `captions_per_image` is how many captions of an image a batch holds, drawn anew every epoch. With `bucket`
    images whose longest captions are of like length share batches, which are then padded less.
    `score` is what validation and `sterna eval` measure by, one of `sterna.scoring.SCORES`: "dot" and "order"
    compare vectors, the others align regions with words.
    With `mixup` every image of a batch is blended with another (Zhang et al., ICLR 2018): their regions by a
    share that each step draws from Beta(mixup, mixup), and the loss by the same share between the captions of
    both. It needs regions of a grid, the same for all images.
    `ema` is the decay of the averaged weights, which are then what is measured, kept and exported.
    `clip` bounds the norm of the gradients. `workers` are processes that read batches ahead.
    `checkpoint_every` and `log_every` count steps; a checkpoint is also written after every epoch.
    `tensorboard_panels` is for how many queries, each way, TensorBoard shows what each validation found.
    `device` is cpu, a device of torch such as cuda, cuda:1 or mps, or auto, the accelerator there is; on the
    CPU a run is repeatable bit for bit with the same number of `threads` (left out: as many as torch takes; a
    run that goes on takes what it began with). `precision` is what layers multiply in; weights, losses and
    similarities are float32 in any case, and float16 scales the loss as its gradients allow.
    """

    data: DataSettings = DataSettings()
    features: FeatureSettings = FeatureSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    model: ModelSettings = ModelSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    score: Annotated[str, AfterValidator(_known_score)] = "dot"
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    validation: ValidationSettings = ValidationSettings()
    teacher: tuple[Path, ...] = ()
    init_from: Path | None = None
    init_strict: bool = True
    batch_images: Annotated[int, Field(ge=2)] = 500
    captions_per_image: Literal["all"] | PositiveInt = "all"
    bucket: bool = False
    epochs: PositiveInt = 15
    accumulation: PositiveInt = 1
    clip: PositiveFloat | None = None
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    checkpoint_every: PositiveInt = 200
    log_every: PositiveInt = 10
    tensorboard: bool = True
    tensorboard_panels: Annotated[int, Field(ge=0)] = 2
    workers: Annotated[int, Field(ge=0)] = 0
    threads: PositiveInt | None = None
    device: str = "cpu"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
