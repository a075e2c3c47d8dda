"""What decoding a photograph takes of memory, and that all threads together stay within a budget.

A few bytes can stand for a photograph of any size, and a machine may decode on many cores: so each thread
says first how much it is going to need, and waits while that much is not free. The bytes a pixel below were
measured with Pillow 13, libjpeg-turbo, libwebp, libavif, libheif, OpenJPEG and libtiff.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from PIL import ImageFile

from sterna.images._colours import BAND

__all__ = ["BUDGET", "Budget", "Plan", "memory_needed", "reduction", "webp_memory"]

_AT_ONCE = 800_000_000
_LARGE = 32_000_000  # bytes from which it is worth the time to hand them back
_NARROW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
_WIDEST = 4  # bytes a pixel in Pillow, which keeps RGB in four
# Bytes a pixel beside Pillow's own, and how often the file is held: by readers that decode a whole at a time.
_BESIDE = {"WEBP": (12, 3), "AVIF": (10, 2), "HEIC": (8, 2)}
_JPEG2000_BAND = 6  # bytes for each pixel of each band: whole numbers of 32 bits, and their halves
_CONVERTING = 16  # bytes for each pixel of the band whose colours are being converted
_TILE_WIDTH, _TILE_LENGTH, _STRIP_ROWS, _BITS = 322, 323, 278, 258
_MCU = 32  # pixels to which a JPEG's sides are rounded up, at most


class Budget:
    """Bytes that threads may take together; who asks for more than is free waits, and is let in in turn.

    Arguments:
        total: bytes; who asks for more than this has all of it, and so works alone.
    """

    def __init__(self, total: int) -> None:
        self.total = self._free = total
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def take(self, need: int) -> Iterator[None]:
        """Hold `need` bytes while the block runs; a thread that holds some already never waits for itself."""
        if getattr(self._mine, "holds", False):
            yield
            return
        need = min(need, self.total)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and need <= self._free)
                self._free -= need
            finally:  # also where the wait is interrupted
                self._waiting.remove(ticket)
                self._changed.notify_all()
        self._mine.holds = True
        try:
            yield
        finally:
            self._mine.holds = False
            if need > _LARGE:
                _give_back()
            with self._changed:
                self._free += need
                self._changed.notify_all()


def _give_back() -> None:
    """Have the system's allocator hand back what is free, which glibc keeps for each thread that decoded."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not in every C library
        if trim is not None:
            trim(0)


BUDGET = Budget(_AT_ONCE)


@dataclass(frozen=True)
class Plan:
    """What is going to be decoded.

    Attributes:
        kind: its format; one of the names in `sterna.images._formats`.
        size: of the original.
        length: of its file, in bytes.
        at_least: as in `open_photo`.
        turned: whether it is going to be turned.
    """

    kind: str
    size: tuple[int, int]
    length: int
    at_least: int | None
    turned: bool


def memory_needed(image: ImageFile.ImageFile, file: IO[bytes], plan: Plan) -> int:
    """Bytes that it takes to load an image and to make the wanted RGB of it.

    Arguments:
        image: whose header was read from `file`, of the size that it will be decoded at.
        file: at a position that is kept.
        plan: for it.
    """
    pixels = image.width * image.height
    own = pixels * _NARROW.get(image.mode, _WIDEST)
    if plan.kind == "JPEG":
        own += 0 if _streams(file) else _coefficients(getattr(image, "layer", []), plan.size)
    elif plan.kind == "TIFF":
        own += _strip(image, pixels)
    elif plan.kind == "JPEG 2000":
        own += pixels * _JPEG2000_BAND * len(image.getbands())
    elif plan.kind in _BESIDE:
        beside, copies = _BESIDE[plan.kind]
        own += pixels * beside + plan.length * copies
    converted = image.mode != "RGB" or "transparency" in image.info
    if converted:
        own += min(pixels, BAND) * _CONVERTING
    return own + (converted + plan.turned) * _kept(image.size, plan.at_least)


def webp_memory(size: tuple[int, int], *, length: int, at_least: int | None) -> int:
    """The same for a WebP that is not yet open, for its decoder takes the memory when it is opened."""
    pixels = size[0] * size[1]
    beside, copies = _BESIDE["WEBP"]
    converting = min(pixels, BAND) * _CONVERTING
    return pixels * (beside + _WIDEST) + length * copies + converting + _kept(size, at_least)


def reduction(size: tuple[int, int], at_least: int | None) -> int:
    """By how much both sides can be averaged; twice the side that is needed is left.

    So averaging takes nothing from the resizing that follows.
    """
    return max(1, min(size) // (2 * at_least)) if at_least else 1


def _kept(size: tuple[int, int], at_least: int | None) -> int:
    factor = reduction(size, at_least)
    return -(-size[0] // factor) * -(-size[1] // factor) * _WIDEST


def _streams(file: IO[bytes]) -> bool:
    """Whether a JPEG is decoded row by row: no progressive one is, and none whose colours come in turn.

    Of the others, libjpeg keeps all coefficients at the original size, whatever size is asked for.
    """
    before = file.tell()
    try:
        file.seek(2)
        sequential, colours = False, 0
        while marker := _next_marker(file):
            head = file.read(2)
            length = int.from_bytes(head, "big")
            if marker == 0xDA:
                return sequential and file.read(1)[:1] == bytes([colours])
            if len(head) < 2 or length < 2:
                return False
            if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
                sequential = marker in {0xC0, 0xC1, 0xC9}
                colours = file.read(6)[-1:][0] if length >= 8 else 0
                length -= 6
            file.seek(length - 2, 1)
        return False
    except (IndexError, OSError):
        return False
    finally:
        file.seek(before)


def _next_marker(file: IO[bytes]) -> int:
    """The next marker's second byte, whatever stands before it; 0 at the end."""
    while byte := file.read(1):
        if byte == b"\xff":
            while (byte := file.read(1)) == b"\xff":
                pass
            if byte > b"\0":
                return byte[0]
    return 0


def _coefficients(layers: list[tuple[int, int, int, int]], size: tuple[int, int]) -> int:
    across = max([1, *(layer[1] for layer in layers)])
    down = max([1, *(layer[2] for layer in layers)])
    share = sum(layer[1] * layer[2] for layer in layers) / (across * down)
    return int((size[0] + _MCU) * (size[1] + _MCU) * 2 * share)


def _strip(image: ImageFile.ImageFile, pixels: int) -> int:
    """Bytes of the largest piece that libtiff decodes at once; a tile may be far larger than its image."""
    tags: Any = getattr(image, "tag_v2", {})

    def number(tag: int, default: int) -> int:
        value = tags.get(tag, default)
        return value if isinstance(value, int) and value > 0 else default

    if image.info.get("compression") == "raw":  # read in small pieces
        return 0
    if _TILE_WIDTH in tags:
        piece = number(_TILE_WIDTH, image.width) * number(_TILE_LENGTH, image.height)
    else:
        piece = min(pixels, image.width * number(_STRIP_ROWS, image.height))
    bits = tags.get(_BITS, (8,))
    depth = sum(bits) / 8 if isinstance(bits, tuple) else _WIDEST
    depth = max(depth, 1 if len(image.getbands()) == 1 else _WIDEST)
    if image.info.get("compression") == "jpeg":
        depth += 2 * _WIDEST  # its coefficients, where it is progressive
    return int(piece * depth)
