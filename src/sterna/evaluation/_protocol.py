"""What is measured, and how: the gallery, the figures, the cut-offs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, UsageError, is_whole
from sterna.evaluation._hubs import Hubs
from sterna.evaluation._metrics import CUTOFFS, DEFAULT, chosen_metrics

__all__ = ["Protocol", "parse_folds"]

_FARTHEST = {"dot": 1.0, "order": 0.0}  # the score of what is at distance 0


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured, and how.

    Fields:
        folds: how many folds of how many consecutive images, each a gallery of its own with its own captions,
            whose figures are averaged; `None`: all images and captions are one gallery.
        at: the cut-offs.
        metrics: keys of `METRICS`; `returned` is added where a distance is cut off.
        min_score: answers that score less are not returned.
        max_distance: the same as a distance: 1 less the score of `dot`, the violation itself for `order`.
        hubs: a correction of hubs that is reported beside the plain figures.
        top: how many of the first answers are kept for each query.

    Raises `UsageError` where something is unknown or cannot be.
    """

    folds: tuple[int, int] | None = None
    at: tuple[int, ...] = CUTOFFS
    metrics: tuple[str, ...] = DEFAULT
    min_score: float | None = None
    max_distance: float | None = None
    hubs: Hubs | None = None
    top: int = 0

    def __post_init__(self) -> None:
        chosen_metrics(self.metrics, at=self.at)
        if self.folds is not None and not all(is_whole(number, least=1) for number in self.folds):
            raise UsageError(f"folds {self.folds}; at least 1 fold of at least 1 image is needed")
        if self.min_score is not None and self.max_distance is not None:
            raise UsageError("give a lowest score or a largest distance, not both")
        for name, value in (("min_score", self.min_score), ("max_distance", self.max_distance)):
            if value is not None and not np.isfinite(value):
                raise UsageError(f"{name} is {value:g}; a finite number is needed")
        if not is_whole(self.top, least=0):
            raise UsageError(f"top={self.top!r}; a whole number is needed, 0 for none")

    @property
    def name(self) -> str:
        """`full` or `folds:FxN`."""
        return "full" if self.folds is None else f"folds:{self.folds[0]}x{self.folds[1]}"

    @property
    def figures(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        cut = self.min_score is not None or self.max_distance is not None
        return (*self.metrics, "returned") if cut and "returned" not in self.metrics else self.metrics

    def lowest_score(self, score: str) -> float | None:
        """The lowest score that is returned; raises `UsageError` where a score has no distance."""
        if self.max_distance is None:
            return self.min_score
        if score not in _FARTHEST:
            raise UsageError(f"the score {score!r} has no distance; give a lowest score instead")
        return _FARTHEST[score] - self.max_distance

    def parts(
        self, owners: NDArray[np.int64], *, images: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The positions of images and captions of each gallery; `DataError` where there are too few."""
        if self.folds is None:
            yield np.arange(images), np.arange(len(owners))
            return
        count, size = self.folds
        if images < count * size:
            raise DataError(f"{self.name} needs {count * size:,} images; there are {images:,}")
        for fold in range(count):
            captions = np.flatnonzero(owners // size == fold)
            if not len(captions):
                raise DataError(f"{self.name}: fold {fold + 1} has no captions")
            yield np.arange(fold * size, (fold + 1) * size), captions


def parse_folds(text: str) -> tuple[int, int] | None:
    """The folds that a protocol's name means: `full` or `folds:5x1000`; raises `UsageError` for another."""
    if text == "full":
        return None
    match = re.fullmatch(r"folds:([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", text)
    if match is None:
        raise UsageError(f"protocol {text!r}; known: full, and folds:FxN such as folds:5x1000")
    return int(match[1]), int(match[2])
