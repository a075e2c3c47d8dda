"""The feature store: ragged arrays on disk, by item id, in immutable parts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import StoreError, UsageError
from sterna.features._manifest import folders, next_number, read_manifest, write_manifest
from sterna.features._part import ColumnSpec, Part, write_part
from sterna.features._places import Places
from sterna.files import FileLock, disk_errors, new_folder

__all__ = ["FeatureStore"]

_WAIT = 120.0


class FeatureStore:
    """Items by id, each with ragged columns: `[R, width]` or `[T]` arrays of an item's own length.

    On disk: `manifest.json` (columns and `meta`) and `parts/NUMBER-HASH/` (`.npy` files, never changed).
    A part holds some columns of some items, so a view can be added later; an item has a column once at most.
    An open store shows the parts that were there when it was opened or last written to by way of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = folders(path)  # before the manifest: a column is declared before a part holds it
        columns, self.meta = read_manifest(path)
        self._places = Places(path, columns)
        self._places.add([Part(folder) for folder in found])

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
        return dict(self._places.columns)

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids, in the order in which they first came."""
        return tuple(self._places.ids)

    def __len__(self) -> int:
        return len(self._places.ids)

    def index_of(self, identity: str) -> int:
        """Where an item is; raises `StoreError` for an unknown id."""
        try:
            return self._places.index[identity]
        except KeyError:
            raise StoreError(f"{self.path}: holds no item {identity!r}") from None

    def indices_of(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Where items are; raises `StoreError` for an unknown id."""
        return np.array([self.index_of(identity) for identity in ids], dtype=np.int64)

    def has(self, column: str) -> NDArray[np.bool_]:
        """[N] bool: which items have this column."""
        return np.asarray(self._places.of(column)[:, 0] >= 0)

    def missing(self, column: str, ids: Iterable[str]) -> list[str]:
        """Which of `ids` have not this column, or are not there at all, in the order given."""
        return self._places.missing(column, ids)

    def complete(self, ids: Sequence[str]) -> tuple[str, ...]:
        """The columns that every one of `ids` has."""
        return tuple(column for column in self.columns if not self.missing(column, ids))

    def lengths(self, column: str, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """[B]: how many rows items have; raises `StoreError` where one has not the column."""
        where = self._places.found(column, indices)
        lengths = np.empty(len(where), dtype=np.int64)
        for part, places in self._places.by_part(where):
            lengths[places] = part.lengths(column)[where[places, 1]]
        return lengths

    def row(self, column: str, index: int) -> NDArray[Any]:
        """One item's array `[R, width]` or `[T]`: a read-only view of the mapped file, nothing is copied."""
        part, row = self._places.found(column, [index])[0]
        held = self._places.parts[part]
        offsets = held.offsets(column)
        values: NDArray[Any] = held.values(column)[offsets[row] : offsets[row + 1]]
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
        where = self._places.found(column, indices)
        lengths = self.lengths(column, indices)
        mask = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
        spec = self._places.columns[column]
        make = np.empty if mask.all() else np.zeros
        values = make((*mask.shape, *spec.tail), dtype=spec.dtype)
        for part, places in self._places.by_part(where):
            part.gather(values, places, column=column, rows=where[places, 1])
        return values, mask

    def append(self, ids: Sequence[str], columns: Mapping[str, Sequence[NDArray[Any]]]) -> None:
        """Add one part: some columns of some items; it is durable when this returns.

        Arguments:
            ids: unique; an id that is there gets more columns.
            columns: by name one array `[R, width]` or `[T]` for each id, cast to the column's dtype.

        Raises `UsageError` for shapes or names that do not fit, `StoreError` for an id that has the column
        already, be it since a moment ago and by another process, `DiskError` on a full disk.
        """
        ids = self._checked(ids, columns)
        with self._lock():
            self._catch_up()
            self._places.refuse_known(ids, columns)
            self._write(ids, columns)

    def append_missing(self, ids: Sequence[str], columns: Mapping[str, Sequence[NDArray[Any]]]) -> int:
        """Like `append`, but leave out what is there: several processes may bring the same items.

        Columns that different items lack become parts of their own, in the order given.
        Returns how many of the items got a column.
        """
        ids = self._checked(ids, columns)
        with self._lock():
            self._catch_up()
            self._places.refuse_known(ids, ())
            lacking: dict[tuple[str, ...], list[str]] = {}
            for column in columns:
                lacking.setdefault(tuple(self.missing(column, ids)), []).append(column)
            for some, names in lacking.items():
                wanted = set(some)
                places = [place for place, one in enumerate(ids) if one in wanted]
                self._write(some, {name: [columns[name][place] for place in places] for name in names})
        return len(set().union(*lacking))

    def add_columns(self, columns: Mapping[str, ColumnSpec]) -> None:
        """Declare more columns; one that is there with other content raises `StoreError`."""
        with self._lock():
            known, meta = read_manifest(self.path)  # another process may have added some
            for name, spec in columns.items():
                if known.get(name, spec) != spec:
                    raise StoreError(f"{self.path}: column {name!r} holds {known[name]}, not {spec}")
            if not set(columns) <= set(known):
                write_manifest(self.path, {**known, **columns}, meta)
        self._places.declare({**known, **columns})

    def note(self, meta: Mapping[str, Any]) -> None:
        """Change entries of `meta`, durably; what else it says stays."""
        with self._lock():
            columns, there = read_manifest(self.path)
            write_manifest(self.path, columns, {**there, **meta})
        self.meta = {**there, **meta}

    def release(self) -> None:
        """Give back the memory of what was read: mapped files are mapped again when they are next used."""
        for part in self._places.parts:
            part.release()

    def merge(self, other: FeatureStore) -> None:
        """Add another store's parts, such as a shard made on another machine; parts are copied, not moved.

        Parts that are here already are left out, so a merge that was interrupted is done by merging again.
        Raises `StoreError` where the other was made by another backbone, describes a column otherwise, or
        holds other values of an item's column that is here already; then nothing is added.
        """
        mine, theirs = self.meta.get("fingerprint"), other.meta.get("fingerprint")
        if mine != theirs:
            raise StoreError(
                f"{other.path}: was made by another backbone ({theirs}) than {self.path} ({mine})"
            )
        with self._lock():
            self._catch_up()
            for part in self._lacking(other):
                self._places.refuse_known(part.ids(), [name for name in part.specs if name in self.columns])
        self.add_columns(other.columns)
        for part in self._lacking(other):
            with self._lock():
                self._catch_up()
                if part in self._lacking(other):  # still: another process may merge the same
                    self._places.refuse_known(part.ids(), part.specs)
                    self._copy(part)

    def verify(self) -> None:
        """Read and hash everything; raise `StoreError` naming the first damaged file."""
        for part in self._places.parts:
            part.verify()

    def _lock(self) -> FileLock:
        return FileLock(self.path / ".lock", what=f"the feature store {self.path}", wait=_WAIT)

    def _catch_up(self) -> None:
        """Take in what other processes added; for whoever holds the lock."""
        known = {part.folder.name for part in self._places.parts}
        new = [folder for folder in folders(self.path) if folder.name not in known]
        if new:
            self._places.declare(read_manifest(self.path)[0])
            self._places.add([Part(folder) for folder in new])

    def _write(self, ids: Sequence[str], columns: Mapping[str, Sequence[NDArray[Any]]]) -> None:
        if ids and columns:
            number, specs = next_number(self.path), self._places.columns
            folder = write_part(self.path / "parts", number, ids=ids, items=columns, specs=specs)
            self._places.add([Part(folder)])

    def _copy(self, part: Part) -> None:
        hashed = part.folder.name.partition("-")[2]
        folder = self.path / "parts" / f"{next_number(self.path):06}-{hashed}"
        with new_folder(folder) as aside:
            shutil.copytree(part.folder, aside, dirs_exist_ok=True)
        self._places.add([Part(folder)])

    def _lacking(self, other: FeatureStore) -> list[Part]:
        here = {part.content for part in self._places.parts}
        return [part for part in other._places.parts if part.content not in here]

    def _checked(self, ids: Sequence[str], columns: Mapping[str, Sequence[NDArray[Any]]]) -> list[str]:
        for column, arrays in columns.items():
            self._places.of(column)
            if len(arrays) != len(ids):
                raise UsageError(f"{column}: {len(arrays)} arrays came for {len(ids)} ids; each id needs one")
            spec = self._places.columns[column]
            for array in arrays:
                if array.ndim != 1 + len(spec.tail) or array.shape[1:] != spec.tail:
                    raise UsageError(
                        f"{column}: an array of shape {list(array.shape)} came; {spec} is needed"
                    )
        return list(ids)
