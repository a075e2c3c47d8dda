"""What figures show: questions, their answers, small pictures of them, and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from sterna.errors import PhotoError
from sterna.images import PhotoSource, open_photo

__all__ = ["Answer", "Section", "Table", "place", "thumbnail", "told"]


class Answer(Protocol):
    """What a figure shows of a hit; `sterna.library.Hit` is one."""

    @property
    def rank(self) -> int:
        """1 for the best."""

    @property
    def score(self) -> float:
        """The similarity, higher is better."""

    @property
    def alignment(self) -> float | None:
        """What re-ranking by regions and words found, which then goes before the score; `None` without."""

    @property
    def path(self) -> Path:
        """The photograph."""

    @property
    def also(self) -> Sequence[Path]:
        """Where the same file lies besides; may be empty."""

    @property
    def captions(self) -> Sequence[str]:
        """What is known to be on it; may be empty."""


@dataclass(frozen=True)
class Section:
    """One question and its answers.

    Arguments:
        title: the question, in words.
        answers: best first; may be empty.
        query_image: the photograph that was asked with, if one was.
        right: the right answer, shown before the others and apart from them, if there is one. Its rank is 0
            and its score not a number where it is not found.
        measure: how a score is told, as `str.format` takes it.
    """

    title: str
    answers: Sequence[Answer]
    query_image: PhotoSource | None = None
    right: Answer | None = None
    measure: str = "{:.3f}"


@dataclass(frozen=True)
class Table:
    """Figures in rows.

    Arguments:
        title: what they are.
        heads: what the columns are; may be empty.
        rows: texts, one for each column; the first says what the row is.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def place(answer: Answer) -> str:
    """An answer's rank in words."""
    return f"{answer.rank:,}" if answer.rank else "not found"


def told(answer: Answer, measure: str) -> str:
    """An answer's score in words; nothing where it has none."""
    return "" if math.isnan(answer.score) else measure.format(answer.score)


def thumbnail(source: PhotoSource, *, within: tuple[int, int]) -> Image.Image | str:
    """An upright RGB image of a photograph that fits `within`, or in words why there is none."""
    try:
        image = open_photo(source, at_least=min(within)).image
    except PhotoError as error:
        return error.reason
    image.thumbnail(within, Image.Resampling.LANCZOS)
    return image
