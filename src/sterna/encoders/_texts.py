"""Sentences of all lengths go through a text network in batches of like length and come back in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError

__all__ = ["as_sentence", "as_sentences", "encode_sorted"]

T = TypeVar("T")

_LETTERS_A_TOKEN = 200  # the longest word that any of the usual tokenizers keeps whole is shorter


def as_sentences(sentences: Sequence[str] | str, *, max_tokens: int) -> list[str]:
    """A list of sentences of one or of several, each valid Unicode and of bounded length.

    Lone surrogates, which file names and damaged data bring, become question marks, for tokenizers refuse
    them; what lies far beyond `max_tokens` is cut before it costs time.

    Raises `UsageError` where something else than a sentence comes.
    """
    try:
        items = [sentences] if isinstance(sentences, str | bytes) else list(sentences)
    except TypeError:
        kind = type(sentences).__name__
        raise UsageError(f"sentences are texts, alone or in a list; a {kind} came") from None
    for number, item in enumerate(items):
        if not isinstance(item, str):
            raise UsageError(
                f"sentence {number + 1} of {len(items)}: text is needed, a {type(item).__name__} came"
            )
    letters = _LETTERS_A_TOKEN * max_tokens
    return [item[:letters].encode("utf-8", "replace").decode("utf-8") for item in items]


def as_sentence(sentence: str) -> str:
    """The sentence itself; raises `UsageError` where something else came, several sentences say."""
    if not isinstance(sentence, str):
        raise UsageError(f"one sentence is needed; a {type(sentence).__name__} came")
    return sentence


def encode_sorted(
    tokens: Sequence[T],
    *,
    length: Callable[[T], int],
    network: Callable[[list[T]], NDArray[np.float32]],
    dim: int,
    batch: int,
) -> NDArray[np.float32]:
    """Run `network` over items of like `length`, `batch` at a time; returns `[M, dim]` in the given order."""
    vectors = np.empty((len(tokens), dim), dtype=np.float32)
    order = sorted(range(len(tokens)), key=lambda place: length(tokens[place]))
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        vectors[places] = network([tokens[place] for place in places])
    return vectors
