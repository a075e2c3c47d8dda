"""Features: ragged arrays on disk, their extraction, and those of others. The store needs NumPy alone."""

from __future__ import annotations

from sterna.features._engines import Engine
from sterna.features._export import export_features, find_store
from sterna.features._extract import Captioned, extract
from sterna.features._foreign import BadItem, Entry, Foreign, Format, Item, Passage, Target, Writer
from sterna.features._formats import FORMATS
from sterna.features._import import DATA_FILE, import_features
from sterna.features._kept import KeptMaps
from sterna.features._outcome import ExportReport, ImportReport, Reason, TransferProgress, in_words
from sterna.features._part import ColumnSpec
from sterna.features._report import ExtractProgress, ExtractReport, Failure
from sterna.features._store import FeatureStore

__all__ = [
    "DATA_FILE",
    "FORMATS",
    "BadItem",
    "Captioned",
    "ColumnSpec",
    "Engine",
    "Entry",
    "ExportReport",
    "ExtractProgress",
    "ExtractReport",
    "Failure",
    "FeatureStore",
    "Foreign",
    "Format",
    "ImportReport",
    "Item",
    "KeptMaps",
    "Passage",
    "Reason",
    "Target",
    "TransferProgress",
    "Writer",
    "export_features",
    "extract",
    "find_store",
    "import_features",
    "in_words",
]
