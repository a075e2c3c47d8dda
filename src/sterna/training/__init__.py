"""Training: from captioned photographs to a run, and from a run to a model folder."""

from __future__ import annotations

from sterna.training._earlier import Earlier, read_earlier
from sterna.training._encode import encode_feature_items, encode_features
from sterna.training._export import export
from sterna.training._import import ImportedModel, import_model
from sterna.training._log import TrainProgress
from sterna.training._run import Run, load_run
from sterna.training._scores import alignment_of
from sterna.training._seeds import SeedsResult, train_seeds
from sterna.training._settings import (
    AugmentSettings,
    DataSettings,
    FeatureSettings,
    FinetuneSettings,
    ImageTuningSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    PartSettings,
    ScheduleSettings,
    TextTuningSettings,
    TowerSettings,
    TrainSettings,
    ValidationSettings,
)
from sterna.training._train import RunResult, train

__all__ = [
    "AugmentSettings",
    "DataSettings",
    "Earlier",
    "FeatureSettings",
    "FinetuneSettings",
    "ImageTuningSettings",
    "ImportedModel",
    "ModelSettings",
    "ObjectiveSettings",
    "OptimizerSettings",
    "PartSettings",
    "Run",
    "RunResult",
    "ScheduleSettings",
    "SeedsResult",
    "TextTuningSettings",
    "TowerSettings",
    "TrainProgress",
    "TrainSettings",
    "ValidationSettings",
    "alignment_of",
    "encode_feature_items",
    "encode_features",
    "export",
    "import_model",
    "load_run",
    "read_earlier",
    "train",
    "train_seeds",
]
