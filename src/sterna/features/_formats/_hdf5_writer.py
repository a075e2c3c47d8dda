"""Writing HDF5: every array is laid out first and then filled, so that a kill leaves a file that opens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, MissingExtraError
from sterna.features._foreign import Item, Target
from sterna.files import disk_errors, fsync_folder

__all__ = ["Hdf5Writer"]

_OVERHEAD = 64 << 10  # bytes; what a file holds beside arrays
_EVERY = 64  # items after which what is written is handed to the system


class Hdf5Writer:
    """`features` [N, R, D] padded with zeros, `num_boxes`, `ids` [N], `boxes` [N, R, 4], `sizes` [N, 2]."""

    def __init__(self, target: Target) -> None:
        try:
            import h5py
        except ImportError:
            raise MissingExtraError("Reading and writing HDF5", extra="hdf5") from None
        self._h5py, self._target = h5py, target
        self._dest = target.dest
        if self._dest.is_dir():
            raise DataError(f"{self._dest}: is a folder; name a file, such as features.h5")
        self._part = self._dest.with_name(self._dest.name + ".part")
        with disk_errors(self._dest):
            self._dest.parent.mkdir(parents=True, exist_ok=True)
        self._place = {identity: row for row, identity in enumerate(target.ids)}
        self._file = self._go_on() or self._lay_out()
        self._reserve(self._part.stat().st_size)
        self._filled: NDArray[np.uint8] = self._file["filled"][()]
        self._pending: list[int] = []

    def _go_on(self) -> Any:
        if not self._part.is_file():
            return None
        try:
            file = self._h5py.File(self._part, "r+")
            if "filled" in file and file.attrs.get("laid_out") == 1:
                return file
            file.close()
        except OSError:  # killed while it was laid out
            pass
        return None

    def _lay_out(self) -> Any:
        target, count = self._target, len(self._target.ids)
        most = int(target.lengths.max(initial=0))
        self._reserve(count * most * target.dim * np.dtype(target.dtype).itemsize + _OVERHEAD)
        with disk_errors(self._dest):
            file = self._h5py.File(self._part, "w")
            self._empty(file, "features", (count, most, target.dim), _little(target.dtype))
            file.create_dataset("num_boxes", data=target.lengths.astype("<i8"))
            encoded = [one.encode("utf-8", errors="surrogateescape") for one in target.ids]
            file.create_dataset("ids", data=encoded, dtype=self._h5py.string_dtype())
            if target.boxes:
                self._empty(file, "boxes", (count, most, 4), "<f4")
                file["boxes"].attrs["unit"] = "pixels"
                self._empty(file, "sizes", (count, 2), "<i4")
            for name, dtype in _extras(target):
                self._empty(file, name, (count, most), dtype)
            self._empty(file, "filled", (count,), "u1")
            file.attrs["laid_out"] = 1
            file.close()
        # opened again: from here on nothing but values changes, and a kill leaves a file that opens
        return self._h5py.File(self._part, "r+")

    def _reserve(self, size: int) -> None:
        """Take disk space for the HDF5 library, which ends the process where there is none left."""
        if hasattr(os, "posix_fallocate"):
            with disk_errors(self._dest), self._part.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)

    def _empty(self, file: Any, name: str, shape: tuple[int, ...], dtype: str) -> None:
        """A data set of zeros whose place in the file is settled now and not when it is first written to."""
        h5py = self._h5py
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # what a new file was not written to is zero
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, made)

    def done(self, identity: str) -> bool:
        return bool(self._filled[self._place[identity]])

    def write(self, identity: str, item: Item) -> None:
        row, regions = self._place[identity], len(item.values)
        with disk_errors(self._dest):
            self._file["features"][row, :regions] = item.values
            if self._target.boxes:
                self._file["boxes"][row, :regions] = item.boxes
                self._file["sizes"][row] = item.size
            for name, _ in _extras(self._target):
                self._file[name][row, :regions] = getattr(item, name)
        self._pending.append(row)
        if len(self._pending) >= _EVERY:
            self._keep()

    def _keep(self) -> None:
        """Hand the values to the system before it is noted that they are there."""
        with disk_errors(self._dest):
            self._file.flush()
            for row in self._pending:
                self._file["filled"][row] = 1
            self._file.flush()
        self._pending.clear()

    def close(self) -> None:
        self._keep()
        with disk_errors(self._dest):
            del self._file["filled"]
            del self._file.attrs["laid_out"]
            self._file.close()
            with self._part.open("rb") as file:
                os.fsync(file.fileno())
            self._part.replace(self._dest)
            fsync_folder(self._dest.parent)

    def abandon(self) -> None:
        self._keep()
        self._file.close()


def _little(dtype: str) -> str:
    return np.dtype(dtype).newbyteorder("<").str


def _extras(target: Target) -> Sequence[tuple[str, str]]:
    return [
        (name, dtype)
        for name, dtype, there in (("scores", "<f4", target.scores), ("classes", "<i4", target.classes))
        if there
    ]
