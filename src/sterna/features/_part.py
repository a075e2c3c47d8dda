"""One immutable part of a feature store: ragged columns as plain `.npy` files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import StoreError, UsageError
from sterna.files import hash_file, hash_json, new_folder, read_json, write_json

__all__ = ["SCHEMA", "ColumnSpec", "Part", "write_part"]

SCHEMA = 1
_PART_BYTES = 128 << 20
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

    def __str__(self) -> str:
        return f"{self.dtype}[T]" if self.width is None else f"{self.dtype}[R, {self.width}]"

    @property
    def tail(self) -> tuple[int, ...]:
        """Shape of one row."""
        return () if self.width is None else (self.width,)

    def cast(self, values: NDArray[Any], *, column: str) -> NDArray[Any]:
        """`values` in the column's dtype; raises `UsageError` naming `column` where they are too large."""
        with _too_large(column, self.dtype):
            return values.astype(self.dtype, copy=False)

    def items_a_part(self, rows: int, *, at_most: int) -> int:
        """How many items of so many rows a part may hold in memory before it is written."""
        each = rows * (self.width or 1) * np.dtype(self.dtype).itemsize
        return max(1, min(at_most, _PART_BYTES // max(1, each)))


@contextlib.contextmanager
def _too_large(column: str, dtype: str) -> Iterator[None]:
    try:
        with np.errstate(over="raise"):
            yield
    except FloatingPointError:
        raise UsageError(f"{column}: holds values too large for {dtype}; keep it as float32") from None


class Part:
    """A part on disk, opened: its record is read at once, its columns when they are first used.

    Raises `StoreError` naming the part and the file where one is missing or has not the recorded size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays: dict[str, NDArray[Any]] = {}
        self._lengths: dict[str, NDArray[np.int64]] = {}
        record = read_json(folder / "part.json", error=StoreError)
        try:
            self.rows = int(record["rows"])
            self.specs = {name: ColumnSpec(**spec) for name, spec in record["columns"].items()}
            self._files: dict[str, dict[str, Any]] = dict(record["files"])
            sizes = {name: int(file["bytes"]) for name, file in self._files.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged("part.json", f"is not the record of a part ({error})") from error
        for name, wanted in sizes.items():
            path = folder / name
            found = path.stat().st_size if path.is_file() else None
            if found != wanted:
                what = "is missing" if found is None else f"has {found} bytes where {wanted} were written"
                raise self._damaged(name, what)

    @property
    def content(self) -> frozenset[tuple[str, str]]:
        """Names and hashes of its files, wherever it lies and whatever its number."""
        return frozenset((name, str(file.get("sha256"))) for name, file in self._files.items())

    def ids(self) -> list[str]:
        """The items' ids, in order."""
        data, offsets = self._load("ids.npy").tobytes(), self.offsets("ids")
        try:
            return [
                data[offsets[i] : offsets[i + 1]].decode(errors="surrogateescape") for i in range(self.rows)
            ]
        except (UnicodeDecodeError, IndexError) as error:
            raise self._damaged("ids.npy", f"does not hold UTF-8 ids ({error})") from error

    def values(self, column: str) -> NDArray[Any]:
        """All rows of a column, one item after the other, memory-mapped and read-only."""
        return self._load(f"{column}.npy")

    def offsets(self, column: str) -> NDArray[np.int64]:
        """[rows + 1]: where each item's rows begin and end."""
        return self._load(f"{column}.offsets.npy")

    def lengths(self, column: str) -> NDArray[np.int64]:
        """[rows]: how many rows each item has."""
        if column not in self._lengths:
            self._lengths[column] = np.diff(self.offsets(column))
        return self._lengths[column]

    def gather(
        self, out: NDArray[Any], places: NDArray[np.int64], *, column: str, rows: NDArray[np.int64]
    ) -> None:
        """Copy items' rows to `out[places]`, whose further places stay as they are."""
        source, lengths = self.values(column), self.lengths(column)
        if (lengths == lengths[0]).all():  # a plain block: one fancy read
            same = int(lengths[0])
            out[places, :same] = source.reshape(self.rows, same, *source.shape[1:])[rows]
            return
        wanted = lengths[rows]
        ends = np.cumsum(wanted)
        within = np.arange(int(ends[-1])) - np.repeat(ends - wanted, wanted)
        out[np.repeat(places, wanted), within] = source[
            np.repeat(self.offsets(column)[rows], wanted) + within
        ]

    def release(self) -> None:
        """Let go of the mapped files; views that were handed out stay valid."""
        self._arrays.clear()

    def verify(self) -> None:
        """Hash every file; raise `StoreError` naming the first one that is not what was written."""
        for name, file in self._files.items():
            if hash_file(self.folder / name) != file.get("sha256"):
                raise self._damaged(name, "does not hold what was written")
        for column, spec in self.specs.items():
            values, offsets = self.values(column), self.offsets(column)
            fits = values.shape[1:] == spec.tail and values.dtype == spec.dtype
            if not fits or len(offsets) != self.rows + 1 or offsets[-1] != len(values):
                raise self._damaged(f"{column}.npy", f"holds {values.dtype}{list(values.shape)}, not {spec}")

    def _load(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            path = self.folder / name
            try:
                # an empty array cannot be mapped; a plain view indexes faster than np.memmap
                if self._files[name]["items"]:
                    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
                else:
                    array = np.load(path, allow_pickle=False)
                self._arrays[name] = array.view(np.ndarray)
            except (OSError, ValueError, KeyError, EOFError) as error:
                raise self._damaged(name, f"cannot be read ({error})") from error
        return self._arrays[name]

    def _damaged(self, name: str, what: str) -> StoreError:
        return StoreError(
            f"{self.folder / name}: {what}; remove the folder {self.folder.name} and extract again, "
            "the rest is kept"
        )


def write_part(
    parts: Path,
    number: int,
    *,
    ids: Sequence[str],
    items: Mapping[str, Sequence[NDArray[Any]]],
    specs: Mapping[str, ColumnSpec],
) -> Path:
    """Write a part aside, flush it, and rename it into place.

    Its name is `number`, which orders the parts, and a hash of its ids and columns, which keeps shards apart.
    """
    folder = parts / f"{number:06}-{hash_json([list(ids), sorted(items)])[:12]}"
    with new_folder(folder) as aside:
        encoded = [identity.encode(errors="surrogateescape") for identity in ids]
        text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        files = _save(aside, "ids", text, [len(one) for one in encoded])
        for column, arrays in items.items():
            spec = specs[column]
            values = _joined(column, arrays, spec)
            files |= _save(aside, column, values, [len(array) for array in arrays])
        columns = {column: asdict(specs[column]) for column in items}
        write_json(
            aside / "part.json", {"schema": SCHEMA, "rows": len(ids), "columns": columns, "files": files}
        )
    return folder


def _joined(column: str, arrays: Sequence[NDArray[Any]], spec: ColumnSpec) -> NDArray[Any]:
    none = np.empty((0, *spec.tail), dtype=spec.dtype)
    with _too_large(column, spec.dtype):
        return np.concatenate([*arrays, none], dtype=spec.dtype, casting="unsafe")


def _save(folder: Path, name: str, values: NDArray[Any], lengths: Sequence[int]) -> dict[str, dict[str, Any]]:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    files = {}
    for file, array in ((f"{name}.npy", values), (f"{name}.offsets.npy", offsets)):
        np.save(folder / file, array, allow_pickle=False)
        path = folder / file
        files[file] = {"bytes": path.stat().st_size, "items": int(array.size), "sha256": hash_file(path)}
    return files
