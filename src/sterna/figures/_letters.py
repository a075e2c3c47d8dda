"""Text that is drawn into pictures."""

from __future__ import annotations

from bisect import bisect_right

from PIL import ImageFont

from sterna.words import printable

__all__ = ["fit", "font", "wrapped"]

_LONGEST = 400  # characters of a text that are looked at; more never fit


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Letters of that many pixels."""
    return ImageFont.load_default(size)


def fit(text: str, width: int, *, size: int) -> str:
    """Shorten `text` to `width` pixels, with an ellipsis where something was left out."""
    shown = printable(text[:_LONGEST])
    letters = font(size)
    if len(text) <= _LONGEST and letters.getlength(shown) <= width:
        return shown
    cuts = range(len(shown) + 1)
    too_long = bisect_right(cuts, float(width), key=lambda cut: letters.getlength(f"{shown[:cut]}…"))
    return f"{shown[: max(too_long - 1, 0)]}…"


def wrapped(text: str, width: int, *, size: int, lines: int) -> list[str]:
    """Break `text` at its spaces into at most so many lines of `width` pixels; the last one is shortened."""
    letters, found, words = font(size), [""], printable(text[: lines * _LONGEST]).split()
    for place, word in enumerate(words):
        longer = f"{found[-1]} {word}".strip()
        if not found[-1] or letters.getlength(longer) <= width:
            found[-1] = longer
        elif len(found) == lines:
            found[-1] = f"{found[-1]} {' '.join(words[place:])}"
            break
        else:
            found.append(word)
    return [fit(line, width, size=size) for line in found]
