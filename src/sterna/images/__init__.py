"""A photograph of any kind, size or state becomes an upright RGB image, or a reason for people."""

from __future__ import annotations

from sterna.images._formats import PHOTO_SUFFIXES, media_type
from sterna.images._limits import MAX_BYTES, MAX_PIXELS, check_bytes, pixel_limit
from sterna.images._photo import Photo, PhotoSource, open_photo, opened_photo
from sterna.images._square import FITS, to_square

__all__ = [
    "FITS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "Photo",
    "PhotoSource",
    "check_bytes",
    "media_type",
    "open_photo",
    "opened_photo",
    "pixel_limit",
    "to_square",
]
