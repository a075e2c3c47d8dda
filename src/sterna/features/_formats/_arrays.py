"""Arrays in other people's files, read without ever running what a pickle says, and in bounded memory."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.features._foreign import BadItem
from sterna.files import system_reason

__all__ = [
    "NpyRows",
    "checked_count",
    "decoded",
    "is_pickle",
    "listed",
    "load_npy",
    "load_npz",
    "pickle_advice",
]

_PICKLE_SUFFIXES = (".pkl", ".pickle", ".pck", ".joblib", ".pth", ".pt", ".lmdb", ".mdb", ".db", ".dbm")
_GATHERED = 64 << 20  # bytes of rows that are held where they lie scattered


def is_pickle(path: Path) -> bool:
    """Whether a file is, or may be full of, pickles, going by its name and its first bytes."""
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        return True
    if path.is_dir():
        return (path / "data.mdb").is_file()
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        return False
    return len(start) == 2 and start[0] == 0x80 and 1 <= start[1] <= 5


def pickle_advice(path: Path | str) -> str:
    """What to say of a pickle."""
    return (
        f"{path}: holds pickled objects, which can run anything when they are loaded; load it yourself where "
        "you trust it, save plain arrays (numpy.savez(name, feat=..., bbox=...)), and import those"
    )


def load_npy(path: Path) -> NDArray[Any]:
    """The array in a small `.npy` file; raises `BadItem`."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except OSError as error:
        raise BadItem(system_reason(error) if error.errno else f"is no .npy file ({error})") from None
    except (ValueError, EOFError) as error:
        raise BadItem(_why(error)) from None


def load_npz(path: Path, wanted: dict[str, tuple[str, ...]]) -> dict[str, NDArray[Any]]:
    """Some arrays of a `.npz` file; what else it holds is not looked at.

    Arguments:
        wanted: by the key of the result, the names that the array may have.

    Raises `BadItem`.
    """
    import zipfile
    import zlib

    found = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise BadItem("is no .npz file")
            for key, names in wanted.items():
                name = next((name for name in names if name in file.files), None)
                if name is not None:
                    found[key] = file[name]
    except OSError as error:
        raise BadItem(system_reason(error) if error.errno else f"cannot be read ({error})") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadItem(_why(error)) from None
    return found


def _why(error: Exception) -> str:
    if "allow_pickle" in str(error) or "Object arrays" in str(error) or "pickle" in str(error).lower():
        return (
            "holds pickled objects, which can run anything when they are loaded; "
            "save it again as plain arrays (numpy.savez) where you trust it"
        )
    return f"cannot be read ({' '.join(str(error).split())[:200]})"


def decoded(cell: bytes, dtype: type[np.generic] | np.dtype[Any]) -> NDArray[Any]:
    """[n]: the array in base64 text, also where Python 3 wrote it as `b'...'`; raises `BadItem`."""
    cell = cell.strip()
    if cell[:2] in (b"b'", b'b"') and cell[-1:] == cell[1:2]:
        cell = cell[2:-1]
    try:
        data = base64.b64decode(b"".join(cell.replace(rb"\n", b"").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadItem(f"is not base64 ({error})") from None
    if len(data) % np.dtype(dtype).itemsize:
        raise BadItem(f"holds {len(data)} bytes, which are no whole {np.dtype(dtype).name} values")
    return np.frombuffer(data, dtype=dtype)


def checked_count(count: int, values: NDArray[Any]) -> int:
    """How many of an item's rows count, where arrays are padded to the most that any has; or `BadItem`."""
    if not 0 <= count <= len(values):
        raise BadItem(f"is said to have {count} regions where there are {len(values)}")
    return count


class NpyRows:
    """A large `.npy` file read row by row; unlike a mapped one, what was read does not stay in memory.

    In Fortran's order a row lies scattered over the file: blocks of rows are gathered then, and one is kept.
    Raises `DataError` where it is no such file or holds objects.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }
                shape, fortran, dtype = read[version](file)
                self._start = file.tell()
        except OSError as error:
            raise DataError(f"{path}: {system_reason(error)}") from None
        except (ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path}: is no .npy file ({error})") from None
        if dtype.hasobject:
            raise DataError(pickle_advice(path))
        if not shape:
            raise DataError(f"{path}: holds a single value, not rows")
        self.shape: tuple[int, ...] = shape
        self.dtype: np.dtype[Any] = dtype
        self._row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        size = os.path.getsize(path)  # noqa: PTH202  of what is open
        self.whole = (size - self._start) // self._row if self._row else shape[0]
        self._scattered = fortran and len(shape) > 1
        self._block: tuple[int, NDArray[Any]] | None = None  # the first of its rows, and these
        if self._scattered and self.whole < shape[0]:
            self.whole = 0  # what is cut off are values of every row

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """[stop - start, ...]: some rows; raises `BadItem` where the file ends before them."""
        if stop > self.whole:
            raise BadItem(f"the file ends before this row ({self.whole} of {len(self)} rows are whole)")
        if self._scattered and self._row:
            first, block = self._gathered(start, stop)
            return block[start - first : stop - first]
        with self.path.open("rb") as file:
            file.seek(self._start + start * self._row)
            data = file.read((stop - start) * self._row)
        return np.frombuffer(data, dtype=self.dtype).reshape(stop - start, *self.shape[1:])

    def _gathered(self, start: int, stop: int) -> tuple[int, NDArray[Any]]:
        """A block that holds these rows, and the number of its first one."""
        if self._block is None or not self._block[0] <= start <= stop <= self._block[0] + len(self._block[1]):
            end = min(len(self), max(stop, start + _GATHERED // self._row))
            columns = np.empty((self._row // self.dtype.itemsize, end - start), dtype=self.dtype)
            with self.path.open("rb", buffering=0) as file:
                for number, column in enumerate(columns):
                    file.seek(self._start + (number * len(self) + start) * self.dtype.itemsize)
                    column[:] = np.frombuffer(file.read(column.nbytes), dtype=self.dtype)
            rows = columns.T.reshape(end - start, *reversed(self.shape[1:]))
            self._block = start, rows.transpose(0, *range(rows.ndim - 1, 0, -1))
        return self._block


def listed(folder: Path, suffixes: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Files of a folder and the folders in it, by their names inside it without the suffix, sorted."""
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(where, folder)
        for file in files:
            stem, suffix = os.path.splitext(file)  # noqa: PTH122  names may be `a.b.npz`
            if suffix.lower() in suffixes and not file.startswith("."):
                name = stem if inside == "." else f"{inside.replace(os.sep, '/')}/{stem}"
                found.append((name, Path(where, file)))
    return sorted(found, key=lambda one: (_natural(one[0]), str(one[1])))


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.isascii() and name.isdecimal() else (1, 0, name)
