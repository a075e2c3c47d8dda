"""The exact index: rows, a way to propose candidates among them, and the scoring that all proposals share."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.index._rows import Rows
from sterna.index._search import Proposer, search

__all__ = ["ExactIndex"]


class ExactIndex:
    """An `Index` over rows that stay where they are.

    A search works on the rows as they are when it begins; while it goes on, others search and one may write.

    Arguments:
        rows: what it searches; `Rows(dim)` starts empty, `build_index` starts with vectors.
        proposer: finds candidates fast; see `sterna.index._search.search`.
    """

    def __init__(self, rows: Rows, proposer: Proposer) -> None:
        self._rows = rows
        self._proposer = proposer
        self._lock = threading.Lock()
        self.dim = rows.dim

    def upsert(self, ids: NDArray[np.int64], vectors: NDArray[Any]) -> None:
        """See `Index.upsert`."""
        with self._lock:
            self._rows.upsert(ids, vectors)

    def delete(self, ids: NDArray[np.int64]) -> int:
        """See `Index.delete`."""
        with self._lock:
            return self._rows.delete(ids)

    def search(
        self, queries: NDArray[Any], k: int, *, allow: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `Index.search`."""
        return search(self._view(), queries, k, allow=allow, proposer=self._proposer)

    def count(self) -> int:
        """See `Index.count`."""
        return self._rows.alive

    def snapshot(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """See `Index.snapshot`."""
        return self._view().snapshot()

    def _view(self) -> Rows:
        with self._lock:
            return self._rows.view()
