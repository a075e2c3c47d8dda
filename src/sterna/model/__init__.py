"""TERN: padded regions and tokens become unit vectors that can be compared. Torch alone."""

from __future__ import annotations

from sterna.model._build import build_model
from sterna.model._layers import TransformerEncoder
from sterna.model._names import Names
from sterna.model._paper import from_tern
from sterna.model._pooling import POOLINGS
from sterna.model._reimplementation import from_reimplementation
from sterna.model._tern import BOX_NUMBERS, POSITIONS, TERN, Encoded, Tower

__all__ = [
    "BOX_NUMBERS",
    "POOLINGS",
    "POSITIONS",
    "TERN",
    "Encoded",
    "Names",
    "Tower",
    "TransformerEncoder",
    "build_model",
    "from_reimplementation",
    "from_tern",
]
