"""Opening one photograph safely, whatever stands under its name."""

from __future__ import annotations

import io
import os
import stat
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TypeAlias

from PIL import Image

from sterna.errors import PhotoError, UsageError
from sterna.files import system_reason
from sterna.images._colours import to_rgb
from sterna.images._formats import open_alone, reader, recognise, webp_size
from sterna.images._limits import check_bytes, check_memory, check_size, pixel_limit
from sterna.images._memory import BUDGET, Plan, memory_needed, reduction, webp_memory
from sterna.images._notes import Notes, read_notes

__all__ = ["Photo", "PhotoSource", "open_photo", "opened_photo"]

PhotoSource: TypeAlias = Path | str | bytes | Image.Image
"""A file's path, a file's content, or an image that Pillow has opened or made."""

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

_NO_READER = "this installation of Pillow cannot read it"
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
    "decoder libtiff not available": _NO_READER,
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


def open_photo(source: PhotoSource, *, at_least: int | None = None, max_pixels: int | None = None) -> Photo:
    """Open a photograph: its first frame, upright, in RGB.

    Arguments:
        source: a path, a file's bytes, or a Pillow image (which is not changed).
        at_least: pixels that its shorter side has to keep; larger photographs may be decoded at a reduced
            scale (JPEGs several times faster). `None` keeps them whole.
        max_pixels: width times height above which it is refused, before any pixel is decoded; so it is
            where decoding would take more memory than goes with so many pixels. `None` for the usual limit
            (`MAX_PIXELS`, or the environment's STERNA_MAX_PIXELS).

    Raises `PhotoError` with a reason for people, whatever is wrong with it; `UsageError` for another kind of
    source.
    """
    with ExitStack() as held:
        return _open(source, held, at_least=at_least, max_pixels=max_pixels)


@contextmanager
def opened_photo(
    source: PhotoSource, *, at_least: int | None = None, max_pixels: int | None = None
) -> Iterator[Photo]:
    """As `open_photo`, while the block runs: for making something small of the photograph in many threads.

    All threads together decode within about one gigabyte, and the photograph counts until the block ends,
    which closes its image.
    """
    with ExitStack() as held:
        photo = _open(source, held, at_least=at_least, max_pixels=max_pixels)
        try:
            yield photo
        finally:
            photo.image.close()


def _open(source: PhotoSource, held: ExitStack, *, at_least: int | None, max_pixels: int | None) -> Photo:
    limit = pixel_limit() if max_pixels is None else max_pixels
    name = os.fspath(source) if isinstance(source, Path | str) else None
    try:
        return _read(source, name, held, at_least=at_least, max_pixels=limit)
    except PhotoError as error:
        _forget(error)
        raise PhotoError(error.reason, path=name) from error.__cause__
    except UsageError:
        raise
    except Exception as error:  # readers of damaged files raise nearly anything
        _forget(error)
        reason = _reason(error)
        cause = ImportError(str(error)) if reason == _NO_READER else error
        raise PhotoError(reason, path=name) from cause


def _forget(error: BaseException | None) -> None:
    """Let go of what an error's frames hold: all pixels of a photograph, for as long as the error is kept."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _read(
    source: PhotoSource, name: str | None, held: ExitStack, *, at_least: int | None, max_pixels: int
) -> Photo:
    if isinstance(source, Image.Image):
        check_size(source.size, max_pixels=max_pixels)
        return _finish(source.copy(), source.size, read_notes(source), at_least=at_least)
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), len(source), held, at_least=at_least, max_pixels=max_pixels)
    if name is None:
        kind = type(source).__name__
        raise UsageError(f"a photograph is a path, a file's bytes or a Pillow image; a {kind} came")
    with _regular_file(Path(name)) as file:
        length = os.fstat(file.fileno()).st_size
        return _decode(file, length, held, at_least=at_least, max_pixels=max_pixels)


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


def _decode(file: IO[bytes], length: int, held: ExitStack, *, at_least: int | None, max_pixels: int) -> Photo:
    def hold(need: int, size: tuple[int, int]) -> None:
        check_memory(need, size, kind=kind, max_pixels=max_pixels)
        held.enter_context(BUDGET.take(need))

    kind, prefix = recognise(file)
    if kind == "WEBP":  # its decoder takes the memory when it is opened
        size = webp_size(prefix)
        check_size(size, max_pixels=max_pixels)
        hold(webp_memory(size, length=length, at_least=at_least), size)
    elif open_alone(kind, length):
        held.enter_context(BUDGET.take(BUDGET.total))
    with reader(kind)(file) as image:
        size = image.size
        check_size(size, max_pixels=max_pixels)
        notes = read_notes(image, file=file)  # now, for decoding a TIFF closes its file
        if at_least is not None:
            image.draft(None, (at_least, at_least))
        if kind != "WEBP":
            plan = Plan(kind, size, length, at_least, turned=notes.orientation in _UPRIGHT)
            hold(memory_needed(image, file, plan), size)
        image.load()
        if kind == "PNG":  # its notes may follow its pixels
            notes = read_notes(image)
        return _finish(image, size, notes, at_least=at_least)


def _finish(image: Image.Image, size: tuple[int, int], notes: Notes, *, at_least: int | None) -> Photo:
    rgb = to_rgb(image, factor=reduction(image.size, at_least))
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
        return system_reason(error)
    if isinstance(error, EOFError):
        return "the file is cut short"
    text = str(error).lower()
    return next((reason for words, reason in _SAID.items() if words in text), "the file is damaged")
