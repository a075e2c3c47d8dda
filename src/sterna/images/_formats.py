"""Which files are photographs, told by their first bytes, and opening one lazily.

Pillow's own `Image.open` would do, were it not for its pixel limit: that is a module global which answers
with a process-wide warning, and opening a file can already reserve memory for all of its pixels. So the
format is found here and its Pillow class called directly, which leaves Pillow's global state alone and shuts
out formats that are not photographs (EPS would start Ghostscript).
"""

from __future__ import annotations

import importlib
import re
from typing import IO, cast

from PIL import ImageFile

from sterna.errors import MissingExtraError, PhotoError

__all__ = ["PHOTO_SUFFIXES", "UNREADABLE", "check_size", "lazy_image"]

PHOTO_SUFFIXES: frozenset[str] = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""Lower-case endings of the files taken for photographs when folders are walked."""

UNREADABLE = "not a photograph that can be read"
_PREFIX = 32
_MAX_SIDE = 1_000_000

# Format: its first bytes, and the Pillow class that reads it. Of an MPO (JPEGs in a row), the first is read.
_FORMATS: dict[str, tuple[bytes, str, str]] = {
    "JPEG": (rb"\xff\xd8\xff", "PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": (rb"\x89PNG\r\n\x1a\n", "PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": (rb"RIFF....WEBP", "PIL.WebPImagePlugin", "WebPImageFile"),
    "GIF": (rb"GIF8[79]a", "PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": (rb"II[*+]\0|MM\0[*+]", "PIL.TiffImagePlugin", "TiffImageFile"),
    "AVIF": (rb"....ftypavi[fs]", "PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": (rb"....ftyp(?:he[iv][cxms]|m[is]f1)", "pillow_heif.as_plugin", "HeifImageFile"),
    "JPEG 2000": (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n", "PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "BMP": (rb"BM", "PIL.BmpImagePlugin", "BmpImageFile"),
    "PPM": (rb"P[1-6][\s#]", "PIL.PpmImagePlugin", "PpmImageFile"),
}


def lazy_image(file: IO[bytes], *, max_pixels: int) -> ImageFile.ImageFile:
    """Recognise an open file and read its header only; none of its pixels is decoded.

    Raises `PhotoError` where it is empty, of no known format or larger than `max_pixels`; Pillow's readers
    raise nearly anything where it is damaged.
    """
    prefix = file.read(_PREFIX)
    if not prefix:
        raise PhotoError("the file is empty")
    names = [name for name, (start, _, _) in _FORMATS.items() if re.match(start, prefix, re.DOTALL)]
    if not names:
        raise PhotoError(UNREADABLE)
    if names[0] == "WEBP":  # its decoder reserves memory for the pixels on opening
        check_size(_webp_size(prefix), max_pixels=max_pixels)
    file.seek(0)
    image = _reader(names[0])(file)
    check_size(image.size, max_pixels=max_pixels)
    return image


def check_size(size: tuple[int, int], *, max_pixels: int) -> None:
    """Raise `PhotoError` where `size` (width, height) is more than `max_pixels`, or unreasonably long."""
    width, height = size
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels"
        raise PhotoError(f"{width} x {height} pixels: more than the limit of {limit}")
    if max(size) > _MAX_SIDE:
        raise PhotoError(f"{width} x {height} pixels: a side is longer than the limit of {_MAX_SIDE} pixels")


def _webp_size(prefix: bytes) -> tuple[int, int]:
    kind = prefix[12:16]
    if kind == b"VP8X":
        return int.from_bytes(prefix[24:27], "little") + 1, int.from_bytes(prefix[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(prefix[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(prefix[26:28], "little") & 0x3FFF, int.from_bytes(prefix[28:30], "little") & 0x3FFF


def _reader(name: str) -> type[ImageFile.ImageFile]:
    _, module, kind = _FORMATS[name]
    try:
        return cast(type[ImageFile.ImageFile], getattr(importlib.import_module(module), kind))
    except ImportError:
        if name == "HEIC":
            raise PhotoError(str(MissingExtraError("Reading HEIC photographs", extra="heic"))) from None
        raise PhotoError(f"this installation of Pillow cannot read {name}") from None
