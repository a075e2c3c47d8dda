"""Exact search in NumPy: nothing to import, fast enough for tens of thousands of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.index._rows import Rows
from sterna.index._search import propose, search

__all__ = ["NumpyIndex"]


class NumpyIndex:
    """An `Index` of matrix products over blocks of rows.

    Arguments:
        rows: what it searches; `NumpyIndex(Rows(dim))` starts empty, `build_index` starts with vectors.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.dim = rows.dim

    def upsert(self, ids: NDArray[np.int64], vectors: NDArray[Any]) -> None:
        """See `Index.upsert`."""
        self._rows.upsert(ids, vectors)

    def delete(self, ids: NDArray[np.int64]) -> int:
        """See `Index.delete`."""
        return self._rows.delete(ids)

    def search(
        self, queries: NDArray[Any], k: int, *, allow: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `Index.search`."""
        return search(self._rows, queries, k, allow=allow, proposer=propose)

    def count(self) -> int:
        """See `Index.count`."""
        return self._rows.alive

    def snapshot(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """See `Index.snapshot`."""
        return self._rows.snapshot()
