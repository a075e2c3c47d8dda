"""Writing SCAN's splits row by row, so that a killed export goes on at the first missing row."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.features._foreign import BadItem, Item, Passage, Target
from sterna.files import disk_errors, fsync_folder, write_text

__all__ = ["ScanWriter"]


class _Rows:
    """A `.npy` file of known shape that grows by rows under the name `NAME.part`."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        header = io.BytesIO()
        described = {"descr": np.dtype(dtype).newbyteorder("<").str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, described)
        self._head, self._dtype, self._shape = header.getvalue(), np.dtype(dtype), shape
        self._row = int(np.prod(shape[1:])) * self._dtype.itemsize
        with disk_errors(path):
            self._file: IO[bytes] = self._part.open("ab+")
            self._file.seek(0)
            if self._file.read(len(self._head)) != self._head:
                self.keep(0)

    @property
    def count(self) -> int:
        """How many rows are whole."""
        return (self._file.seek(0, os.SEEK_END) - len(self._head)) // self._row

    def keep(self, count: int) -> None:
        """Cut off what comes after so many rows."""
        self._file.seek(0)
        if count == 0:
            self._file.truncate(0)
            self._file.write(self._head)
        else:
            self._file.truncate(len(self._head) + count * self._row)
        self._file.seek(0, os.SEEK_END)

    def add(self, row: NDArray[Any]) -> None:
        """Write the next row, and hand it to the system, which keeps it when this process is killed."""
        with disk_errors(self._path):
            self._file.write(np.ascontiguousarray(row, dtype=self._dtype.newbyteorder("<")).tobytes())
            self._file.flush()

    def close(self) -> None:
        """Make it durable under its name."""
        with disk_errors(self._path):
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
            fsync_folder(self._path.parent)

    def abandon(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):  # a full disk was told of already
            self._file.close()


class _SplitWriter:
    """One split: its arrays while items come, its texts at the end."""

    def __init__(self, target: Target, name: str, ids: Sequence[str], regions: int) -> None:
        self.name, self.ids = name, ids
        self._folder = target.dest
        self._captions = _by_image(target.passages, set(ids))
        captioned = bool(target.passages)
        counts = [len(self._captions.get(one, ())) for one in ids]
        even = len(set(counts)) <= 1 and (not captioned or (counts and counts[0] > 1))
        # where images have different numbers of captions, a row is repeated for each caption, as of old
        self._times = [1] * len(ids) if even or not captioned else counts
        rows = sum(self._times)
        shapes: dict[str, tuple[tuple[int, ...], str]] = {"ims": ((rows, regions, target.dim), target.dtype)}
        if target.boxes:
            shapes |= {"boxes": ((rows, regions, 4), "float32"), "img_sizes": ((rows, 2), "int32")}
        self._arrays = {
            what: _Rows(target.dest / f"{name}_{what}.npy", shape, dtype)
            for what, (shape, dtype) in shapes.items()
        }
        self.next = self._go_on()

    def _go_on(self) -> int:
        """The place of the first image of which not all is there."""
        whole = min(rows.count for rows in self._arrays.values())
        ends = np.cumsum(self._times)
        place = int(np.searchsorted(ends, whole, side="right"))
        for rows in self._arrays.values():
            rows.keep(int(ends[place - 1]) if place else 0)
        return place

    def add(self, item: Item) -> None:
        made: dict[str, Any] = {"ims": item.values}
        if "boxes" in self._arrays:
            made |= {"boxes": item.boxes, "img_sizes": np.array(item.size)}
        for _ in range(self._times[self.next]):
            for what, rows in self._arrays.items():
                rows.add(made[what])
        self.next += 1

    def close(self) -> None:
        for rows in self._arrays.values():
            rows.close()
        ids = [one for one, times in zip(self.ids, self._times, strict=True) for _ in range(times)]
        _write_lines(self._folder / f"{self.name}_ids.txt", ids)
        if self._captions:
            texts = [text for one in self.ids for text in self._captions.get(one, ())]
            _write_lines(self._folder / f"{self.name}_caps.txt", texts)

    def abandon(self) -> None:
        for rows in self._arrays.values():
            rows.abandon()


def _by_image(passages: Sequence[Passage], ids: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for passage in passages:
        if passage.image in ids:
            found.setdefault(passage.image, []).append(" ".join(passage.text.split()))
    return found


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))


class ScanWriter:
    """Writes `{split}_ims.npy` and what belongs to it; raises `DataError` where lengths differ."""

    def __init__(self, target: Target) -> None:
        lengths = np.unique(target.lengths)
        if len(lengths) > 1:
            first = int(np.flatnonzero(target.lengths != target.lengths[0])[0])
            raise DataError(
                f"{target.dest}: SCAN's arrays need the same number of regions for every image; "
                f"{target.ids[0]!r} has {target.lengths[0]} and {target.ids[first]!r} "
                f"{target.lengths[first]}: export as tsv, npz or hdf5"
            )
        if bad := next((one for one in target.ids if not one or one != one.strip() or "\n" in one), None):
            raise DataError(f"{target.dest}: the id {bad!r} is no line of a file of ids")
        with disk_errors(target.dest):
            target.dest.mkdir(parents=True, exist_ok=True)
        self._place: dict[str, tuple[_SplitWriter, int]] = {}
        self._splits: list[_SplitWriter] = []
        names = list(target.splits) or [None] * len(target.ids)
        for name in dict.fromkeys(names):
            ids = [one for one, its in zip(target.ids, names, strict=True) if its == name]
            split = _SplitWriter(target, name or "all", ids, int(lengths[0]) if len(lengths) else 0)
            self._splits.append(split)
            self._place |= {one: (split, place) for place, one in enumerate(ids)}

    def done(self, identity: str) -> bool:
        split, place = self._place[identity]
        return place < split.next

    def write(self, identity: str, item: Item) -> None:
        split, place = self._place[identity]
        if place != split.next:  # one before it could not be written; rows cannot be left out
            raise BadItem("comes after one that could not be written, and rows keep their order")
        split.add(item)

    def close(self) -> None:
        for split in self._splits:
            split.close()

    def abandon(self) -> None:
        for split in self._splits:
            split.abandon()
