"""HDF5 as people have it: one array of all images with ids beside, or a group or data set for each image.

- `features` (or `image_features`, `feat`, `x`) [N, R, D], `ids` (`image_ids`, `image_id`, ...) [N], `boxes`
  (`image_bb`, `bbox`) [N, R, 4], `num_boxes` [N], and `sizes` [N, 2] or `image_w` and `image_h` [N];
- the same with regions of all images one after the other, [sum of R, D], and `pos_boxes` [N, 2], where each
  image's begin and end;
- `ID/features` and `ID/boxes`, groups by image id; or `ID_features`, `ID_boxes` and `ID_size` (height and
  width); or `ID` alone, an array [R, D].

Boxes are in pixels unless none is larger than 1 or the attribute `unit` of `boxes` is "relative".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, MissingExtraError
from sterna.features._foreign import BadItem, Entry, Foreign, Format, Item, Passage
from sterna.features._formats._arrays import pickle_advice
from sterna.features._formats._hdf5_writer import Hdf5Writer

__all__ = ["FORMAT"]

_SUFFIXES = {".h5", ".hdf5", ".hdf", ".he5"}
_FEATURES = ("features", "image_features", "feat", "feats", "x", "att", "att_feats")
_IDS = ("ids", "image_ids", "image_id", "img_ids", "img_id", "names", "id")
_BOXES = ("boxes", "image_bb", "bbox", "bboxes")
_COUNTS = ("num_boxes", "num_bbox", "num_bboxes", "num_regions")
_WIDTHS, _HEIGHTS = ("image_w", "img_w", "width", "widths"), ("image_h", "img_h", "height", "heights")
_SIZES = ("sizes", "image_sizes", "img_sizes")
_SCORES, _CLASSES = ("scores", "objects_conf"), ("classes", "objects_id")
_OF_IMAGE = re.compile(r"(.+)_features")


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
            self._array = _first(file, _FEATURES)
            layout = self._layout(file)
            self.has_boxes, self.extras = layout.has_boxes, layout.extras

    def _opened(self) -> Any:
        try:
            return self._h5py.File(self._path, "r")
        except OSError as error:
            raise DataError(f"{self._path}: is no readable HDF5 file ({_one_line(error)})") from None

    def _layout(self, file: Any) -> _Whole | _Grouped:
        if self._array is not None and hasattr(file[self._array], "shape"):
            return _Whole(file, self._array, path=self._path)
        return _Grouped(file, path=self._path)

    def __iter__(self) -> Iterator[Entry]:
        with self._opened() as file:
            yield from self._layout(file).entries(self._path.name)

    def passages(self) -> Iterator[Passage]:
        return iter(())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _first(file: Any, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in file), None)


class _Whole:
    """All images in one array."""

    def __init__(self, file: Any, features: str, *, path: Path) -> None:
        self._features = file[features]
        if self._features.dtype.hasobject:
            raise DataError(pickle_advice(path))
        self._named = {
            "boxes": _first(file, _BOXES),
            "count": _first(file, _COUNTS),
            "sizes": _first(file, _SIZES),
            "width": _first(file, _WIDTHS),
            "height": _first(file, _HEIGHTS),
            "scores": _first(file, _SCORES),
            "classes": _first(file, _CLASSES),
            "places": "pos_boxes" if "pos_boxes" in file else None,
        }
        self._file = file
        flat = self._named["places"] is not None
        self._count = len(file["pos_boxes"]) if flat else len(self._features)
        ids = _first(file, _IDS)
        self._ids = [str(row) for row in range(self._count)] if ids is None else _texts(file[ids])
        if len(self._ids) != self._count:
            raise DataError(f"{path}: {len(self._ids)} ids for {self._count} images")
        self.has_boxes = self._named["boxes"] is not None
        self._relative = None
        if self._named["boxes"] is not None and "unit" in file[self._named["boxes"]].attrs:
            self._relative = _text(file[self._named["boxes"]].attrs["unit"]) == "relative"
        self.extras = tuple(name for name in ("scores", "classes") if self._named[name] is not None)

    def entries(self, where: str) -> Iterator[Entry]:
        for row, identity in enumerate(self._ids):
            place = f"{where}:{self._features.name.strip('/')}[{row}]"
            yield Entry(identity or None, place, partial(self._read, row), row / max(1, self._count))

    def _read(self, row: int) -> Item:
        try:
            return self._item(row)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise BadItem(f"cannot be read ({_one_line(error)})") from None

    def _item(self, row: int) -> Item:
        if self._named["places"] is not None:
            start, stop = (int(one) for one in self._file["pos_boxes"][row])
            rows: Any = slice(start, stop)
            count = stop - start
        else:
            rows = row
            count = -1 if self._named["count"] is None else int(np.ravel(self._at("count", row))[0])
        values = np.asarray(self._features[rows])
        values = values[None] if values.ndim == 1 else values.reshape(-1, values.shape[-1])
        count = len(values) if count < 0 else count
        if count > len(values):
            raise BadItem(f"is said to have {count} regions where there are {len(values)}")
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


class _Grouped:
    """A group, or some data sets, for each image."""

    def __init__(self, file: Any, *, path: Path) -> None:
        self._file = file
        self._members: dict[str, dict[str, str]] = {}
        for key in file:
            if hasattr(file[key], "keys"):
                members = file[key]
                self._members[key] = {
                    what: f"{key}/{name}"
                    for what, names in _WANTED.items()
                    if (name := _first(members, names)) is not None
                }
            elif match := _OF_IMAGE.fullmatch(key):
                self._members[match[1]] = {"features": key} | {
                    what: f"{match[1]}_{what}" for what in ("boxes", "size") if f"{match[1]}_{what}" in file
                }
        if not self._members:  # an array for each image
            plain = {key: {"features": key} for key in file if getattr(file[key], "ndim", 0) in (2, 3)}
            self._members = plain
        if not self._members:
            names = ", ".join(list(file)[:8])
            raise DataError(f"{path}: holds no data set of features that is known ({names})")
        first = next(iter(self._members.values()))
        self.has_boxes = "boxes" in first
        self.extras = tuple(name for name in ("scores", "classes") if name in first)

    def _unit(self, members: Mapping[str, str]) -> bool | None:
        if "boxes" not in members or "unit" not in self._file[members["boxes"]].attrs:
            return None
        return _text(self._file[members["boxes"]].attrs["unit"]) == "relative"

    def entries(self, where: str) -> Iterator[Entry]:
        for number, (identity, members) in enumerate(self._members.items()):
            share = number / len(self._members)
            yield Entry(identity, f"{where}:{identity}", partial(self._read, members), share)

    def _read(self, members: Mapping[str, str]) -> Item:
        if "features" not in members:
            raise BadItem("has no features")
        try:
            found = {
                name: self._array(members[name])
                for name in ("features", "boxes", "scores", "classes")
                if name in members
            }
            size = self._size(members)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise BadItem(f"cannot be read ({_one_line(error)})") from None
        values = found["features"]
        values = values[None] if values.ndim == 1 else values.reshape(-1, values.shape[-1])
        return Item(
            values,
            boxes=found.get("boxes"),
            size=size,
            relative=self._unit(members),
            scores=found.get("scores"),
            classes=found.get("classes"),
        )

    def _array(self, name: str) -> NDArray[Any]:
        data = self._file[name]
        if data.dtype.hasobject:
            raise BadItem("holds objects, not numbers")
        return np.asarray(data[()])

    def _size(self, members: Mapping[str, str]) -> tuple[int, int] | None:
        if "size" in members:  # height and width, as region features beside grids have them
            height, width = (int(one) for one in np.ravel(self._array(members["size"]))[:2])
            return width, height
        if "sizes" in members:
            width, height = (int(one) for one in np.ravel(self._array(members["sizes"]))[:2])
            return width, height
        if "width" in members and "height" in members:
            return tuple(int(np.ravel(self._array(members[one]))[0]) for one in ("width", "height"))  # type: ignore[return-value]
        holder = self._file[members["features"]].parent
        names = next(((w, h) for w, h in zip(_WIDTHS, _HEIGHTS, strict=True) if w in holder.attrs), None)
        return None if names is None else (int(holder.attrs[names[0]]), int(holder.attrs[names[1]]))


_WANTED = {
    "features": _FEATURES,
    "boxes": _BOXES,
    "scores": _SCORES,
    "classes": _CLASSES,
    "sizes": _SIZES,
    "width": _WIDTHS,
    "height": _HEIGHTS,
}


def _texts(data: Any) -> list[str]:
    values = np.ravel(data[()])
    return [_text(one) for one in values.tolist()]


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="surrogateescape") if isinstance(value, bytes) else str(value)


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
