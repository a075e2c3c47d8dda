"""Vectors on disk: files of rows, one after the other, that only grow.

A segment holds nothing but its rows, [rows, E] in little-endian float16 (or float32). How many of them
count is said by the catalogue alone, and only after they are safely on the disk: what a killed process left
behind them is overwritten by the next.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import LibraryError
from sterna.files import disk_errors, fsync_folder
from sterna.library._catalog import Catalog

__all__ = [
    "ROWS",
    "Segment",
    "SegmentWriter",
    "forget_missing_rows",
    "map_rows",
    "segment_files",
    "segments_of",
]

ROWS = 1 << 18  # rows of a segment: 256 MB of float16 at width 512
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
    def present(self) -> int:
        """How many of its rows its file holds: all of them, unless somebody damaged the file."""
        try:
            return min(self.rows, self.path.stat().st_size // self.row_bytes)
        except OSError:
            return 0


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
    """The rows [rows, E] of a segment as a read-only memory map."""
    rows = segment.present
    dtype = np.dtype(segment.dtype).newbyteorder("<")
    if rows == 0:
        return np.empty((0, segment.dim), dtype)
    return np.memmap(segment.path, dtype, mode="r", shape=(rows, segment.dim))


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
        rows = np.ascontiguousarray(vectors, dtype=np.dtype(self._dtype).newbyteorder("<"))
        with disk_errors(segment.path):
            made = not segment.path.exists()
            segment.path.parent.mkdir(parents=True, exist_ok=True)
            with segment.path.open("r+b" if not made else "xb") as file:
                file.truncate(segment.rows * segment.row_bytes)  # rows that a killed process left
                file.seek(segment.rows * segment.row_bytes)
                file.write(rows.tobytes())
                file.flush()
                os.fsync(file.fileno())
            if made:
                fsync_folder(segment.path.parent)
        self._catalog.run(
            "UPDATE segments SET rows = ? WHERE id = ?", (segment.rows + len(rows), segment.number)
        )
        return segment.number, segment.rows

    def _newest(self, more: int) -> Segment:
        known = segments_of(self._catalog, self._model)
        if known and known[-1].number > self._behind and known[-1].rows + more <= ROWS:
            return known[-1]
        number = int(self._catalog.value("SELECT COALESCE(MAX(id), 0) + 1 FROM segments"))
        path = f"{self._folder}/{number:06}.{'f16' if self._dtype == 'float16' else 'f32'}"
        self._catalog.run("INSERT INTO segments VALUES (?, ?, ?, 0)", (number, self._model, path))
        self._catalog.folder.joinpath(path).unlink(missing_ok=True)  # of a process killed before it committed
        return Segment(number, self._catalog.folder / path, 0, self._dim, self._dtype)


def segment_files(folder: Path) -> list[Path]:
    """All segment files of a library."""
    return sorted((folder / _FOLDER).glob("*/*.f??"))


def forget_missing_rows(catalog: Catalog) -> None:
    """Take out of the catalogue the vectors whose rows are no longer in their files, to be embedded again."""
    for (model,) in catalog.rows("SELECT id FROM models"):
        for segment in segments_of(catalog, model):
            present = segment.present
            if present < segment.rows:
                with catalog.transaction():
                    catalog.run(
                        "DELETE FROM vectors WHERE model = ? AND segment = ? AND row >= ?",
                        (model, segment.number, present),
                    )
                    catalog.run("UPDATE segments SET rows = ? WHERE id = ?", (present, segment.number))
                    catalog.touch(losses=True)
