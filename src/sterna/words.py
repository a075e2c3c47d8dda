"""Text from outside, and counts of things, in words for a person."""

from __future__ import annotations

import unicodedata

__all__ = ["counted", "printable"]

_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}  # parts of emoji and of several scripts


def printable(text: object) -> str:
    r"""Give `str(text)` with everything escaped that could break a line, steer a terminal or not be encoded.

    Control and direction characters become `\n`, `\x1b`, `\u202e`; a byte of a name that is not UTF-8
    becomes `\xff`.
    Letters, signs, spaces and emoji of every script stay.
    """
    return "".join(_escaped(character) for character in str(text))


def counted(number: int, one: str, many: str | None = None) -> str:
    """A count of things for people: `1 photograph`, `12,345 photographs`; `many` where that is not `one`s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _UNPRINTABLE:
        return character
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
