"""Captioned images in the formats that people have them in."""

from sterna.data._captioned import CaptionedImages
from sterna.data._read import FORMATS, Format, read

__all__ = ["FORMATS", "CaptionedImages", "Format", "read"]
