"""Making an item of a source fit a store's columns, or saying why it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, UsageError
from sterna.features._foreign import BadItem, Foreign, Item, Kind
from sterna.features._part import ColumnSpec
from sterna.features._sizes import Sizes

__all__ = ["WHOLE", "Fitting", "in_pixels"]

WHOLE = np.array([0, 0, 1, 1], dtype=np.float32)
"""the box of a region of which nothing is known"""
_OVER = 0.01  # how far past the photograph a box may reach: by rounding, or by a pixel counted twice
_PIXELS_OVER = 2


class _NoSizeError(BadItem):
    """The size of a photograph is not to be had."""


class Fitting:
    """Casts values, checks shapes, and brings boxes to 0..1.

    Arguments:
        kind: "images" or "captions".
        dtype: of the values in the store.
        sizes: of photographs whose items do not say it.
        relative: whether boxes are in 0..1, where that is not what the items say.
    """

    def __init__(self, kind: Kind, dtype: str, *, sizes: Sizes, relative: bool | None) -> None:
        self.kind, self.dtype, self._sizes, self._relative = kind, dtype, sizes, relative
        self.main = "original" if kind == "images" else "values"
        self.dim = 0
        self.has_boxes = False
        self._extras: tuple[str, ...] = ()

    def learn(self, items: Iterable[tuple[str, str, Item]], foreign: Foreign, *, source: Path) -> None:
        """Take the width that most of the first items have; raises `DataError` where no item has a size."""
        self.has_boxes, self._extras = foreign.has_boxes, foreign.extras
        read = list(items)
        widths = Counter(
            item.values.shape[-1] for _, _, item in read if item.values.ndim == 2 and item.values.shape[-1]
        )
        if not widths:
            shape = list(read[0][2].values.shape)
            raise DataError(f"{source}: features of shape {shape}; [regions, values] is needed")
        self.dim = widths.most_common(1)[0][0]
        outcomes = [self._outcome(item, name, identity) for name, identity, item in read]
        if all(isinstance(one, _NoSizeError) for one in outcomes):
            raise DataError(
                f"{source}: its boxes are in pixels and nothing tells how large the photographs are; give "
                "the data (with its photographs) or a file of sizes, or allow the largest box corner for it "
                "(size_from_boxes)"
            )

    def _outcome(self, item: Item, name: str, identity: str) -> BadItem | None:
        try:
            self(item, name=name, identity=identity)
        except BadItem as bad:
            return bad
        return None

    @property
    def columns(self) -> dict[str, ColumnSpec]:
        """What the store holds of an item."""
        if self.kind == "captions":
            tokens = {"tokens": ColumnSpec("int32")} if "tokens" in self._extras else {}
            return {"values": ColumnSpec(self.dtype, self.dim), **tokens}
        columns = {
            "sizes": ColumnSpec("int32", 2),
            "original": ColumnSpec(self.dtype, self.dim),
            "original.boxes": ColumnSpec("float32", 4),
        }
        if "scores" in self._extras:
            columns["original.scores"] = ColumnSpec("float32")
        if "classes" in self._extras:
            columns["original.classes"] = ColumnSpec("int32")
        return columns

    def __call__(self, item: Item, *, name: str, identity: str) -> dict[str, NDArray[Any]]:
        """An item's columns; raises `BadItem`."""
        values = self._values(item.values)
        if self.kind == "captions":
            tokens = {"tokens": _whole("tokens", item.tokens, values)} if "tokens" in self._extras else {}
            return {"values": values, **tokens}
        if item.size is not None and min(item.size) < 1:
            raise BadItem(f"says that its photograph is of {_shown(item.size)}")
        boxes, size = self._boxes(item, len(values), name, identity)
        columns = {
            "sizes": np.empty((0, 2), np.int32) if size is None else np.array([size], np.int32),
            "original": values,
            "original.boxes": boxes,
        }
        if "scores" in self._extras:
            columns["original.scores"] = _of_each("scores", item.scores, values).astype(np.float32)
        if "classes" in self._extras:
            columns["original.classes"] = _whole("classes", item.classes, values)
        return columns

    def _values(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.ndim != 2 or values.dtype.kind not in "fiu":
            raise BadItem(
                f"is {values.dtype}{list(values.shape)}; numbers of shape [regions, values] are needed"
            )
        if not len(values):
            raise BadItem("has no regions" if self.kind == "images" else "has no tokens")
        if values.shape[1] != self.dim:
            raise BadItem(f"has {values.shape[1]} values a row where the others have {self.dim}")
        if not np.isfinite(values).all():
            raise BadItem("holds values that are no finite numbers")
        try:
            return ColumnSpec(self.dtype, self.dim).cast(values, column="values")
        except UsageError:
            raise BadItem(f"holds values too large for {self.dtype}; keep it as float32") from None

    def _boxes(
        self, item: Item, count: int, name: str, identity: str
    ) -> tuple[NDArray[np.float32], tuple[int, int] | None]:
        if item.boxes is None:
            if self.has_boxes:
                raise BadItem("has no boxes")
            return np.tile(WHOLE, (count, 1)), item.size
        boxes = np.asarray(item.boxes)
        if boxes.shape != (count, 4) or boxes.dtype.kind not in "fiu":
            raise BadItem(f"has boxes {boxes.dtype}{list(boxes.shape)} for {count} regions")
        boxes = boxes.astype(np.float64)
        if not np.isfinite(boxes).all():
            raise BadItem("has boxes that are no finite numbers")
        relative = item.relative if self._relative is None else self._relative
        if relative is None:
            relative = bool(boxes.max() <= 1 + _OVER)
        size = item.size
        if not relative:
            size = size or self._sizes.find(name, identity, boxes)
            if size is None:
                raise _NoSizeError("the size of its photograph is not known, and its boxes are in pixels")
            boxes = boxes / np.tile(size, 2)
        if (boxes[:, :2] > boxes[:, 2:]).any():
            wrong = boxes[(boxes[:, :2] > boxes[:, 2:]).any(axis=1)][0].round(2).tolist()
            raise BadItem(
                f"has a box whose far corner comes first, {wrong} of x1 y1 x2 y2; are they x y w h?"
            )
        over = np.full(4, _OVER) if size is None else np.maximum(_OVER, _PIXELS_OVER / np.tile(size, 2))
        if (boxes < -over).any() or (boxes > 1 + over).any():
            worst = float(boxes.flat[np.abs(boxes - 0.5).argmax()])
            raise BadItem(f"has a box that reaches to {worst:.2f} of a photograph of {_shown(size)}")
        return boxes.clip(0, 1).astype(np.float32), size


def _shown(size: tuple[int, int] | None) -> str:
    return "unknown size, in 0..1" if size is None else f"{size[0]} x {size[1]} pixels"


def _of_each(what: str, array: NDArray[Any] | None, values: NDArray[Any]) -> NDArray[Any]:
    if array is None:
        return np.empty(0, np.int32)
    if array.shape != (len(values),):
        raise BadItem(f"has {what} of shape {list(array.shape)} for {len(values)} rows")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise BadItem(f"has {what} that are no finite numbers")
    return array


def _whole(what: str, array: NDArray[Any] | None, values: NDArray[Any]) -> NDArray[np.int32]:
    numbers = _of_each(what, array, values)
    with np.errstate(invalid="ignore"):  # out of range: seen by the comparison
        whole = numbers.astype(np.int32)
    if (whole != numbers).any():
        raise BadItem(f"has {what} that are no whole numbers of 32 bits")
    return whole


def in_pixels(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes [R, 4] in pixels, such that dividing them by the size gives `boxes` again, where any do."""
    scale = np.tile(np.array(size, dtype=np.float64), 2)
    made = (boxes.astype(np.float64) * scale).astype(np.float32)
    for step in (np.float32(np.inf), np.float32(-np.inf)):
        other = np.nextafter(made, step)
        differs = (made / scale).astype(np.float32) != boxes
        fits = (other / scale).astype(np.float32) == boxes
        made = np.where(differs & fits, other, made)
    return made
