"""Vectors on disk: files of rows, one after the other, that only grow.

A segment holds nothing but its rows, [rows, E] in little-endian float16 (or float32). How many of them
count is said by the catalogue alone, and only after they are safely on the disk: what a killed process left
behind them is overwritten by the next. With them the catalogue notes a sum of their bytes, by which damage
is found.
"""

from __future__ import annotations

import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import LibraryError
from sterna.files import disk_errors, fsync_folder
from sterna.library._catalog import Catalog

__all__ = ["ROWS", "SUMMED", "Segment", "SegmentWriter", "map_rows", "segment_files", "segments_of"]

ROWS = 1 << 18  # rows of a segment: 256 MB of float16 at width 512
SUMMED = 1024  # rows at most that one sum is of: where it is wrong, all of them are made anew
_FOLDER = "vectors"


@dataclass(frozen=True)
class Segment:
    """A segment as the catalogue knows it; `path` is absolute, `rows` those that count."""

    number: int
    path: Path
    rows: int
    dim: int
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dim * np.dtype(self.dtype).itemsize

    @property
    def stored(self) -> np.dtype[Any]:
        """How a row's numbers lie in the file."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def present(self) -> int:
        """How many of its rows its file holds: all of them, unless somebody damaged the file."""
        try:
            status = self.path.stat()
        except OSError:
            return 0
        return min(self.rows, status.st_size // self.row_bytes) if stat.S_ISREG(status.st_mode) else 0


def segments_of(catalog: Catalog, model: int) -> list[Segment]:
    """The segments of a model, oldest first."""
    rows = catalog.rows(
        "SELECT segments.id, segments.path, rows, dim, dtype FROM segments JOIN models ON models.id = model "
        "WHERE model = ? ORDER BY segments.id",
        (model,),
    )
    return [
        Segment(number, catalog.folder / path, count, dim, dtype) for number, path, count, dim, dtype in rows
    ]


def map_rows(segment: Segment) -> NDArray[Any]:
    """The rows [rows, E] of a segment as a read-only memory map; fewer where its file has not all of them."""
    rows = segment.present
    if rows:
        try:
            return np.memmap(segment.path, segment.stored, mode="r", shape=(rows, segment.dim))
        except (OSError, ValueError):  # it may not be read, or has gone or shrunk since
            pass
    return np.empty((0, segment.dim), segment.stored)


class SegmentWriter:
    """Appends rows to the newest segment of a model; one writer at a time, under the library's lock.

    Arguments:
        catalog: the library's catalogue.
        model: the id of the model.
        behind: rows go into segments newer than this one.
    """

    def __init__(self, catalog: Catalog, model: int, *, behind: int = 0) -> None:
        self._behind = behind
        self._catalog = catalog
        self._model = model
        fingerprint, self._dim, self._dtype = catalog.rows(
            "SELECT fingerprint, dim, dtype FROM models WHERE id = ?", (model,)
        )[0]
        self._folder = f"{_FOLDER}/{fingerprint[:16]}"

    def append(self, vectors: NDArray[np.float32]) -> tuple[int, int]:
        """Write vectors [n, E] behind the rows that count and flush them to the disk.

        Returns the segment's id and the number of the first new row. They count once the caller commits the
        transaction it is in. Raises `DiskError` on a full disk; the segment is then as it was.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise LibraryError(f"vectors {list(vectors.shape)} came from a model of width {self._dim}")
        segment = self._newest(len(vectors))
        data = np.ascontiguousarray(vectors, dtype=segment.stored).tobytes()
        try:
            with disk_errors(segment.path):
                _write(segment, data)
        except (FileExistsError, NotADirectoryError):
            raise LibraryError(
                f"{segment.path.parent}: a file lies where the library keeps its vectors; move it away"
            ) from None
        self._note(segment, data)
        return segment.number, segment.rows

    def _note(self, segment: Segment, data: bytes) -> None:
        size, count = segment.row_bytes, len(data) // segment.row_bytes
        self._catalog.run_many(
            "INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?)",
            [
                (
                    segment.number,
                    segment.rows + first,
                    min(SUMMED, count - first),
                    zlib.crc32(data[first * size : (first + SUMMED) * size]),
                )
                for first in range(0, count, SUMMED)
            ],
        )
        self._catalog.run("UPDATE segments SET rows = ? WHERE id = ?", (segment.rows + count, segment.number))

    def _newest(self, more: int) -> Segment:
        known = segments_of(self._catalog, self._model)
        if known and known[-1].number > self._behind and known[-1].rows + more <= ROWS:
            return known[-1]
        number = int(self._catalog.value("SELECT COALESCE(MAX(id), 0) + 1 FROM segments"))
        while True:
            path = f"{self._folder}/{number:06}.{'f16' if self._dtype == 'float16' else 'f32'}"
            if not self._catalog.folder.joinpath(path).is_dir():
                break
            number += 1  # somebody else's folder has that name
        self._catalog.run("INSERT INTO segments VALUES (?, ?, ?, 0)", (number, self._model, path))
        self._catalog.folder.joinpath(path).unlink(missing_ok=True)  # of a process killed before it committed
        return Segment(number, self._catalog.folder / path, 0, self._dim, self._dtype)


def _write(segment: Segment, data: bytes) -> None:
    made = not segment.path.exists()
    segment.path.parent.mkdir(parents=True, exist_ok=True)
    with segment.path.open("r+b" if not made else "xb") as file:
        file.truncate(segment.rows * segment.row_bytes)  # rows that a killed process left
        file.seek(segment.rows * segment.row_bytes)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if made:
        fsync_folder(segment.path.parent)


def segment_files(folder: Path) -> list[Path]:
    """All segment files of a library."""
    return sorted((folder / _FOLDER).glob("*/*.f??"))
