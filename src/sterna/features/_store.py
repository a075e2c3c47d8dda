"""The feature store: ragged arrays on disk, by item id, in immutable parts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import StoreError, UsageError
from sterna.features._manifest import folders, next_number, read_manifest, write_manifest
from sterna.features._part import ColumnSpec, Part, write_part
from sterna.files import FileLock, disk_errors, new_folder

__all__ = ["FeatureStore"]

_WAIT = 120.0


class FeatureStore:
    """Items by id, each with ragged columns: `[R, width]` or `[T]` arrays of an item's own length.

    On disk: `manifest.json` (columns and `meta`) and `parts/NUMBER-HASH/` (`.npy` files, never changed).
    A part holds some columns of some items, so a view can be added later; an item has a column once at most.
    An open store shows the parts that were there when it was opened, and those it appended itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns, self.meta = read_manifest(path)
        self._parts: list[Part] = []
        self._ids: list[str] = []
        self._index: dict[str, int] = {}
        # by column: for each item its part and its place there, or -1
        self._where = {name: np.empty((0, 2), dtype=np.int64) for name in self._columns}
        self._add([Part(folder) for folder in folders(path)])

    @classmethod
    def create(
        cls, path: str | Path, columns: Mapping[str, ColumnSpec], *, meta: Mapping[str, Any] | None = None
    ) -> FeatureStore:
        """Make an empty store.

        Arguments:
            path: its folder.
            columns: what items can have, by name.
            meta: anything JSON can hold, kept in the manifest.

        Raises `StoreError` where there is a store, `UsageError` for an unfit column name.
        """
        path = Path(path)
        if (path / "manifest.json").exists():
            raise StoreError(f"{path}: is a feature store already; open it, or name another folder")
        with disk_errors(path):
            (path / "parts").mkdir(parents=True, exist_ok=True)
        write_manifest(path, columns, meta or {})
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> FeatureStore:
        """Open a store; raises `StoreError` naming what is missing or damaged."""
        path = Path(path)
        if not (path / "manifest.json").is_file():
            raise StoreError(
                f"{path}: is no feature store (no manifest.json in it); `sterna extract` makes one"
            )
        return cls(path)

    @property
    def columns(self) -> dict[str, ColumnSpec]:
        """The columns by name."""
        return dict(self._columns)

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, in the order in which they first came."""
        return tuple(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def index_of(self, identity: str) -> int:
        """Where an item is; raises `StoreError` for an unknown id."""
        try:
            return self._index[identity]
        except KeyError:
            raise StoreError(f"{self.path}: holds no item {identity!r}") from None

    def indices_of(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Where items are; raises `StoreError` for an unknown id."""
        return np.array([self.index_of(identity) for identity in ids], dtype=np.int64)

    def has(self, column: str) -> NDArray[np.bool_]:
        """[N] bool: which items have this column."""
        return np.asarray(self._column(column)[:, 0] >= 0)

    def missing(self, column: str, ids: Iterable[str]) -> list[str]:
        """Which of `ids` have not this column, or are not there at all, in the order given."""
        there = self.has(column)
        return [one for one in ids if (index := self._index.get(one)) is None or not there[index]]

    def complete(self, ids: Sequence[str]) -> tuple[str, ...]:
        """The columns that every one of `ids` has."""
        return tuple(column for column in self._columns if not self.missing(column, ids))

    def lengths(self, column: str, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """[B]: how many rows items have; raises `StoreError` where one has not the column."""
        where = self._located(column, indices)
        lengths = np.empty(len(where), dtype=np.int64)
        for part, places in self._by_part(where):
            lengths[places] = part.lengths(column)[where[places, 1]]
        return lengths

    def row(self, column: str, index: int) -> NDArray[Any]:
        """One item's array `[R, width]` or `[T]`: a read-only view of the mapped file, nothing is copied."""
        part, row = self._located(column, [index])[0]
        offsets = self._parts[part].offsets(column)
        values: NDArray[Any] = self._parts[part].values(column)[offsets[row] : offsets[row + 1]]
        return values

    def rows(
        self, column: str, indices: Sequence[int] | NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Several items' arrays, padded with zeros to the longest of them.

        Arguments:
            column: which one.
            indices: [B], places as `index_of` gives them.

        Returns:
            values: `[B, R, width]` or `[B, T]` in the column's dtype.
            mask: `[B, R]` or `[B, T]` bool, True where there is a row.

        Raises `StoreError` where an item has not the column.
        """
        where = self._located(column, indices)
        lengths = self.lengths(column, indices)
        mask = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
        spec = self._columns[column]
        make = np.empty if mask.all() else np.zeros
        values = make((*mask.shape, *spec.tail), dtype=spec.dtype)
        for part, places in self._by_part(where):
            part.gather(values, places, column=column, rows=where[places, 1])
        return values, mask

    def append(self, ids: Sequence[str], columns: Mapping[str, Sequence[NDArray[Any]]]) -> None:
        """Add one part: some columns of some items; it is durable when this returns.

        Arguments:
            ids: unique; an id that is there gets more columns.
            columns: by name one array `[R, width]` or `[T]` for each id, cast to the column's dtype.

        Raises `UsageError` for shapes or names that do not fit, `StoreError` for an id that has the column
        already, `DiskError` on a full disk.
        """
        ids = list(ids)
        for column, arrays in columns.items():
            self._check(column, arrays, len(ids))
        self._refuse_known(ids, columns)
        if ids and columns:
            with self._lock():
                number = next_number(self.path)
                folder = write_part(self.path / "parts", number, ids=ids, items=columns, specs=self._columns)
            self._add([Part(folder)])

    def add_columns(self, columns: Mapping[str, ColumnSpec]) -> None:
        """Declare more columns; one that is there with other content raises `StoreError`."""
        with self._lock():
            known, meta = read_manifest(self.path)  # another process may have added some
            for name, spec in columns.items():
                if known.get(name, spec) != spec:
                    raise StoreError(f"{self.path}: column {name!r} holds {known[name]}, not {spec}")
            if not set(columns) <= set(known):
                write_manifest(self.path, {**known, **columns}, meta)
        self._columns = {**known, **columns}
        for name in self._columns:
            self._where.setdefault(name, np.full((len(self), 2), -1, dtype=np.int64))

    def merge(self, other: FeatureStore) -> None:
        """Add another store's parts, such as a shard made on another machine; parts are copied, not moved.

        Raises `StoreError` where the other was made by another backbone, describes a column otherwise, or
        holds an item's column that is here already.
        """
        mine, theirs = self.meta.get("fingerprint"), other.meta.get("fingerprint")
        if mine != theirs:
            raise StoreError(
                f"{other.path}: was made by another backbone ({theirs}) than {self.path} ({mine})"
            )
        for column in other.columns:
            if column in self._columns:
                held = [other.ids[index] for index in np.flatnonzero(other.has(column))]
                self._refuse_known(held, [column])
        self.add_columns(other.columns)
        added = []
        for part in other._parts:
            with self._lock():
                hashed = part.folder.name.partition("-")[2]
                folder = self.path / "parts" / f"{next_number(self.path):06}-{hashed}"
                with new_folder(folder) as aside:
                    shutil.copytree(part.folder, aside, dirs_exist_ok=True)
            added.append(Part(folder))
        self._add(added)

    def verify(self) -> None:
        """Read and hash everything; raise `StoreError` naming the first damaged file."""
        for part in self._parts:
            part.verify()

    def _lock(self) -> FileLock:
        return FileLock(self.path / ".lock", what=f"the feature store {self.path}", wait=_WAIT)

    def _check(self, column: str, arrays: Sequence[NDArray[Any]], count: int) -> None:
        self._column(column)
        if len(arrays) != count:
            raise UsageError(f"{column}: {len(arrays)} arrays came for {count} ids; each id needs one")
        spec = self._columns[column]
        for array in arrays:
            if array.ndim != 1 + len(spec.tail) or array.shape[1:] != spec.tail:
                raise UsageError(f"{column}: an array of shape {list(array.shape)} came; {spec} is needed")

    def _refuse_known(self, ids: Sequence[str], columns: Iterable[str]) -> None:
        if len(set(ids)) < len(ids):
            twice = next(one for number, one in enumerate(ids) if one in ids[:number])
            raise StoreError(f"{self.path}: the id {twice!r} came twice; ids must be unique")
        for column in columns:
            new = set(self.missing(column, ids))
            if len(new) < len(ids):
                known = next(one for one in ids if one not in new)
                raise StoreError(
                    f"{self.path}: {known!r} has the column {column!r} already; parts never change"
                )

    def _column(self, column: str) -> NDArray[np.int64]:
        if column not in self._where:
            known = ", ".join(sorted(self._columns))
            raise StoreError(f"{self.path}: has no column {column!r}; it has {known}")
        return self._where[column]

    def _located(self, column: str, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        places = np.asarray(indices, dtype=np.int64)
        where = self._column(column)[places]
        lacking = np.flatnonzero(where[:, 0] < 0)
        if lacking.size:
            first = self._ids[int(places[lacking[0]])]
            raise StoreError(
                f"{self.path}: {lacking.size} of the {len(places)} items asked for have no {column!r}, "
                f"first {first!r}; extract it for them"
            )
        return where

    def _by_part(self, where: NDArray[np.int64]) -> Iterator[tuple[Part, NDArray[np.int64]]]:
        for number in np.unique(where[:, 0]):
            yield self._parts[int(number)], np.flatnonzero(where[:, 0] == number)

    def _add(self, parts: Sequence[Part]) -> None:
        placed = []
        for part in parts:
            unknown = [name for name, spec in part.specs.items() if self._columns.get(name) != spec]
            if unknown:
                raise StoreError(
                    f"{part.folder}: holds a column {unknown[0]!r} that the manifest does not describe so"
                )
            ids = part.ids()
            if len(set(ids)) < len(ids):
                raise StoreError(f"{part.folder}: holds an id twice")
            places = [self._index.setdefault(identity, len(self._index)) for identity in ids]
            placed.append(np.array(places, dtype=np.int64))
        self._ids = list(self._index)
        for name, where in self._where.items():
            more = np.full((len(self._ids) - len(where), 2), -1, dtype=np.int64)
            self._where[name] = np.concatenate([where, more])
        for part, indices in zip(parts, placed, strict=True):
            for name in part.specs:
                where = self._where[name]
                taken = np.flatnonzero(where[indices, 0] >= 0)
                if taken.size:
                    twice = self._ids[int(indices[taken[0]])]
                    raise StoreError(f"{part.folder}: {twice!r} has the column {name!r} in another part too")
                where[indices, 0], where[indices, 1] = len(self._parts), np.arange(len(indices))
            self._parts.append(part)
