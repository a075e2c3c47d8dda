"""The registry of indexes and the choice between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.index._exact import ExactIndex
from sterna.index._faiss import FaissProposer
from sterna.index._protocol import Index
from sterna.index._rows import Rows
from sterna.index._search import propose

__all__ = ["FAISS_FROM", "KINDS", "build_index"]

KINDS: dict[str, Callable[[Rows], Index]] = {
    "faiss": lambda rows: ExactIndex(rows, FaissProposer()),
    "numpy": lambda rows: ExactIndex(rows, propose),
}
FAISS_FROM = 20_000  # below it NumPy answers in 5 ms, and importing FAISS alone costs several times that


def build_index(
    ids: NDArray[np.int64] | Sequence[NDArray[np.int64]],
    vectors: NDArray[Any] | Sequence[NDArray[Any]],
    *,
    kind: str = "auto",
) -> Index:
    """Make an index over vectors that stay where they are: memory maps are searched in place, never copied.

    Arguments:
        ids: int64 [N], or one such array for each matrix; -1 marks a row that holds nothing.
        vectors: float16 or float32 [N, E], C-contiguous, or several such matrices of one dtype and width.
            They are taken for finite.
        kind: "numpy", "faiss", or "auto" (FAISS from 20,000 vectors).

    Raises `UsageError` for an unknown kind, for matrices that do not fit each other or their ids, and where
    an id comes twice.
    """
    rows = Rows.over(ids, vectors)
    if kind == "auto":
        kind = "faiss" if rows.alive >= FAISS_FROM else "numpy"
    if kind not in KINDS:
        raise UsageError(f"kind={kind!r}: no such index; known are auto, {', '.join(sorted(KINDS))}")
    return KINDS[kind](rows)
