"""One immutable part of a feature store: ragged columns as plain `.npy` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import StoreError, UsageError
from sterna.files import hash_file, hash_json, new_folder, read_json, write_json

__all__ = ["ColumnSpec", "Part", "write_part"]

SCHEMA = 1
DTYPES = ("float16", "float32", "int32", "int64", "uint8")


@dataclass(frozen=True)
class ColumnSpec:
    """What a column holds for each item: rows of `width` values, or single values where `width` is `None`."""

    dtype: str
    width: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype={self.dtype!r}: a column holds one of {', '.join(DTYPES)}")
        if self.width is not None and self.width < 1:
            raise UsageError(f"width={self.width}: a column's rows have at least one value")

    def as_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {"dtype": self.dtype, "width": self.width}


class Part:
    """A part on disk, opened: its record is read at once, its columns when they are first used.

    Raises `StoreError` naming the part and the file where one is missing or has not the recorded size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        record = read_json(folder / "part.json", error=StoreError)
        try:
            self.rows = int(record["rows"])
            self.specs = {name: ColumnSpec(**spec) for name, spec in record["columns"].items()}
            self._files: dict[str, dict[str, Any]] = dict(record["files"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged("part.json", f"not the record of a part ({error})") from error
        for name, file in self._files.items():
            path = folder / name
            size = path.stat().st_size if path.is_file() else None
            if size != file["bytes"]:
                found = "is missing" if size is None else f"has {size} bytes"
                raise self._damaged(name, f"{found}, {file['bytes']} were written")
        self._arrays: dict[str, NDArray[Any]] = {}
        self._uniform: dict[str, int | None] = {}

    def ids(self) -> list[str]:
        """The items' ids, in order."""
        offsets = self._load("ids.offsets.npy")
        data = self._load("ids.npy").tobytes()
        try:
            return [data[offsets[i] : offsets[i + 1]].decode() for i in range(self.rows)]
        except (UnicodeDecodeError, IndexError) as error:
            raise self._damaged("ids.npy", f"not UTF-8 ids ({error})") from error

    def values(self, column: str) -> NDArray[Any]:
        """All rows of a column, one item after the other, memory-mapped."""
        return self._load(f"{column}.npy")

    def offsets(self, column: str) -> NDArray[np.int64]:
        """[rows + 1]: where each item's rows begin and end."""
        return self._load(f"{column}.offsets.npy")

    def uniform(self, column: str) -> int | None:
        """The number of rows of every item, where it is the same for all."""
        if column not in self._uniform:
            lengths = np.diff(self.offsets(column))
            same = lengths.size > 0 and bool((lengths == lengths[0]).all())
            self._uniform[column] = int(lengths[0]) if same else None
        return self._uniform[column]

    def verify(self) -> None:
        """Hash every file; raise `StoreError` naming the first one that is not what was written."""
        for name, file in self._files.items():
            if hash_file(self.folder / name) != file["sha256"]:
                raise self._damaged(name, "its content is not what was written")
        for column, spec in self.specs.items():
            values, offsets = self.values(column), self.offsets(column)
            shape = values.shape[1:] == (() if spec.width is None else (spec.width,))
            if not shape or values.dtype != spec.dtype or offsets[-1] != len(values) or len(offsets) != self.rows + 1:
                raise self._damaged(f"{column}.npy", f"has shape {values.shape} and dtype {values.dtype}")

    def _load(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            try:
                # an empty file cannot be mapped
                mode = "r" if self._files[name]["items"] else None
                self._arrays[name] = np.load(self.folder / name, mmap_mode=mode, allow_pickle=False)
            except (OSError, ValueError, KeyError, EOFError) as error:
                raise self._damaged(name, f"cannot be read ({error})") from error
        return self._arrays[name]

    def _damaged(self, name: str, what: str) -> StoreError:
        return StoreError(
            f"{self.folder / name}: {what}; remove the folder {self.folder} and extract again: the rest stays"
        )


def write_part(
    parts: Path, number: int, *, ids: Sequence[str], items: Mapping[str, Sequence[NDArray[Any]]],
    specs: Mapping[str, ColumnSpec],
) -> Path:  # fmt: skip
    """Write a part aside, flush it, and rename it into place; its name holds `number` and a hash of ids and columns."""
    name = f"{number:06}-{hash_json([list(ids), sorted(items)])[:12]}"
    with new_folder(parts / name) as folder:
        encoded = [identity.encode() for identity in ids]
        _save_ragged(folder, "ids", np.frombuffer(b"".join(encoded), dtype=np.uint8), [len(item) for item in encoded])
        for column, arrays in items.items():
            spec = specs[column]
            tail = () if spec.width is None else (spec.width,)
            values = np.concatenate(arrays) if len(arrays) else np.empty((0, *tail))
            _save_ragged(folder, column, values.astype(spec.dtype, copy=False), [len(array) for array in arrays])
        files = {
            file.name: {
                "bytes": file.stat().st_size,
                "items": int(np.load(file, mmap_mode=None, allow_pickle=False).size) if file.stat().st_size < 256 else 1,
                "sha256": hash_file(file),
            }
            for file in sorted(folder.iterdir())
        }
        record = {
            "schema": SCHEMA,
            "rows": len(ids),
            "columns": {column: specs[column].as_json() for column in items},
            "files": files,
        }
        write_json(folder / "part.json", record)
    return parts / name


def _save_ragged(folder: Path, name: str, values: NDArray[Any], lengths: Sequence[int]) -> None:
    np.save(folder / f"{name}.npy", values, allow_pickle=False)
    offsets = np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)
    np.save(folder / f"{name}.offsets.npy", offsets, allow_pickle=False)
