"""Losses over the vectors of images and captions, chosen by name."""

from __future__ import annotations

from sterna.objectives._build import OBJECTIVES, build_objective
from sterna.objectives._convirt import ConVIRT
from sterna.objectives._cusa import CUSA
from sterna.objectives._distill import Distill
from sterna.objectives._hinge import Hinge
from sterna.objectives._infonce import InfoNCE
from sterna.objectives._instance import Instance
from sterna.objectives._objective import Given, Objective
from sterna.objectives._pml import MetricLearning
from sterna.objectives._pml_table import LEFT_OUT, METRIC_LEARNING
from sterna.objectives._reimplementation import from_reimplementation
from sterna.objectives._sigmoid import Sigmoid
from sterna.objectives._smooth_ap import SmoothAP
from sterna.objectives._weighted_sum import WeightedSum

__all__ = [
    "CUSA",
    "LEFT_OUT",
    "METRIC_LEARNING",
    "OBJECTIVES",
    "ConVIRT",
    "Distill",
    "Given",
    "Hinge",
    "InfoNCE",
    "Instance",
    "MetricLearning",
    "Objective",
    "Sigmoid",
    "SmoothAP",
    "WeightedSum",
    "build_objective",
    "from_reimplementation",
]
