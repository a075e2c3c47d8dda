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

from PIL import ImageFile, features

from sterna.errors import MissingExtraError, PhotoError

__all__ = [
    "PHOTO_SUFFIXES",
    "UNREADABLE",
    "media_type",
    "no_reader",
    "open_alone",
    "reader",
    "recognise",
    "webp_size",
]

PHOTO_SUFFIXES: frozenset[str] = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""Lower-case endings of the files taken for photographs when folders are walked."""

UNREADABLE = "not a photograph that can be read"
_PREFIX = 32

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


_MEDIA = {"JPEG 2000": "image/jp2", "PPM": "image/x-portable-anymap"}
# What Pillow calls the part of it that reads a format, where it may have been built without.
_PARTS = {"JPEG": "jpg", "PNG": "zlib", "WEBP": "webp", "AVIF": "avif", "JPEG 2000": "jpg_2000"}
# Bytes from which a file is opened while no other is, for its reader keeps much of it in memory from then on.
_ALONE = {"JPEG": 1 << 27, "TIFF": 1 << 28, "WEBP": 1 << 24, "AVIF": 1 << 24, "HEIC": 1 << 24}
_ALONE_ELSE = 1 << 26


def recognise(file: IO[bytes]) -> tuple[str, bytes]:
    """The format of an open file and its first bytes; the file is left at its start.

    Raises `PhotoError` where it is empty or of no known format.
    """
    prefix = file.read(_PREFIX)
    file.seek(0)
    if not prefix:
        raise PhotoError("the file is empty")
    names = [name for name, (start, _, _) in _FORMATS.items() if re.match(start, prefix, re.DOTALL)]
    if not names:
        raise PhotoError(UNREADABLE)
    return names[0], prefix


def media_type(file: IO[bytes]) -> str:
    """The media type ("image/jpeg") of an open file, told by its first bytes; it is left at its start.

    Raises `PhotoError` where it is no photograph.
    """
    kind, _ = recognise(file)
    return _MEDIA.get(kind, f"image/{kind.lower()}")


def reader(name: str) -> type[ImageFile.ImageFile]:
    """The Pillow class of a format, which reads a file's header only and decodes no pixel.

    Raises `PhotoError` where this installation cannot read the format.
    """
    _, module, kind = _FORMATS[name]
    try:
        found = getattr(importlib.import_module(module), kind)
    except ImportError as error:
        if name == "HEIC":
            missing = MissingExtraError("Reading HEIC photographs", extra="heic")
            raise PhotoError(str(missing)) from missing
        raise no_reader(name) from error
    if name in _PARTS and not features.check(_PARTS[name]):
        raise no_reader(name) from ImportError(name)
    return cast(type[ImageFile.ImageFile], found)


def no_reader(name: str) -> PhotoError:
    """That Pillow came without what reads a format: no fault of the file, and another Pillow may have it."""
    return PhotoError(f"this installation of Pillow cannot read {name}")


def open_alone(name: str, length: int) -> bool:
    """Whether a file of this format and length in bytes takes so much memory that no other is opened then."""
    return length > _ALONE.get(name, _ALONE_ELSE)


def webp_size(prefix: bytes) -> tuple[int, int]:
    """Width and height that a WebP's first bytes state."""
    kind = prefix[12:16]
    if kind == b"VP8X":
        return int.from_bytes(prefix[24:27], "little") + 1, int.from_bytes(prefix[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(prefix[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(prefix[26:28], "little") & 0x3FFF, int.from_bytes(prefix[28:30], "little") & 0x3FFF
