"""The words of a sentence as a person sees them, and the sentence without each."""

from __future__ import annotations

import unicodedata

from sterna.errors import UsageError

__all__ = ["left_out", "spans"]

_MOST = 100  # words: each costs a sentence to encode, and models read few more
_WITHIN = frozenset("'\N{RIGHT SINGLE QUOTATION MARK}-.,_")  # part of a word between two of its letters


def spans(sentence: str) -> list[tuple[int, int]]:
    """Where each word of a sentence begins and ends, punctuation apart; at least one.

    Letters, digits, signs and emoji make words; `t-shirt`, `don't` and `1,000` are one each.
    Raises `UsageError` where the sentence is no text, has no word, or has more than 100.
    """
    if not isinstance(sentence, str):
        raise UsageError(f"one sentence is needed; a {type(sentence).__name__} came")
    found: list[tuple[int, int]] = []
    start: int | None = None
    for place in range(len(sentence) + 1):
        if place < len(sentence) and _belongs(sentence, place):
            start = place if start is None else start
        elif start is not None:
            found.append((start, place))
            start = None
    if not found:
        raise UsageError(f"{sentence!r}: has no word; write what the photograph may show")
    if len(found) > _MOST:
        raise UsageError(f"a sentence of {len(found)} words: at most {_MOST} can be explained")
    return found


def left_out(sentence: str, span: tuple[int, int]) -> str:
    """The sentence without one of its words."""
    return " ".join((sentence[: span[0]] + sentence[span[1] :]).split())


def _belongs(text: str, place: int) -> bool:
    """Whether a character is part of a word."""
    character = text[place]
    if character in _WITHIN:
        around = text[place - 1 : place] + text[place + 1 : place + 2]
        if character in ".,":
            return len(around) == 2 and around.isdecimal()
        return len(around) == 2 and around.isalnum()
    if character == "\N{ZERO WIDTH JOINER}":  # holds an emoji together
        return True
    return unicodedata.category(character)[0] in "LMNS"
