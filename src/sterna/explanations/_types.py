"""What an explanation holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Area", "Explanation", "Method", "Word"]

Method = Literal["occlusion", "alignment"]
Area = tuple[float, float, float, float]
"""Left, top, right and bottom, in 0..1 of an upright photograph."""

_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Word:
    """One word of the sentence.

    Fields:
        text: as it stands in the sentence.
        span: where it begins and ends there.
        contribution: how much the score falls when the word is left out; negative where it rises.
        share: its part of all contributions that are positive, 0..1; 0 where its own is not.
        score: of the photograph for the word by itself.
        cells: [rows, cols], float32: where the photograph speaks for the word: the mean of what each cell
            contributes to `contribution` and, brought to the same size, to `score`.
    """

    text: str
    span: tuple[int, int]
    contribution: float
    share: float
    score: float
    cells: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which parts of a photograph speak for a sentence, and for each of its words.

    Fields:
        model: the encoder's name.
        sentence: what was asked.
        method: "occlusion" or "alignment"; see `explain`.
        score: the photograph's score for the sentence, a cosine, or the model's alignment.
        cells: [rows, cols], float32: what each cell contributes to the score; negative where it speaks
            against the sentence.
        words: in the order of the sentence.
        area: of the photograph that the grid covers: what the model looks at. With a model that puts a
            photograph between bars, the grid of an alignment reaches beyond 0..1.
        boxes: [rows, cols, 4], float32: left, top, right and bottom of each cell, in 0..1 of the upright
            photograph; a cell that lies wholly beside it is a line at its border.
    """

    model: str
    sentence: str
    method: Method
    score: float
    cells: NDArray[np.float32]
    words: tuple[Word, ...]
    area: Area
    boxes: NDArray[np.float32]

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "schema": 1,
            "model": self.model,
            "sentence": self.sentence,
            "method": self.method,
            "score": round(self.score, _DIGITS),
            "area": [round(side, _DIGITS) for side in self.area],
            "cells": _rounded(self.cells),
            "words": [
                {
                    "word": word.text,
                    "span": list(word.span),
                    "contribution": round(word.contribution, _DIGITS),
                    "share": round(word.share, _DIGITS),
                    "score": round(word.score, _DIGITS),
                    "cells": _rounded(word.cells),
                }
                for word in self.words
            ],
            "boxes": _rounded(self.boxes),
        }


def _rounded(values: NDArray[np.float32]) -> Any:
    return np.round(values.astype(np.float64), _DIGITS).tolist()
