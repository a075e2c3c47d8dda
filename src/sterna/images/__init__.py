"""A photograph of any kind, size or state becomes an upright RGB image, or a reason for people."""

from __future__ import annotations

from sterna.images._formats import PHOTO_SUFFIXES
from sterna.images._photo import MAX_PIXELS, Photo, PhotoSource, open_photo
from sterna.images._square import FITS, to_square

__all__ = ["FITS", "MAX_PIXELS", "PHOTO_SUFFIXES", "Photo", "PhotoSource", "open_photo", "to_square"]
