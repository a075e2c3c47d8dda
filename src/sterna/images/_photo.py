"""Opening one photograph safely, whatever stands under its name."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TypeAlias

from PIL import Image

from sterna.errors import PhotoError, UsageError
from sterna.images._colours import to_rgb
from sterna.images._formats import check_size, lazy_image
from sterna.images._notes import Notes, read_notes

__all__ = ["MAX_BYTES", "MAX_PIXELS", "Photo", "PhotoSource", "check_bytes", "open_photo"]

PhotoSource: TypeAlias = Path | str | bytes | Image.Image
"""A file's path, a file's content, or an image that Pillow has opened or made."""

MAX_PIXELS = 200_000_000
"""Width times height above which a photograph is refused before it is decoded."""

MAX_BYTES = 1 << 30  # several readers take the whole file into memory
"""Length of a file above which it is refused before it is read."""

_HUGE = 40_000_000  # pixels; above this one photograph is decoded at a time in the whole process
_one_huge = threading.BoundedSemaphore(1)

_FLIP = Image.Transpose
_UPRIGHT = {
    2: _FLIP.FLIP_LEFT_RIGHT,
    3: _FLIP.ROTATE_180,
    4: _FLIP.FLIP_TOP_BOTTOM,
    5: _FLIP.TRANSPOSE,
    6: _FLIP.ROTATE_270,
    7: _FLIP.TRANSVERSE,
    8: _FLIP.ROTATE_90,
}

_SYSTEM_REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EACCES: "you have no permission to read it",
    errno.EPERM: "you have no permission to read it",
    errno.ELOOP: "a link that leads to itself",
    errno.ENAMETOOLONG: "its name is too long",
}

# What readers of all formats say, in part, and what it means.
_SAID = {
    "truncated": "the file is cut short",
    "not enough image data": "the file is cut short",
    "but only got": "the file is cut short",
    "end of file": "the file is cut short",
    "reached eof": "the file is cut short",
    "got to eof": "the file is cut short",
    "decompressed data too large": "the notes inside it are too large to be read safely",
    "too much memory used in text chunks": "the notes inside it are too large to be read safely",
    "decompression bomb": "more pixels than can be decoded safely",  # TIFF and GIF have a limit of their own
    "null byte": "no such file",
    "null character": "no such file",
}


@dataclass(frozen=True)
class Photo:
    """One photograph.

    Attributes:
        image: RGB and upright, possibly smaller than the original.
        width: of the upright original, in pixels.
        height: of the upright original, in pixels.
        taken_at: when the camera took it, in the camera's local time, where the file says so.
        descriptions: what the file says it shows (EXIF, XMP, IPTC), without what cameras write by themselves.
    """

    image: Image.Image
    width: int
    height: int
    taken_at: datetime | None
    descriptions: tuple[str, ...]


def open_photo(source: PhotoSource, *, at_least: int | None = None, max_pixels: int = MAX_PIXELS) -> Photo:
    """Open a photograph: its first frame, upright, in RGB.

    Arguments:
        source: a path, a file's bytes, or a Pillow image (which is not changed).
        at_least: pixels that its shorter side has to keep; larger photographs may be decoded at a reduced
            scale (JPEGs several times faster). `None` keeps them whole.
        max_pixels: width times height above which it is refused, before any pixel is decoded.

    Raises `PhotoError` with a reason for people, whatever is wrong with it; `UsageError` for another kind of
    source.
    """
    name = os.fspath(source) if isinstance(source, Path | str) else None
    try:
        if isinstance(source, Image.Image):
            check_size(source.size, max_pixels=max_pixels)
            return _finish(source.copy(), source.size, read_notes(source), at_least=at_least)
        if isinstance(source, bytes):
            return _decode(io.BytesIO(source), at_least=at_least, max_pixels=max_pixels)
        if name is None:
            kind = type(source).__name__
            raise UsageError(f"a photograph is a path, a file's bytes or a Pillow image; a {kind} came")
        with _regular_file(Path(name)) as file:
            return _decode(file, at_least=at_least, max_pixels=max_pixels)
    except PhotoError as error:
        raise PhotoError(error.reason, path=name) from error.__cause__
    except UsageError:
        raise
    except Exception as error:  # readers of damaged files raise nearly anything
        raise PhotoError(_reason(error), path=name) from error


@contextmanager
def _regular_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading without ever waiting for it, as a pipe or a device would make one."""
    _check_kind(path.stat())
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as file:
        _check_kind(os.fstat(handle))  # what is open now, should the name have changed hands
        yield file


def _check_kind(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise PhotoError("a folder, not a photograph")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("not a regular file")
    check_bytes(status.st_size)


def check_bytes(size: int) -> None:
    """Raise `PhotoError` where a file of `size` bytes is too long to be read as a photograph."""
    if size > MAX_BYTES:
        length, limit = size / 1e9, MAX_BYTES / 1e9
        raise PhotoError(f"the file has {length:.1f} GB: more than the limit of {limit:.1f} GB")


def _decode(file: IO[bytes], *, at_least: int | None, max_pixels: int) -> Photo:
    with lazy_image(file, max_pixels=max_pixels) as image:
        size = image.size
        # A PNG's notes may follow its pixels; a TIFF's are in its file, which decoding closes.
        notes = read_notes(image, file=file) if image.format == "TIFF" else None
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        huge = image.width * image.height > _HUGE
        with _one_huge if huge else nullcontext():
            image.load()
            return _finish(image, size, notes or read_notes(image), at_least=at_least)


def _finish(image: Image.Image, size: tuple[int, int], notes: Notes, *, at_least: int | None) -> Photo:
    # Twice the side that is needed is left, so that averaging takes nothing from the resizing that follows.
    factor = max(1, min(image.size) // (2 * at_least)) if at_least else 1
    rgb = to_rgb(image, factor=factor)
    turn = _UPRIGHT.get(notes.orientation)
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info = {}  # or it would be turned once more when it comes back as a source
    width, height = size if notes.orientation < 5 else size[::-1]
    return Photo(rgb, width, height, notes.taken_at, notes.descriptions)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    if isinstance(error, OSError) and error.errno is not None:
        return _SYSTEM_REASONS.get(error.errno, f"it cannot be read from the disk ({error.strerror})")
    if isinstance(error, EOFError):
        return "the file is cut short"
    text = str(error).lower()
    return next((reason for words, reason in _SAID.items() if words in text), "the file is damaged")
