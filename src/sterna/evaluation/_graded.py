"""NDCG by a whole matrix of grades, of every caption with every image, as TERN and TERAN measure it.

Letters: N images, C captions, K cut-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError, is_whole
from sterna.evaluation._blocks import Adjust, first_of, scored_blocks
from sterna.evaluation._metrics import Values, gains_of
from sterna.evaluation._relevance import are_grades
from sterna.scoring import Score, Vectors, dot

__all__ = ["graded_ndcg"]


def graded_ndcg(
    image_vectors: Vectors,
    text_vectors: Vectors,
    grades: NDArray[np.floating[Any]],
    *,
    at: Sequence[int] = (25,),
    block: int = 1024,
    score: Score = dot,
    adjust: Adjust | None = None,
    min_score: float | None = None,
) -> dict[int, Values]:
    """NDCG at some cut-offs for every caption as query; ties against the model: of equals, lower grades lead.

    The gain is 2^grade - 1, the discount log2(1 + rank), the share is of the best that K images could give.

    Arguments:
        image_vectors, text_vectors: [N, E] and [C, E].
        grades: [C, N], how right each image is for each caption, 0 for not at all; may lie on disk, for a
            block of rows is read at a time.
        at: the cut-offs.
        block, score, adjust, min_score: as in `rank_both_ways`.

    Returns by cut-off float64 [C]; NaN for a caption without any image above 0.
    Raises `UsageError` where the shape does not fit or a grade is negative or not a number.
    """
    shape = (len(text_vectors), len(image_vectors))
    if grades.shape != shape:
        raise UsageError(f"grades have the shape {grades.shape}; [captions, images] {shape} is needed")
    if not at or not all(is_whole(cutoff, least=1) for cutoff in at):
        raise UsageError(f"cut-offs {list(at)}; whole numbers from 1 are needed, such as 25")
    deepest = min(max(at), shape[1])
    discounts = 1 / np.log2(np.arange(deepest) + 2.0)
    found = {cutoff: np.full(shape[0], np.nan) for cutoff in at}
    for part, scores in scored_blocks(
        text_vectors, image_vectors, np.arange(shape[0]), block=block, score=lambda c, i: score(i, c).T,
        adjust=adjust, min_score=min_score,
    ):  # fmt: skip
        rows = np.asarray(grades[part], dtype=np.float64)
        if not are_grades(rows):
            raise UsageError("a grade is negative, 1000 or more, or not a number; grades from 0 are needed")
        for query, row, values in zip(range(part.start, part.stop), rows, scores, strict=True):
            first = first_of(values, row, deepest)
            gained = gains_of(row[first]) * discounts[: len(first)]
            best = gains_of(-np.sort(-row)[:deepest]) * discounts
            for cutoff in at:
                ideal = best[:cutoff].sum()
                found[cutoff][query] = gained[:cutoff].sum() / ideal if ideal > 0 else np.nan
    return found
