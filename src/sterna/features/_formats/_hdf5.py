"""HDF5 as people have it: one array of all images with ids beside, or a group or data set for each image.

- `features` (or `image_features`, `feat`, `x`) [N, R, D], `ids` (`image_ids`, `image_id`, ...) [N], `boxes`
  (`image_bb`, `bbox`) [N, R, 4], `num_boxes` [N], and `sizes` [N, 2] or `image_w` and `image_h` [N];
- the same with regions of all images one after the other, [sum of R, D], and `pos_boxes` [N, 2], where each
  image's begin and end;
- `ID/features` and `ID/boxes`, groups by image id, or `features/ID` and `boxes/ID`; or `ID_features`,
  `ID_boxes` and `ID_size` (height and width); or `ID` alone, an array [R, D].

Boxes are in pixels unless none is larger than 1 or the attribute `unit` of `boxes` is "relative".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, MissingExtraError
from sterna.features._foreign import BadItem, Entry, Foreign, Format, Item, Passage
from sterna.features._formats._arrays import checked_count, pickle_advice
from sterna.features._formats._hdf5_groups import Grouped
from sterna.features._formats._hdf5_names import (
    IDS,
    UNREADABLE,
    WANTED,
    first,
    one_line,
    text,
    texts,
)
from sterna.features._formats._hdf5_writer import Hdf5Writer

__all__ = ["FORMAT"]

_SUFFIXES = {".h5", ".hdf5", ".hdf", ".he5"}


def _claims(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def _library() -> Any:
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("Reading and writing HDF5", extra="hdf5") from None
    return h5py


class _File:
    """A file, opened each time that it is gone through."""

    def __init__(self, path: Path) -> None:
        self.files = [(path.name, path)]
        self._path, self._h5py = path, _library()
        with self._opened() as file:
            self._array = first(file, WANTED["features"])
            layout = self._layout(file)
            self.has_boxes, self.extras = layout.has_boxes, layout.extras

    def _opened(self) -> Any:
        try:
            return self._h5py.File(self._path, "r")
        except OSError as error:
            raise DataError(f"{self._path}: is no readable HDF5 file ({one_line(error)})") from None

    def _layout(self, file: Any) -> _Whole | Grouped:
        if self._array is not None and len(getattr(file[self._array], "shape", [])):
            return _Whole(file, self._array, path=self._path)
        return Grouped(file, path=self._path)

    def __iter__(self) -> Iterator[Entry]:
        with self._opened() as file:
            yield from self._layout(file).entries(self._path.name)

    def passages(self) -> Iterator[Passage]:
        return iter(())


class _Whole:
    """All images in one array."""

    def __init__(self, file: Any, features: str, *, path: Path) -> None:
        self._features = file[features]
        if self._features.dtype.hasobject:
            raise DataError(pickle_advice(path))
        self._named = {what: first(file, names) for what, names in WANTED.items()}
        self._named["places"] = "pos_boxes" if "pos_boxes" in file else None
        self._file = file
        flat = self._named["places"] is not None
        self._count = len(file["pos_boxes"]) if flat else len(self._features)
        ids = first(file, IDS)
        self._ids = [str(row) for row in range(self._count)] if ids is None else texts(file[ids])
        if len(self._ids) != self._count:
            raise DataError(f"{path}: {len(self._ids)} ids for {self._count} images")
        self.has_boxes = self._named["boxes"] is not None
        self._relative = None
        if self._named["boxes"] is not None and "unit" in file[self._named["boxes"]].attrs:
            self._relative = text(file[self._named["boxes"]].attrs["unit"]) == "relative"
        self.extras = tuple(name for name in ("scores", "classes") if self._named[name] is not None)

    def entries(self, where: str) -> Iterator[Entry]:
        for row, identity in enumerate(self._ids):
            place = f"{where}:{self._features.name.strip('/')}[{row}]"
            yield Entry(identity or None, place, partial(self._read, row), row / max(1, self._count))

    def _read(self, row: int) -> Item:
        try:
            return self._item(row)
        except UNREADABLE as error:
            raise BadItem(f"cannot be read ({one_line(error)})") from None

    def _item(self, row: int) -> Item:
        if self._named["places"] is not None:
            start, stop = (int(one) for one in self._file["pos_boxes"][row])
            rows: Any = slice(start, stop)
            count: int | None = stop - start
        else:
            rows = row
            count = None if self._named["count"] is None else int(np.ravel(self._at("count", row))[0])
        values = np.asarray(self._features[rows])
        values = values[None] if values.ndim == 1 else values.reshape(-1, values.shape[-1])
        count = len(values) if count is None else checked_count(count, values)
        found = {
            name: np.asarray(self._at(name, rows))[:count]
            for name in ("boxes", "scores", "classes")
            if self._named[name] is not None
        }
        return Item(
            values[:count],
            boxes=found.get("boxes"),
            size=self._size(row),
            relative=self._relative,
            scores=found.get("scores"),
            classes=found.get("classes"),
        )

    def _at(self, name: str, rows: Any) -> NDArray[Any]:
        return np.asarray(self._file[self._named[name]][rows])

    def _size(self, row: int) -> tuple[int, int] | None:
        if self._named["sizes"] is not None:
            width, height = (int(one) for one in np.ravel(self._at("sizes", row))[:2])
        elif self._named["width"] is not None and self._named["height"] is not None:
            width, height = (int(np.ravel(self._at(name, row))[0]) for name in ("width", "height"))
        else:
            return None
        return (width, height) if width > 0 and height > 0 else None


def _open(path: Path) -> Foreign:
    return _File(path)


FORMAT = Format(
    kind="images",
    looks="NAME.h5 with features [N, R, D] and ids, or with a group or data sets for each image",
    claims=_claims,
    open=_open,
    write=Hdf5Writer,
    keeps=("boxes", "scores", "classes"),
)
