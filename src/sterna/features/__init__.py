"""Features: ragged arrays on disk, and their extraction. The store needs NumPy alone."""

from __future__ import annotations

from sterna.features._extract import Captioned, extract
from sterna.features._part import ColumnSpec
from sterna.features._report import ExtractProgress, ExtractReport, Failure
from sterna.features._store import FeatureStore

__all__ = [
    "Captioned",
    "ColumnSpec",
    "ExtractProgress",
    "ExtractReport",
    "Failure",
    "FeatureStore",
    "extract",
]
