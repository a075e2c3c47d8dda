"""How large a photograph may be: its file, its pixels, and the memory that decoding them takes."""

from __future__ import annotations

import os

from sterna.errors import PhotoError, UsageError

__all__ = ["MAX_BYTES", "MAX_PIXELS", "check_bytes", "check_memory", "check_size", "pixel_limit"]

MAX_BYTES = 1 << 30  # several readers take the whole file into memory
"""Length of a file above which it is refused before it is read."""

MAX_PIXELS = 200_000_000
"""Width times height above which a photograph is refused before it is decoded, unless a user sets another."""

_VARIABLE = "STERNA_MAX_PIXELS"
_MAX_SIDE = 1_000_000
# Bytes of memory for each pixel of the limit: enough for a JPEG or PNG of so many, while formats that need
# three times as much, and photographs so thin that they stay whole, are refused earlier.
_BYTES_A_PIXEL = 5
_ALWAYS = 64_000_000  # bytes that decoding may take however low the limit


def pixel_limit() -> int:
    """The most pixels of a photograph: `MAX_PIXELS`, or what the variable `STERNA_MAX_PIXELS` says.

    Raises `UsageError` where the variable is not a whole number from 1.
    """
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        return MAX_PIXELS
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) > 0):
        raise UsageError(f"{_VARIABLE}={text!r}: a whole number of pixels is needed, such as 400000000")
    return int(text)


def check_bytes(size: int) -> None:
    """Raise `PhotoError` where a file of `size` bytes is too long to be read as a photograph."""
    if size > MAX_BYTES:
        length, limit = size / 1e9, MAX_BYTES / 1e9
        raise PhotoError(f"the file has {length:.1f} GB: more than the limit of {limit:.1f} GB")


def check_size(size: tuple[int, int], *, max_pixels: int) -> None:
    """Raise `PhotoError` where `size` (width, height) is more than `max_pixels`, or unreasonably long."""
    width, height = size
    if width * height > max_pixels:
        raise _refusal(f"{width} x {height} pixels: more than the limit of {max_pixels / 1e6:g} megapixels")
    if max(size) > _MAX_SIDE:
        raise PhotoError(f"{width} x {height} pixels: a side is longer than the limit of {_MAX_SIDE} pixels")


def check_memory(need: int, size: tuple[int, int], *, kind: str, max_pixels: int) -> None:
    """Raise `PhotoError` where decoding takes more bytes than are granted with `max_pixels`."""
    limit = max(_BYTES_A_PIXEL * max_pixels, _ALWAYS)
    if need > limit:
        what = f"decoding this {kind} takes {need // 1_000_000} MB of memory"
        limit //= 1_000_000
        raise _refusal(f"{size[0]} x {size[1]} pixels: {what}, more than the limit of {limit} MB")


def _refusal(reason: str) -> PhotoError:
    error = PhotoError(reason)
    error.__cause__ = MemoryError(reason)  # it may pass, as it does where a user sets a higher limit
    return error
