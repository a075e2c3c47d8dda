"""The exact index: rows, a way to propose candidates among them, and the scoring that all proposals share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.index._rows import Rows
from sterna.index._search import Proposer, search

__all__ = ["ExactIndex"]


class ExactIndex:
    """An `Index` over rows that stay where they are.

    Arguments:
        rows: what it searches; `Rows(dim)` starts empty, `build_index` starts with vectors.
        proposer: finds candidates fast; see `sterna.index._search.search`.
    """

    def __init__(self, rows: Rows, proposer: Proposer) -> None:
        self._rows = rows
        self._proposer = proposer
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
        return search(self._rows, queries, k, allow=allow, proposer=self._proposer)

    def count(self) -> int:
        """See `Index.count`."""
        return self._rows.alive

    def snapshot(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """See `Index.snapshot`."""
        return self._rows.snapshot()
