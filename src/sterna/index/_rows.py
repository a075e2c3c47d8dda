"""Vectors with their ids: sealed blocks that may be memory maps, and a tail that grows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sterna.errors import UsageError

__all__ = ["BLOCK", "HALF_SCALE", "Rows", "float32_rows"]

_SEAL = 16_384  # rows of the tail that become a sealed block
_SIGN_AND_MAGNITUDE = np.uint32(0x8FFFE000).view(np.int32)
BLOCK = 1024  # rows widened at a time: 2 MB of float32 at width 512, which stays in the cache
HALF_SCALE = np.float32(2.0**112)


def float32_rows(rows: NDArray[Any], out: NDArray[np.float32]) -> NDArray[np.float32]:
    """Widen finite float16 rows [n, E] into `out` [n, E] as float32 over `HALF_SCALE`; float32 rows pass.

    NumPy widens half floats one by one. Moving their sign, exponent and fraction to where float32 has them is
    four times faster; only the exponent's bias is then off, by 2**112, which the caller multiplies into the
    queries.
    """
    if rows.dtype == np.float32:
        return rows
    bits = out.view(np.int32)
    np.left_shift(rows.view(np.int16), 13, out=bits, dtype=np.int32, casting="unsafe")
    np.bitwise_and(bits, _SIGN_AND_MAGNITUDE, out=bits)
    return out


class Rows:
    """The rows of an index, numbered through all blocks; a row of id -1 holds nothing.

    One thread writes at a time; others read meanwhile from a `view`, of which nothing is changed: rows are
    only ever added behind those in use, and ids are copied before one of them is taken away.

    Arguments:
        dim: E, the width of a vector.
        dtype: float16 or float32.
    """

    def __init__(self, dim: int, *, dtype: DTypeLike = np.float32) -> None:
        self.dim = int(dim)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float16), np.dtype(np.float32)):
            raise UsageError(f"vectors of {self.dtype} cannot be indexed; float16 or float32 can")
        if self.dim < 1:
            raise UsageError(f"dim={dim}: vectors need at least one number")
        self.sealed: list[NDArray[Any]] = []
        self.alive = 0
        self._ids = np.empty(0, np.int64)  # with room for more behind the rows in use
        self._used = 0
        self._tail = np.empty((0, self.dim), self.dtype)
        self._tail_used = 0
        self._tail_norm = 0.0
        self._norms: dict[int, float] = {}  # of sealed blocks, by number; filled in by all views together
        self._row_of: dict[int, int] | None = None  # made when something is first written

    @classmethod
    def over(
        cls,
        ids: NDArray[np.int64] | Sequence[NDArray[np.int64]],
        vectors: NDArray[Any] | Sequence[NDArray[Any]],
    ) -> Rows:
        """Rows over matrices that are not copied; see `build_index` for the arguments."""
        matrices = [vectors] if isinstance(vectors, np.ndarray) else list(vectors)
        names = [ids] if isinstance(vectors, np.ndarray) else list(ids)
        if not matrices or any(matrix.ndim != 2 for matrix in matrices):
            raise UsageError("an index is built from one matrix [N, E] of vectors or more")
        if len({(matrix.dtype, matrix.shape[1]) for matrix in matrices}) > 1:
            raise UsageError("the vectors of one index have one dtype and one width")
        if [np.shape(name) for name in names] != [(len(matrix),) for matrix in matrices]:
            raise UsageError("every matrix of vectors [N, E] needs its ids [N]")
        rows = cls(matrices[0].shape[1], dtype=matrices[0].dtype)
        # a plain view: every operation on a np.memmap makes another np.memmap, slowly
        rows.sealed = [np.ascontiguousarray(matrix).view(np.ndarray) for matrix in matrices if len(matrix)]
        rows._ids = np.concatenate([np.asarray(name, np.int64) for name in names])
        rows._used = len(rows._ids)
        living = rows._ids[rows._ids >= 0]
        rows.alive = len(living)
        if len(living) and (np.diff(np.sort(living)) == 0).any():
            raise UsageError("an id comes twice; every vector of an index has an id of its own")
        return rows

    @property
    def ids(self) -> NDArray[np.int64]:
        """The id of every row, -1 where it holds nothing: int64 [rows], not a copy."""
        return self._ids[: self._used]

    def view(self) -> Rows:
        """The rows as they are now, to be read while they are written to."""
        rows = copy(self)
        rows.sealed = list(self.sealed)
        return rows

    def norm_bound(self) -> float:
        """A length that no row exceeds; several times that of the longest at most, for usual vectors."""
        for number in range(len(self.sealed)):
            if number not in self._norms:
                self._norms[number] = _norm_bound(self.sealed[number])
        return max([self._tail_norm, *(self._norms[number] for number in range(len(self.sealed)))])

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Every block with the number of its first row, the tail last."""
        start = 0
        for block in self.sealed:
            yield start, block
            start += len(block)
        if self._tail_used:
            yield start, self._tail[: self._tail_used]

    def take(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of the rows of these ascending numbers, [n, E] in the index's dtype."""
        taken = np.empty((len(numbers), self.dim), self.dtype)
        for start, block in self.blocks():
            first, last = np.searchsorted(numbers, [start, start + len(block)])
            taken[first:last] = block[numbers[first:last] - start]
        return taken

    def upsert(self, ids: NDArray[np.int64], vectors: NDArray[Any]) -> None:
        """See `Index.upsert`."""
        ids, vectors = np.asarray(ids, np.int64), np.asarray(vectors)
        if ids.ndim != 1 or vectors.shape != (len(ids), self.dim):
            shapes = f"ids {list(ids.shape)} and vectors {list(vectors.shape)}"
            raise UsageError(f"{shapes} do not fit an index of width {self.dim}")
        if (ids < 0).any():
            raise UsageError("an id below zero came; ids are zero and above")
        with np.errstate(over="ignore"):
            rows = vectors.astype(self.dtype)
        if not np.isfinite(rows).all():
            raise UsageError(f"a vector holds numbers that are not finite in {self.dtype}")
        last = len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]
        ids, rows = ids[last], rows[last]
        self.delete(ids)
        self._append(ids, rows)

    def delete(self, ids: NDArray[np.int64]) -> int:
        """See `Index.delete`."""
        if self._row_of is None:
            numbers = np.flatnonzero(self.ids >= 0)
            self._row_of = dict(zip(self.ids[numbers].tolist(), numbers.tolist(), strict=True))
        gone = [self._row_of.pop(name) for name in set(np.asarray(ids).tolist()) if name in self._row_of]
        if gone:
            self._ids = self._ids.copy()  # views have the other
            self._ids[gone] = -1
        self.alive -= len(gone)
        return len(gone)

    def snapshot(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """See `Index.snapshot`."""
        numbers = np.flatnonzero(self.ids >= 0)
        ids = self.ids[numbers]
        order = np.argsort(ids)
        return ids[order], self.take(numbers)[order]

    def _append(self, ids: NDArray[np.int64], rows: NDArray[Any]) -> None:
        assert self._row_of is not None
        self._row_of.update(zip(ids.tolist(), range(self._used, self._used + len(ids)), strict=True))
        self._ids = _with_room(self._ids, self._used, len(ids))
        self._ids[self._used : self._used + len(ids)] = ids
        self._used += len(ids)
        self.alive += len(ids)
        self._tail = _with_room(self._tail, self._tail_used, len(ids))
        self._tail[self._tail_used : self._tail_used + len(ids)] = rows
        self._tail_used += len(ids)
        self._tail_norm = max(self._tail_norm, _norm_bound(rows))
        if self._tail_used >= _SEAL:
            self._norms[len(self.sealed)] = self._tail_norm
            self.sealed.append(self._tail[: self._tail_used].copy())
            self._tail, self._tail_used, self._tail_norm = np.empty((0, self.dim), self.dtype), 0, 0.0


def _norm_bound(rows: NDArray[Any]) -> float:
    """What no row [n, E] is longer than: the root of E times the largest number, found by its bits.

    As whole numbers floats of one sign are in order, and comparing those is three times as fast as norms are.
    """
    if not len(rows):
        return 0.0
    bits = 8 * rows.dtype.itemsize
    signed, unsigned = rows.view(f"i{bits // 8}"), rows.view(f"u{bits // 8}")
    sign = 1 << (bits - 1)
    largest = 0
    for start in range(0, len(rows), BLOCK):
        positive, negative = (
            int(signed[start : start + BLOCK].max()),
            int(unsigned[start : start + BLOCK].max()),
        )
        largest = max(largest, positive, negative - sign)
    value = np.array(largest, unsigned.dtype).view(rows.dtype)
    return math.sqrt(rows.shape[1]) * float(value)


def _with_room(array: NDArray[Any], used: int, more: int) -> NDArray[Any]:
    """`array` where its first `used` rows have `more` behind them, else a copy of twice the size."""
    if used + more <= len(array):
        return array
    larger = np.empty((max(2 * used, used + more, 64), *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger
