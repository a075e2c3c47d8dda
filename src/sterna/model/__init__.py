"""TERN: padded regions and tokens become unit vectors that can be compared. Torch alone."""

from __future__ import annotations

from sterna.model._build import build_model
from sterna.model._tern import POOLINGS, POSITIONS, TERN, Tower, TransformerEncoder

__all__ = ["POOLINGS", "POSITIONS", "TERN", "Tower", "TransformerEncoder", "build_model"]
