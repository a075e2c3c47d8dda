"""Losses over the vectors of images and captions, chosen by name."""

from __future__ import annotations

from sterna.objectives._build import OBJECTIVES, build_objective
from sterna.objectives._infonce import InfoNCE
from sterna.objectives._objective import Objective

__all__ = ["OBJECTIVES", "InfoNCE", "Objective", "build_objective"]
