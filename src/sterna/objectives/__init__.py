"""Losses over the vectors of images and captions, chosen by name."""

from __future__ import annotations

from sterna.objectives._build import OBJECTIVES, build_objective
from sterna.objectives._hinge import Hinge
from sterna.objectives._infonce import InfoNCE
from sterna.objectives._objective import Given, Objective
from sterna.objectives._pml import METRIC_LEARNING, MetricLearning
from sterna.objectives._weighted_sum import WeightedSum

__all__ = [
    "METRIC_LEARNING",
    "OBJECTIVES",
    "Given",
    "Hinge",
    "InfoNCE",
    "MetricLearning",
    "Objective",
    "WeightedSum",
    "build_objective",
]
