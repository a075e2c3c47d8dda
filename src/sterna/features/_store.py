"""The feature store: ragged arrays on disk, by item id, in immutable parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import StoreError, UsageError
from sterna.features._part import SCHEMA, ColumnSpec, Part, write_part
from sterna.files import FileLock, read_json, write_json

__all__ = ["FeatureStore"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class FeatureStore:
    """Items by id, each with ragged columns: `[R, width]` or `[T]` arrays of an item's own length.

    On disk: `manifest.json` (columns and `meta`) and `parts/NUMBER-HASH/` (plain `.npy` files, never changed).
    A part holds some columns of some items, so a view can be added later; an id has a column once at most.
    A store is a snapshot of the parts that were there when it was opened, plus what it appended itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        manifest = read_json(path / "manifest.json", error=StoreError)
        try:
            if manifest["schema"] != SCHEMA:
                raise StoreError(
                    f"{path}: a feature store of schema {manifest['schema']}; this version reads schema {SCHEMA}"
                )
            self._columns = {name: ColumnSpec(**spec) for name, spec in manifest["columns"].items()}
            self.meta: dict[str, Any] = dict(manifest["meta"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{path / 'manifest.json'}: not a feature store's manifest ({error})") from error
        self._parts: list[Part] = []
        self._ids: list[str] = []
        self._index: dict[str, int] = {}
        self._where: dict[str, NDArray[np.int64]] = {name: _empty() for name in self._columns}
        names = sorted(entry.name for entry in (path / "parts").iterdir() if not entry.name.startswith("."))
        self._add([Part(path / "parts" / name) for name in names])

    @classmethod
    def create(
        cls, path: str | Path, columns: Mapping[str, ColumnSpec], *, meta: Mapping[str, Any] | None = None
    ) -> FeatureStore:
        """Make an empty store; raises `StoreError` where one is there, `UsageError` for an unfit column name."""
        path = Path(path)
        if (path / "manifest.json").exists():
            raise StoreError(f"{path}: there is a feature store already; open it, or name another folder")
        (path / "parts").mkdir(parents=True, exist_ok=True)
        _write_manifest(path, columns, meta or {})
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> FeatureStore:
        """Open a store; raises `StoreError` naming what is missing or damaged."""
        path = Path(path)
        if not (path / "manifest.json").is_file():
            raise StoreError(f"{path}: no feature store (there is no manifest.json); `sterna extract` makes one")
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
        """Which of `ids` have not this column (or are not there at all), in the order given."""
        there = self.has(column)
        return [one for one in ids if (index := self._index.get(one)) is None or not there[index]]

    def lengths(self, column: str, indices: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """How many rows items have in a column; raises `StoreError` where one has not the column."""
        where = self._located(column, np.arange(len(self)) if indices is None else np.asarray(indices, dtype=np.int64))
        lengths = np.empty(len(where), dtype=np.int64)
        for number, chosen in _by_part(where):
            lengths[chosen] = np.diff(self._parts[number].offsets(column))[where[chosen, 1]]
        return lengths

    def row(self, column: str, index: int) -> NDArray[Any]:
        """One item's array `[R, width]` or `[T]`: a read-only view of the mapped file, nothing is copied."""
        part, row = self._located(column, np.array([index]))[0]
        offsets = self._parts[part].offsets(column)
        return self._parts[part].values(column)[offsets[row] : offsets[row + 1]]

    def rows(
        self, column: str, indices: Sequence[int] | NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Several items' arrays, padded with zeros to the longest.

        Returns:
            values: `[B, Rmax, width]` or `[B, Tmax]` in the column's dtype.
            mask: `[B, Rmax]` bool, True where there is a row.

        Raises `StoreError` where an item has not the column.
        """
        indices = np.asarray(indices, dtype=np.int64)
        where = self._located(column, indices)
        lengths = self.lengths(column, indices)
        longest = int(lengths.max(initial=0))
        spec = self._columns[column]
        tail = () if spec.width is None else (spec.width,)
        mask = np.arange(longest) < lengths[:, None]
        gather = np.empty if bool(mask.all()) else np.zeros
        values = gather((len(indices), longest, *tail), dtype=spec.dtype)
        for number, chosen in _by_part(where):
            self._gather(values, chosen, column=column, part=self._parts[number], rows=where[chosen, 1])
        return values, mask

    def _gather(
        self, values: NDArray[Any], chosen: NDArray[np.int64], *, column: str, part: Part, rows: NDArray[np.int64]
    ) -> None:
        source, same = part.values(column), part.uniform(column)
        if same is not None:
            values[chosen, :same] = source.reshape(part.rows, same, *source.shape[1:])[rows]
            return
        offsets = part.offsets(column)
        for target, row in zip(chosen, rows, strict=True):
            start, end = offsets[row], offsets[row + 1]
            values[target, : end - start] = source[start:end]

    def append(self, ids: Sequence[str], columns: Mapping[str, Sequence[NDArray[Any]]]) -> None:
        """Add one part: some columns of some items, durable when this returns.

        Arguments:
            ids: unique; an id that is there already gets more columns.
            columns: by name one array `[R, width]` or `[T]` for each id, cast to the column's dtype.

        Raises `UsageError` for shapes or names that do not fit, `StoreError` for an id that has the column already,
        `DiskError` on a full disk.
        """
        ids = list(ids)
        for column, arrays in columns.items():
            self._check(column, arrays, len(ids))
        if not ids or not columns:
            return
        if len(set(ids)) < len(ids):
            twice = next(one for one in ids if ids.count(one) > 1)
            raise StoreError(f"{self.path}: the id {twice!r} came twice in one part; ids must be unique")
        for column in columns:
            if len(self.missing(column, ids)) < len(ids):
                there = next(one for one in ids if not self.missing(column, [one]))
                raise StoreError(f"{self.path}: {there!r} has a column {column!r} already; parts are never changed")
        with FileLock(self.path / ".lock", what=f"the feature store {self.path}", wait=60):
            names = [entry.name for entry in (self.path / "parts").iterdir() if not entry.name.startswith(".")]
            number = max((int(name.partition("-")[0]) for name in names), default=-1) + 1
            folder = write_part(self.path / "parts", number, ids=ids, items=columns, specs=self._columns)
        self._add([Part(folder)])

    def add_columns(self, columns: Mapping[str, ColumnSpec]) -> None:
        """Declare more columns; one that is there with the same content is left, another raises `StoreError`."""
        for name, spec in columns.items():
            if self._columns.get(name, spec) != spec:
                known = self._columns[name]
                raise StoreError(
                    f"{self.path}: column {name!r} holds {known.dtype} of width {known.width}, not {spec.dtype} of {spec.width}"
                )
        if set(columns) <= set(self._columns):
            return
        _write_manifest(self.path, {**self._columns, **columns}, self.meta)
        self._columns.update(columns)
        for name in columns:
            self._where.setdefault(name, np.full((len(self), 2), -1, dtype=np.int64))

    def verify(self) -> None:
        """Read and hash everything; raise `StoreError` naming the first damaged file."""
        for part in self._parts:
            part.verify()

    def _check(self, column: str, arrays: Sequence[NDArray[Any]], count: int) -> None:
        spec = self._columns.get(column)
        if spec is None:
            raise UsageError(f"{self.path}: has no column {column!r}; it has {', '.join(sorted(self._columns))}")
        if len(arrays) != count:
            raise UsageError(f"{column}: {len(arrays)} arrays for {count} ids; each id needs one")
        for array in arrays:
            if array.ndim != (1 if spec.width is None else 2) or (spec.width and array.shape[1] != spec.width):
                wanted = "[T]" if spec.width is None else f"[R, {spec.width}]"
                raise UsageError(f"{column}: an array has shape {list(array.shape)}; {wanted} is needed")

    def _column(self, column: str) -> NDArray[np.int64]:
        try:
            return self._where[column]
        except KeyError:
            raise StoreError(
                f"{self.path}: has no column {column!r}; it has {', '.join(sorted(self._columns))}"
            ) from None

    def _located(self, column: str, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        where = self._column(column)[indices]
        lacking = np.flatnonzero(where[:, 0] < 0)
        if lacking.size:
            raise StoreError(
                f"{self.path}: {lacking.size} of the items asked for have no {column!r}, "
                f"the first of them {self._ids[int(indices[lacking[0]])]!r}; extract it for them first"
            )
        return where

    def _add(self, parts: Sequence[Part]) -> None:
        placed: dict[str, list[tuple[NDArray[np.int64], int]]] = {name: [] for name in self._columns}
        for part in parts:
            number = len(self._parts)
            indices = np.array([self._place(identity) for identity in part.ids()], dtype=np.int64)
            for name, spec in part.specs.items():
                if self._columns.get(name) != spec:
                    raise StoreError(f"{part.folder}: holds a column {name!r} ({spec}) that the manifest does not name")
                placed[name].append((indices, number))
            self._parts.append(part)
        for name, entries in placed.items():
            table = np.full((len(self._ids), 2), -1, dtype=np.int64)
            table[: len(self._where[name])] = self._where[name]
            for indices, number in entries:
                taken = np.flatnonzero(table[indices, 0] >= 0)
                if taken.size or len(np.unique(indices)) < len(indices):
                    twice = self._ids[int(indices[taken[0] if taken.size else 0])]
                    raise StoreError(f"{self._parts[number].folder}: {twice!r} has a column {name!r} in another part too")
                table[indices, 0] = number
                table[indices, 1] = np.arange(len(indices))
            self._where[name] = table

    def _place(self, identity: str) -> int:
        index = self._index.setdefault(identity, len(self._ids))
        if index == len(self._ids):
            self._ids.append(identity)
        return index


def _empty() -> NDArray[np.int64]:
    return np.empty((0, 2), dtype=np.int64)


def _by_part(where: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    return [(int(number), np.flatnonzero(where[:, 0] == number)) for number in np.unique(where[:, 0])]


def _write_manifest(path: Path, columns: Mapping[str, ColumnSpec], meta: Mapping[str, Any]) -> None:
    for name in columns:
        if not _NAME.fullmatch(name) or name == "ids" or name.endswith(".offsets"):
            raise UsageError(f"{name!r}: a column's name is letters, digits, '.', '_' and '-'")
    described = {name: spec.as_json() for name, spec in columns.items()}
    write_json(path / "manifest.json", {"schema": SCHEMA, "columns": described, "meta": dict(meta)})
