"""Groups of near vectors, each around one of them: all pairs are compared, and none is kept.

A vector joins the first of the order that is near enough, if that one has not joined another itself. So every
member is as near to its group's first as was asked for, whatever lies between: a row of vectors, each near
the next alone, is no group.

Comparing N vectors of width E takes N * N * E / 2 multiplications. Most are saved, exactly: of two vectors
split into their parts in a plane of few directions and the rests, the product is at most that of the parts
plus that of the rests' lengths (Cauchy and Schwarz). With the directions in which the vectors spread most,
this bound, of few numbers a vector, rules out nearly every pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.index._rows import BLOCK, Rows
from sterna.index._search import MARGIN, exact_scores

__all__ = ["near_groups"]

_DIRECTIONS = (32, 64, 128, 256)  # of which the first is taken that leaves few pairs
_FEW = 1e-4  # of the pairs of a sample's last rows, beside those that are near indeed
_SAMPLE = 4096  # rows whose spread chooses the directions
_SPARE = 1e-5  # added to a rest's squared length, for what rounding takes away
_MANY = 0.01  # the share of pairs left by the bound from which whole products are cheaper than one by one


def near_groups(
    ids: NDArray[np.int64] | Sequence[NDArray[np.int64]],
    vectors: NDArray[Any] | Sequence[NDArray[Any]],
    *,
    min_score: float,
    order: NDArray[np.int64] | None = None,
    kinds: NDArray[np.int64] | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Group vectors by their inner products, in at most 1.1 kB of memory for each beside the vectors.

    Arguments:
        ids, vectors: as `build_index` takes them.
        min_score: the least inner product of a member with its group's first.
        order: int64 [A], different ids that are there, those first that others should join; the rest is left
            out. `None` is the order in which they lie.
        kinds: int64 [A] in that order: vectors of different kinds of 0 and above do not join each other; -1
            is any kind.
        report: told now and then how many of how many vectors are dealt with.

    Returns the groups of two and more in that order: int64 ids [G], the first before the others by falling
    score, and float32 scores [G] with the first (1 for the first itself).
    Raises `UsageError` as `build_index` does.
    """
    rows = Rows.over(ids, vectors)
    numbers = np.flatnonzero(rows.ids >= 0)
    if order is not None:
        by_id = numbers[np.argsort(rows.ids[numbers])]
        numbers = by_id[np.searchsorted(rows.ids[by_id], order)]
    if not len(numbers):
        return []
    given = np.full(len(numbers), -1) if kinds is None else kinds
    grouping = _Grouping(rows, numbers, given, min_score=min_score)
    total = len(numbers)
    for start in range(0, total, BLOCK):
        stop = min(start + BLOCK, total)
        grouping.compare(np.arange(start, stop))
        report(round(stop * (2 * total - stop) / total), total)  # later blocks have fewer to be compared with
    return [(rows.ids[numbers[members]], scores) for members, scores in grouping.groups()]


class _Grouping:
    """Who has joined whom so far; vectors are named by their places in the order.

    Arguments:
        numbers: the row of each place, int64 [A].
        kinds: the kind of each place, int64 [A].
    """

    def __init__(
        self, rows: Rows, numbers: NDArray[np.int64], kinds: NDArray[np.int64], *, min_score: float
    ) -> None:
        self._rows = rows
        self._numbers = numbers
        self._kinds = kinds
        self._least = min_score
        self._sketches = _sketches(rows, numbers, least=min_score)
        self._first = np.full(len(numbers), -1, np.int64)
        self._scores = np.ones(len(numbers), np.float32)

    def compare(self, places: NDArray[np.int64]) -> None:
        """Let the vectors at these places, none of which was compared yet, be joined by those behind."""
        firsts = self._free(places)
        self._join(firsts, firsts)
        firsts = self._free(firsts)
        for start in range(int(places[-1]) + 1, len(self._numbers) if len(firsts) else 0, BLOCK):
            self._join(firsts, self._free(np.arange(start, min(start + BLOCK, len(self._numbers)))))

    def groups(self) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """The places of each group's members, the first before the others by score, and their scores."""
        joined = np.flatnonzero(self._first >= 0)
        joined = joined[np.lexsort((joined, -self._scores[joined], self._first[joined]))]
        cuts = np.flatnonzero(np.diff(self._first[joined])) + 1
        parts = np.split(joined, cuts) if len(joined) else []
        members = [np.append(self._first[part[:1]], part) for part in parts]
        return [(one, self._scores[one]) for one in members]

    def _free(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        return places[self._first[places] < 0]

    def _join(self, firsts: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        near = self._sketches[firsts] @ self._sketches[others].T >= self._least - MARGIN
        if firsts is others:
            near = np.triu(near, 1)
        left = np.count_nonzero(near)
        if left > _MANY * near.size and left > len(others):
            near &= self._wide(firsts) @ self._wide(others).T >= self._least - MARGIN
            left = np.count_nonzero(near)
        for row in np.flatnonzero(near.any(axis=1)) if left else ():
            first = firsts[row]
            if self._first[first] >= 0:  # it has just joined another
                continue
            maybe = self._fitting(first, self._free(others[near[row]]))
            maybe = maybe[np.argsort(self._numbers[maybe])]
            scores = exact_scores(self._rows, self._numbers[maybe], self._wide(first[None])[0])
            maybe, scores = maybe[scores >= self._least], scores[scores >= self._least]
            self._first[maybe], self._scores[maybe] = first, scores

    def _fitting(self, first: np.int64, places: NDArray[np.int64]) -> NDArray[np.int64]:
        kind, kinds = self._kinds[first], self._kinds[places]
        return places if kind < 0 else places[(kinds < 0) | (kinds == kind)]

    def _wide(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        return _rows_at(self._rows, self._numbers[places])


def _sketches(rows: Rows, numbers: NDArray[np.int64], *, least: float) -> NDArray[np.float32]:
    """For each row its part in the plane and its rest's length, [A, K + 1]: no product is above theirs."""
    some = np.unique(np.linspace(0, len(numbers) - 1, _SAMPLE).astype(np.int64))
    sample = _rows_at(rows, numbers[some])
    probe = sample[::4]  # chooses how many directions, and so has no say in which
    rest = np.delete(sample, np.s_[::4], axis=0)
    directions = np.linalg.eigh(rest.T @ rest)[1][:, ::-1]
    near = np.count_nonzero(probe @ probe.T >= least)
    for count in _DIRECTIONS:
        plane = np.ascontiguousarray(directions[:, :count])
        few = _sketch(probe, plane)
        if np.count_nonzero(few @ few.T >= least - MARGIN) <= near + _FEW * len(few) ** 2:
            break
    sketches = np.empty((len(numbers), plane.shape[1] + 1), np.float32)
    for start in range(0, len(numbers), BLOCK):
        part = slice(start, start + BLOCK)
        sketches[part] = _sketch(_rows_at(rows, numbers[part]), plane)
    return sketches


def _sketch(wide: NDArray[np.float32], plane: NDArray[np.float32]) -> NDArray[np.float32]:
    part = wide @ plane
    rest = np.einsum("ij,ij->i", wide, wide) - np.einsum("ij,ij->i", part, part)
    return np.column_stack([part, np.sqrt(np.maximum(rest, 0) + _SPARE)])


def _rows_at(rows: Rows, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """The rows of these numbers, in any order, [n, E]."""
    order = np.argsort(numbers)
    wide = np.empty((len(numbers), rows.dim), np.float32)
    wide[order] = rows.take(numbers[order])
    return wide
