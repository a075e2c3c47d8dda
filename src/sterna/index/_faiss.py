"""Exact search in FAISS: three times as fast as NumPy on float16, over the same memory, not a copy."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.index._rows import Rows
from sterna.index._search import MARGIN, propose

__all__ = ["FaissProposer"]

_MANY_QUERIES = 16  # from here one matrix product for all queries is faster than a pass for each
_LARGE_K = 4096  # and FAISS's heap of this many is slower than sorting
_SPARE = 16  # candidates beyond K, so that equals at the cut are rarely asked for again


class FaissProposer:
    """A `Proposer` for one index: scans blocks of rows with FAISS (Douze et al. 2024, arXiv:2401.08281)."""

    def __init__(self) -> None:
        self._scanners: list[_Scanner] = []
        self._lock = threading.Lock()

    def __call__(
        self, rows: Rows, queries: NDArray[np.float32], k: int, keep: NDArray[np.bool_]
    ) -> list[NDArray[np.int64]]:
        """Candidates for each query as ascending row numbers; many queries at once go the way of NumPy."""
        if len(queries) >= _MANY_QUERIES or k > _LARGE_K:
            return propose(rows, queries, k, keep)
        faiss: Any = import_module("faiss")

        with self._lock:
            self._scanners.extend(_Scanner(block) for block in rows.sealed[len(self._scanners) :])
            scanners = self._scanners[: len(rows.sealed)]  # others may have seen blocks that came later
        norm = rows.norm_bound()
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # for one query, waking threads costs more than they save
        try:
            return [_candidates(scanners, query[None], k, keep, norm=norm) for query in queries]
        finally:
            faiss.omp_set_num_threads(threads)


class _Scanner:
    """A FAISS index whose codes are the memory of a block of rows [n, E]."""

    def __init__(self, block: NDArray[Any]) -> None:
        faiss: Any = import_module("faiss")

        self.count, dim = block.shape
        self._block = block  # FAISS looks at its memory
        if block.dtype == np.float16:
            kind = faiss.ScalarQuantizer.QT_fp16
            self._faiss = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)
        else:
            self._faiss = faiss.IndexFlatIP(dim)
        codes = block.view(np.uint8).reshape(-1)
        try:
            nobody = self._faiss.codes.owner  # an empty pointer to an owner
            view = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(codes), codes.size, nobody)
            self._faiss.codes = view
            self._faiss.ntotal = self.count
        except (AttributeError, TypeError):  # a FAISS that cannot look at others' memory copies it
            self._faiss.add_sa_codes(codes.reshape(self.count, -1))

    def scan(
        self, query: NDArray[np.float32], k: int, mask: NDArray[np.bool_], *, slack: float
    ) -> NDArray[np.int64]:
        """Ascending rows within `mask` [n]: the K best for query [1, E], and all `slack` below the K-th."""
        faiss: Any = import_module("faiss")

        kept = int(np.count_nonzero(mask))
        if kept <= k:
            return np.flatnonzero(mask)
        parameters = None
        if kept < len(mask):
            bits = np.packbits(mask, bitorder="little")
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        wanted = min(kept, k + _SPARE)
        while wanted <= _LARGE_K + _SPARE:
            scores, numbers = self._faiss.search(query, wanted, params=parameters)
            if wanted == kept or scores[0, -1] < scores[0, k - 1] - slack:
                return np.sort(numbers[0][numbers[0] >= 0])
            wanted = min(kept, wanted * 4)
        return np.flatnonzero(mask)  # thousands of equals: all are candidates


def _candidates(
    scanners: list[_Scanner], query: NDArray[np.float32], k: int, keep: NDArray[np.bool_], *, norm: float
) -> NDArray[np.int64]:
    slack = MARGIN * norm * float(np.linalg.norm(query))
    found = []
    start = 0
    for scanner in scanners:
        found.append(start + scanner.scan(query, k, keep[start : start + scanner.count], slack=slack))
        start += scanner.count
    found.append(start + np.flatnonzero(keep[start:]))  # the tail is short: all of it is a candidate
    return np.concatenate(found)
