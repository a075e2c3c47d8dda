"""Where things are in a feature store: which part holds which column of which item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sterna.errors import StoreError
from sterna.features._part import ColumnSpec, Part

__all__ = ["Places"]


class Places:
    """The items of a store, and for each column the part and the place in it where an item's rows are.

    Arguments:
        path: the store's folder, for messages.
        columns: what items can have, by name.
    """

    def __init__(self, path: Path, columns: Mapping[str, ColumnSpec]) -> None:
        self._path = path
        self.columns: dict[str, ColumnSpec] = {}
        self.parts: list[Part] = []
        self.ids: list[str] = []
        self.index: dict[str, int] = {}
        # by column: for each item its part and its place there, or -1
        self._where: dict[str, NDArray[np.int64]] = {}
        self.declare(columns)

    def declare(self, columns: Mapping[str, ColumnSpec]) -> None:
        """Take in the columns of a manifest, which hold nothing yet where they are new."""
        self.columns = dict(columns)
        for name in columns:
            self._where.setdefault(name, np.full((len(self.ids), 2), -1, dtype=np.int64))

    def add(self, parts: Sequence[Part]) -> None:
        """Take in parts, all or none.

        Raises `StoreError` where one does not fit the manifest or an item comes twice.
        """
        index, placed = dict(self.index), []
        for part in parts:
            unknown = [name for name, spec in part.specs.items() if self.columns.get(name) != spec]
            if unknown:
                raise StoreError(
                    f"{part.folder}: holds a column {unknown[0]!r} that the manifest does not describe so"
                )
            ids = part.ids()
            if len(set(ids)) < len(ids):
                raise StoreError(f"{part.folder}: holds an id twice")
            places = [index.setdefault(identity, len(index)) for identity in ids]
            placed.append(np.array(places, dtype=np.int64))
        all_ids, places_of = list(index), {}
        for name, held in self._where.items():
            more = np.full((len(all_ids) - len(held), 2), -1, dtype=np.int64)
            places_of[name] = np.concatenate([held, more])
        for number, (part, indices) in enumerate(zip(parts, placed, strict=True), start=len(self.parts)):
            for name in part.specs:
                where = places_of[name]
                taken = np.flatnonzero(where[indices, 0] >= 0)
                if taken.size:
                    twice = all_ids[int(indices[taken[0]])]
                    raise StoreError(f"{part.folder}: {twice!r} has the column {name!r} in another part too")
                where[indices, 0], where[indices, 1] = number, np.arange(len(indices))
        self.ids, self.index, self._where = all_ids, index, places_of  # nothing raises from here on
        self.parts.extend(parts)

    def of(self, column: str) -> NDArray[np.int64]:
        """[N, 2]: each item's part and its place there, or -1; raises `StoreError` for an unknown column."""
        if column not in self._where:
            known = ", ".join(sorted(self.columns))
            raise StoreError(f"{self._path}: has no column {column!r}; it has {known}")
        return self._where[column]

    def found(self, column: str, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """[B, 2]: some items' parts and places; raises `StoreError` where one has not the column."""
        places = np.asarray(indices, dtype=np.int64)
        where = self.of(column)[places]
        lacking = np.flatnonzero(where[:, 0] < 0)
        if lacking.size:
            first = self.ids[int(places[lacking[0]])]
            raise StoreError(
                f"{self._path}: {lacking.size} of the {len(places)} items asked for have no {column!r}, "
                f"first {first!r}; extract it for them"
            )
        return where

    def by_part(self, where: NDArray[np.int64]) -> Iterator[tuple[Part, NDArray[np.int64]]]:
        """Each part that `found` named, and which of the items asked for lie there."""
        for number in np.unique(where[:, 0]):
            yield self.parts[int(number)], np.flatnonzero(where[:, 0] == number)

    def missing(self, column: str, ids: Iterable[str]) -> list[str]:
        """Which of `ids` have not this column, or are not there at all, in the order given."""
        there = self.of(column)[:, 0] >= 0
        return [one for one in ids if (index := self.index.get(one)) is None or not there[index]]

    def refuse_known(self, ids: Sequence[str], columns: Iterable[str]) -> None:
        """Raise `StoreError` where an id came twice or has one of these columns."""
        if len(set(ids)) < len(ids):
            twice = next(one for number, one in enumerate(ids) if one in ids[:number])
            raise StoreError(f"{self._path}: the id {twice!r} came twice; ids must be unique")
        for column in columns:
            new = set(self.missing(column, ids))
            if len(new) < len(ids):
                known = next(one for one in ids if one not in new)
                raise StoreError(
                    f"{self._path}: {known!r} has the column {column!r} already; parts never change"
                )
