"""A least score: photographs that score less for a sentence seldom show what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, UsageError
from sterna.evaluation._blocks import finite_rows
from sterna.evaluation._ranks import checked_owners
from sterna.scoring import Vectors, dot

__all__ = ["Threshold", "check_recall", "choose_threshold"]

_BLOCK = 1 << 24  # scores held at a time
_PLACES = 1_000  # a threshold is rounded down to thousandths


@dataclass(frozen=True)
class Threshold:
    """A least score for finding images by captions, and what it does to captioned images.

    Fields:
        score: the least score.
        recall: the share of captions whose own image scores as much.
        precision: of all images that score as much for a caption, the share that are its own. Others may
            well show what it says: they count as wrong, so this is the least that precision can be.
        hidden: the share of the other images that score less.
        images, captions: how many it was chosen on.
    """

    score: float
    recall: float
    precision: float
    hidden: float
    images: int
    captions: int


def check_recall(recall: float, name: str = "recall") -> None:
    """Raise `UsageError` that names the argument where `recall` is no share above 0."""
    if not 0 < recall <= 1:
        raise UsageError(f"{name}={recall:g}: must be above 0 and at most 1, such as 0.9")


def choose_threshold(
    image_vectors: Vectors, text_vectors: Vectors, owners: NDArray[np.integer[Any]], *, recall: float = 0.9
) -> Threshold:
    """The highest least score, in thousandths, at which so many captions still find their own image.

    Arguments:
        image_vectors: [N, E]; a row that is not finite, and its captions, do not count.
        text_vectors: [C, E]; the same.
        owners: integers [C], the position of each caption's image.
        recall: above 0, at most 1.

    Raises `UsageError` for another `recall`, `DataError` where no caption and its image are left.
    """
    check_recall(recall)
    images, captions = np.asarray(image_vectors), np.asarray(text_vectors)
    places = checked_owners(owners, images=images, captions=captions)
    seen = finite_rows(images)
    read = finite_rows(captions) & seen[places]
    if not read.any():
        raise DataError("there is no caption whose image can be read, and so no score to choose from")
    captions, own = captions[read], (np.cumsum(seen) - 1)[places[read]]
    images = images[seen]
    step = max(1, _BLOCK // len(images))
    blocks = [slice(start, start + step) for start in range(0, len(captions), step)]
    of_own = np.concatenate([_own(captions[block], images, own[block]) for block in blocks])
    lowest = np.sort(of_own)[::-1][int(np.ceil(recall * len(of_own))) - 1]
    limit = float(np.floor(lowest * _PLACES) / _PLACES)
    shown = sum(int((dot(captions[block], images) >= limit).sum()) for block in blocks)
    right, others = int((of_own >= limit).sum()), len(captions) * (len(images) - 1)
    return Threshold(
        score=limit,
        recall=right / len(captions),
        precision=right / shown,
        hidden=1 - (shown - right) / others if others else 1.0,
        images=len(images),
        captions=len(captions),
    )


def _own(captions: Vectors, images: Vectors, own: NDArray[np.int64]) -> Vectors:
    scores: Vectors = dot(captions, images)[np.arange(len(captions)), own]
    return scores
