"""HDF5 files with a group, or some data sets, for each image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.features._foreign import BadItem, Entry, Item
from sterna.features._formats._arrays import checked_count
from sterna.features._formats._hdf5_names import (
    UNREADABLE,
    WANTED,
    first,
    one_line,
    text,
)

__all__ = ["Grouped"]

_OF_IMAGE = re.compile(r"(.+)_features")


class Grouped:
    """A group, or some data sets, for each image."""

    def __init__(self, file: Any, *, path: Path) -> None:
        self._file = file
        self._members = _by_kind(file) or _by_image(file)
        if not self._members:  # an array for each image
            plain = {
                key: {"features": key} for key in file if getattr(_there(file, key), "ndim", 0) in (2, 3)
            }
            self._members = plain
        if not self._members:
            names = ", ".join(list(file)[:8])
            raise DataError(f"{path}: holds no data set of features that is known ({names})")
        one = next(iter(self._members.values()))
        self.has_boxes = "boxes" in one
        self.extras = tuple(name for name in ("scores", "classes") if name in one)

    def _unit(self, members: Mapping[str, str]) -> bool | None:
        if "boxes" not in members or "unit" not in self._file[members["boxes"]].attrs:
            return None
        return text(self._file[members["boxes"]].attrs["unit"]) == "relative"

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
                for name in ("features", "boxes", "scores", "classes", "count")
                if name in members
            }
            size = self._size(members)
        except UNREADABLE as error:
            raise BadItem(f"cannot be read ({one_line(error)})") from None
        values = found["features"]
        if not values.ndim:
            raise BadItem("has a single value for features")
        values = values[None] if values.ndim == 1 else values.reshape(-1, values.shape[-1])
        if "count" in found:
            count = checked_count(int(np.ravel(found.pop("count"))[0]), values)
            values = values[:count]
            found |= {name: array[:count] for name, array in found.items() if array.ndim}
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
        if not hasattr(data, "dtype"):
            raise BadItem(f"{name} is a group, not an array")
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
        pairs = zip(WANTED["width"], WANTED["height"], strict=True)
        names = next(((width, height) for width, height in pairs if width in holder.attrs), None)
        return None if names is None else (int(holder.attrs[names[0]]), int(holder.attrs[names[1]]))


def _by_kind(file: Any) -> dict[str, dict[str, str]]:
    """`features/ID` and `boxes/ID`: by image, what is where."""
    groups = {what: name for what, names in WANTED.items() if (name := first(file, names)) is not None}
    groups = {what: name for what, name in groups.items() if hasattr(_there(file, name), "keys")}
    features = groups.get("features")
    if features is None or first(file[features], WANTED["features"]) is not None:
        return {}  # an image that is called so
    return {
        key: {what: f"{name}/{key}" for what, name in groups.items() if key in file[name]}
        for key in file[features]
    }


def _by_image(file: Any) -> dict[str, dict[str, str]]:
    """`ID/features`, or `ID_features`: by image, what is where."""
    members: dict[str, dict[str, str]] = {}
    for key in file:
        inner = _there(file, key)
        if hasattr(inner, "keys"):
            found = {what: first(inner, names) for what, names in WANTED.items()}
            members[key] = {what: f"{key}/{name}" for what, name in found.items() if name is not None}
        elif match := _OF_IMAGE.fullmatch(key):
            beside = {what: f"{match[1]}_{what}" for what in ("boxes", "size")}
            members[match[1]] = {"features": key} | {
                what: name for what, name in beside.items() if name in file
            }
    return members


def _there(file: Any, key: str) -> Any:
    try:
        return file[key]
    except (KeyError, OSError):  # a link that leads nowhere
        return None
