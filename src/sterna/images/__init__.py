"""A photograph of any kind, size or state becomes an upright RGB image, or a reason for people."""

from __future__ import annotations

from sterna.images._formats import PHOTO_SUFFIXES
from sterna.images._photo import MAX_BYTES, MAX_PIXELS, Photo, PhotoSource, check_bytes, open_photo
from sterna.images._square import FITS, to_square

__all__ = [
    "FITS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "Photo",
    "PhotoSource",
    "check_bytes",
    "open_photo",
    "to_square",
]
