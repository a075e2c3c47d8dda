"""What callers hand over, checked before anything is done: each fault is one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError, check_finite, check_whole, is_finite, is_whole

__all__ = [
    "check_filters",
    "check_k",
    "check_likeness",
    "check_min_score",
    "check_offset",
    "check_paths",
    "check_patterns",
    "check_rerank",
    "check_watching",
    "checked_vector",
    "given_sentences",
    "weighted",
]


def check_paths(*paths: object) -> None:
    """Raise `UsageError` for what is no path, and for an empty one, which would mean the working folder."""
    for path in paths:
        if not isinstance(path, str | Path):
            raise UsageError(f"{path!r}: not a path; name a folder, each as an argument of its own")
        if path == "":
            raise UsageError("an empty path; name a folder (. for this one)")


def check_k(k: object) -> None:
    """Raise `UsageError` where `k` is no whole number of at least 1."""
    check_whole("k", k, least=1)


def check_offset(offset: object) -> None:
    """Raise `UsageError` where `offset` is no whole number of at least 0."""
    check_whole("offset", offset, least=0, hint=", 0 for the first hits")


def check_filters(
    *, orientation: tuple[object, Sequence[str]], sizes: Mapping[str, object], texts: Mapping[str, object]
) -> None:
    """Raise `UsageError` for a shape that is not known, a size that is no count, a text that is empty."""
    shape, known = orientation
    if shape is not None and shape not in known:
        raise UsageError(f"orientation={shape!r} is not known; known: {', '.join(sorted(known))}")
    for name, size in sizes.items():
        if size is not None and not is_whole(size, least=1):
            raise UsageError(f"{name}={size!r}: a whole number of pixels is needed, such as 1920")
    for name, text in texts.items():
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise UsageError(f"{name}={text!r}: a text is needed, such as 'beach'")


def checked_vector(vector: NDArray[Any]) -> NDArray[np.float32]:
    """A vector [E] brought to unit length; `UsageError` where it is none, or points nowhere."""
    if vector.ndim != 1 or vector.dtype.kind not in "fiu":
        raise UsageError(
            f"a vector of numbers [E] is needed; an array {list(vector.shape)} of {vector.dtype} came"
        )
    wide = vector.astype(np.float64)
    largest = float(np.abs(wide).max(initial=0.0))
    if not 0 < largest < math.inf:
        raise UsageError("a vector of finite numbers, not all of them 0, is needed")
    wide /= largest  # so that no square is too large or too small for a number
    return (wide / np.linalg.norm(wide)).astype(np.float32)


def check_rerank(rerank: object) -> None:
    """Raise `UsageError` where `rerank` is no whole number of at least 0."""
    check_whole("rerank", rerank, least=0, hint=", 0 for none")


def check_min_score(score: object) -> None:
    """Raise `UsageError` where a least score is no finite number; `None` is none, "model" the model's own."""
    if score is not None and score != "model":
        check_finite("min_score", score, hint=", or None")


def check_likeness(score: object) -> None:
    """Raise `UsageError` where a least score says nothing of likeness: it is above 0 and at most 1."""
    if not isinstance(score, Real) or not 0 < float(score) <= 1:
        raise UsageError(f"min_score={score!r}: a number above 0 and up to 1 is needed, such as 0.95")


def check_watching(debounce: object, poll: object) -> tuple[float, float | bool | None]:
    """Both as they are used; raise `UsageError` where one is no length of time above 0."""
    for name, value in (("debounce", debounce), ("poll", poll)):
        if name == "poll" and (value is None or isinstance(value, bool)):
            continue
        if not is_finite(value) or float(value) <= 0:
            raise UsageError(f"{name}={value!r}: a number of seconds above 0 is needed")
    return debounce, poll  # type: ignore[return-value]


def check_patterns(patterns: object) -> None:
    """Raise `UsageError` where something else came than a sequence of text."""
    if isinstance(patterns, str) or not isinstance(patterns, Sequence):
        raise UsageError(f"exclude={patterns!r}: a list of patterns is needed, such as ['*.gif']")
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise UsageError(f"exclude: {pattern!r} is no text; patterns are, such as '*.gif'")


def weighted(pairs: object, name: str) -> list[tuple[float, Any]]:
    """Pairs of a weight and what it weighs, as a list; raise `UsageError` for anything else."""
    needed = f"{name}: a list of (weight, what) is needed, such as [(0.5, 'sunset')]"
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise UsageError(f"{needed}; {pairs!r} came")
    checked: list[tuple[float, Any]] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise UsageError(f"{needed}; {pair!r} is in it")
        weight, what = pair
        checked.append((check_finite(f"{name}: weight", weight), what))
    return checked


def given_sentences(sentences: object) -> list[str]:
    """Sentences as a list; raise `UsageError` for a single text, which is none, and for what is no text."""
    if isinstance(sentences, str | bytes) or not isinstance(sentences, Iterable):
        raise UsageError(f"captions={sentences!r}: a list of sentences is needed, such as ['a dog']")
    texts = list(sentences)
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"captions: {text!r} is no text")
    return texts
