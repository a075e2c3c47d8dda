"""What figures show: questions, their answers, and small pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from sterna.errors import PhotoError
from sterna.images import PhotoSource, open_photo

__all__ = ["Answer", "Section", "thumbnail"]


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
    def captions(self) -> Sequence[str]:
        """What is known to be on it; may be empty."""


@dataclass(frozen=True)
class Section:
    """One question and its answers.

    Arguments:
        title: the question, in words.
        answers: best first; may be empty.
        query_image: the photograph that was asked with, if one was.
    """

    title: str
    answers: Sequence[Answer]
    query_image: PhotoSource | None = None


def thumbnail(source: PhotoSource, *, within: tuple[int, int]) -> Image.Image | str:
    """An upright RGB image of a photograph that fits `within`, or in words why there is none."""
    try:
        image = open_photo(source, at_least=min(within)).image
    except PhotoError as error:
        return error.reason
    image.thumbnail(within, Image.Resampling.LANCZOS)
    return image
