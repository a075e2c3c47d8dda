"""Which answers are right for which queries: an image's own captions, or what people have judged.

Letters: Q queries, G gallery, A right answers in all, N images, C captions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError

__all__ = ["TOO_HIGH", "WAYS", "Relevance", "Way", "are_grades", "own_captions", "own_images"]

Way = Literal["i2t", "t2i"]
WAYS: tuple[Way, ...] = ("i2t", "t2i")
TOO_HIGH = 1000
"""of a grade: 2^1000 is near the largest number there is"""


@dataclass(frozen=True, eq=False)
class Relevance:
    """Right answers, query after query; a query may have none, and then it is not asked.

    Fields:
        offsets: int64 [Q + 1]; the right answers of query q are `answers[offsets[q]:offsets[q + 1]]`.
        answers: int64 [A], positions in the gallery, none twice for a query.
        grades: float64 [A], how right each is, above 0 and below 1000; 1 where nobody graded.
        gallery: G, how many items are looked through.
        name: where it is known from: the captions themselves, or a file.

    Raises `UsageError` for another grade.
    """

    offsets: NDArray[np.int64]
    answers: NDArray[np.int64]
    grades: NDArray[np.float64]
    gallery: int
    name: str = "captions"

    def __post_init__(self) -> None:
        bad = ~((self.grades > 0) & (self.grades < TOO_HIGH))
        if bad.any():
            raise UsageError(f"the grade {self.grades[bad][0]:g}; a number above 0 and below 1000 is needed")

    @classmethod
    def of(
        cls, right: Iterable[Mapping[int, float] | Iterable[int]], *, gallery: int, name: str = "given"
    ) -> Self:
        """Relevance from the right answers of each query in turn, graded (a mapping) or not.

        Grades of 0 and below mean "not right" and are left out. Raises `UsageError` where an answer is not a
        position in the gallery, or a grade is 1000 or more, or not a number.
        """
        counts: list[int] = []
        answers: list[int] = []
        grades: list[float] = []
        for each in right:
            graded = dict(each) if isinstance(each, Mapping) else dict.fromkeys(each, 1.0)
            kept = {answer: grade for answer, grade in graded.items() if not grade <= 0}  # NaN stays
            counts.append(len(kept))
            answers.extend(kept)
            grades.extend(kept.values())
        positions = np.array(answers) if answers else np.zeros(0, dtype=np.int64)
        if not np.issubdtype(positions.dtype, np.integer):
            raise UsageError(f"right answers are {positions.dtype}; whole numbers are needed, positions")
        if positions.size and (positions.min() < 0 or positions.max() >= gallery):
            reach = f"right answers reach from {positions.min()} to {positions.max()}"
            raise UsageError(f"{reach}; the gallery has {gallery} items")
        offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        return cls(offsets, positions.astype(np.int64), np.array(grades, dtype=np.float64), gallery, name)

    @property
    def asked(self) -> NDArray[np.int64]:
        """The queries that have a right answer, int64, ascending."""
        return np.flatnonzero(np.diff(self.offsets))

    def within(self, queries: NDArray[np.int64], gallery: NDArray[np.int64]) -> Self:
        """What is left where only these queries (ascending) look through only this part of the gallery."""
        place = np.full(self.gallery, -1, dtype=np.int64)
        place[gallery] = np.arange(len(gallery))
        counts = np.diff(self.offsets)
        taken = np.zeros(len(counts), dtype=bool)
        taken[queries] = True
        kept = np.repeat(taken, counts) & (place[self.answers] >= 0)
        of_query = np.repeat(np.arange(len(counts)), counts)[kept]
        left = np.bincount(of_query, minlength=len(counts))[queries]
        offsets = np.concatenate([[0], np.cumsum(left)]).astype(np.int64)
        return type(self)(offsets, place[self.answers[kept]], self.grades[kept], len(gallery), self.name)


def own_captions(owners: NDArray[np.int64], *, images: int) -> Relevance:
    """Images as queries: right are an image's own captions."""
    counts = np.bincount(owners, minlength=images)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    answers = np.argsort(owners, kind="stable").astype(np.int64)
    return Relevance(offsets, answers, np.ones(len(owners)), len(owners))


def own_images(owners: NDArray[np.int64], *, images: int) -> Relevance:
    """Captions as queries: right is the image that a caption belongs to."""
    return Relevance(np.arange(len(owners) + 1), owners, np.ones(len(owners)), images)


def are_grades(values: NDArray[np.floating[Any]]) -> bool:
    """Whether all are grades, 0 for what is not right."""
    return bool(((values >= 0) & (values < TOO_HIGH)).all())
