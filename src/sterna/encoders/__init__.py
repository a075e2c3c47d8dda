"""Photographs and sentences become unit vectors that can be compared."""

from __future__ import annotations

from sterna.encoders._align import aligned, alignments
from sterna.encoders._calibration import write_calibration
from sterna.encoders._config import ModelConfig, fingerprint_folder, read_config
from sterna.encoders._damage import damaged_files
from sterna.encoders._load import default_model, load
from sterna.encoders._protocol import Aligns, EncodedPhoto, Encoder, PhotoInfo

__all__ = [
    "Aligns",
    "EncodedPhoto",
    "Encoder",
    "ModelConfig",
    "PhotoInfo",
    "aligned",
    "alignments",
    "damaged_files",
    "default_model",
    "fingerprint_folder",
    "load",
    "read_config",
    "write_calibration",
]
