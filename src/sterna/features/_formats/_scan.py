"""SCAN's and VSE-infinity's splits: `{train,dev,test}_ims.npy` [N, R, D] with captions and ids beside.

Lee et al.: Stacked Cross Attention for Image-Text Matching, ECCV 2018. `_caps.txt` holds a caption a line,
the same number for each image, in the images' order; where there are as many rows as captions, as in older
files, each image is there once for each caption. `_ids.txt` holds an id a row, `_boxes.npy` [N, R, 4] boxes
in pixels and `_img_sizes.npy` [N, 2] widths and heights, where there are such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.features._foreign import BadItem, Entry, Foreign, Format, Item, Passage
from sterna.features._formats._arrays import NpyRows
from sterna.features._formats._scan_writer import ScanWriter
from sterna.files import system_reason

__all__ = ["FORMAT"]

_IMAGES = "_ims.npy"
_OF_CAPTION = re.compile(r"#\d+$")


def _claims(path: Path) -> bool:
    return bool(_splits(path))


def _splits(path: Path) -> list[tuple[Path, str]]:
    """The folder and name of each split in `path`, in its folder `precomp`, or that `path` is the file of."""
    if path.is_file():
        return [(path.parent, path.name.removesuffix(_IMAGES))] if path.name.endswith(_IMAGES) else []
    for folder in (path, path / "precomp"):
        found = sorted(folder.glob("*" + _IMAGES)) if folder.is_dir() else []
        if found:
            names = [file.name.removesuffix(_IMAGES) for file in found]
            return [(folder, name) for name in sorted(names, key=_order)]
    return []


def _order(name: str) -> tuple[int, str]:
    usual = ("train", "dev", "val", "test")
    return (usual.index(name) if name in usual else len(usual), name)


class _Split:
    """One split's files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.images = NpyRows(folder / f"{name}{_IMAGES}")
        self.boxes = self._rows("boxes")
        self.sizes = self._rows("img_sizes")
        self.captions = self._lines("caps")
        for what, rows in (("boxes", self.boxes), ("img_sizes", self.sizes)):
            if rows is not None and len(rows) not in (len(self.images), len(self.groups)):
                raise DataError(
                    f"{rows.path}: {what} of {len(rows)} images where {self.images.path.name} has "
                    f"{len(self.images)}"
                )
        self._check_captions()

    @property
    def files(self) -> list[tuple[str, Path]]:
        """What there is of it."""
        names = [
            f"{self.name}_{end}" for end in ("ims.npy", "boxes.npy", "img_sizes.npy", "ids.txt", "caps.txt")
        ]
        return [(name, self.folder / name) for name in names if (self.folder / name).is_file()]

    def _rows(self, what: str) -> NpyRows | None:
        path = self.folder / f"{self.name}_{what}.npy"
        return NpyRows(path) if path.is_file() else None

    def _lines(self, what: str) -> list[str] | None:
        path = self.folder / f"{self.name}_{what}.txt"
        if not path.is_file():
            return None
        try:
            text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
        except OSError as error:
            raise DataError(f"{path}: {system_reason(error)}") from None
        lines = [line.removesuffix("\r").strip() for line in text.split("\n")]
        return lines[:-1] if not lines[-1] else lines

    @cached_property
    def ids(self) -> list[str]:
        """An id for each image, once each; `SPLIT/NUMBER` where the split has none."""
        lines = self._lines("ids")
        if lines is None:
            return [f"{self.name}/{number}" for number in range(len(self.groups))]
        if len(lines) == len(self.groups):
            return lines
        path = self.folder / f"{self.name}_ids.txt"
        if lines and self.groups and len(lines) % len(self.groups) == 0:  # an id a caption
            each = len(lines) // len(self.groups)
            for named in (lines, [_OF_CAPTION.sub("", line) for line in lines]):
                chosen = named[::each]
                if all(name == chosen[place // each] for place, name in enumerate(named)):
                    return chosen
            if self.captions is not None and len(lines) in (len(self.images), len(self.captions)):
                return lines[::each]  # the captions' own: an image is called by its first one
        if len(lines) == len(self.images):  # an id a row, and rows that repeat
            return [lines[group.start] for group in self.groups]
        raise DataError(
            f"{path}: {len(lines)} ids for {len(self.groups)} images in {self.images.path.name}; "
            "one for each image, or for each caption, is needed"
        )

    @cached_property
    def groups(self) -> list[range]:
        """The rows of each image: one, or as many as it has captions where rows are repeated."""
        count = len(self.images)
        alone = [range(row, row + 1) for row in range(count)]
        if self.captions is None or len(self.captions) != count:
            return alone
        ids = self._lines("ids")
        if ids is not None and len(ids) == count:
            starts = [row for row in range(count) if row == 0 or ids[row] != ids[row - 1]]
            if len(starts) < count:
                return [range(start, end) for start, end in zip(starts, [*starts[1:], count], strict=True)]
        if count % 5 == 0 and count and self._repeats(5):
            return [range(row, row + 5) for row in range(0, count, 5)]
        return alone

    def _repeats(self, times: int) -> bool:
        """Whether every image is there so many times, going by the first of them and some of the others."""
        groups = len(self.images) // times
        looked_at = sorted({*range(min(groups, 8)), *np.linspace(0, groups - 1, 64, dtype=int).tolist()})
        for group in looked_at:
            try:
                rows = self.images.rows(group * times, (group + 1) * times)
            except BadItem:  # the file is cut off; told row by row
                return True
            if not all(np.array_equal(rows[0], row) for row in rows[1:]):
                return False
        return True

    def _check_captions(self) -> None:
        """Before anything is read: raises `DataError` where captions and images do not belong together."""
        if self.captions is None or len(self.captions) == len(self.images):
            return
        count, images = len(self.captions), len(self.groups)
        if not count or not images or count % images:
            raise DataError(
                f"{self.folder / self.name}_caps.txt: {count} captions for {images} images; a whole number "
                "of them for each is needed, or no such file"
            )

    def owned(self) -> Iterator[tuple[str, str, str]]:
        """Image id, caption id and caption, for all captions."""
        captions, groups = self.captions or [], self.groups
        if len(captions) == len(self.images):
            counts = [len(group) for group in groups]
        else:
            counts = [len(captions) // len(groups)] * len(groups)
        line = iter(captions)
        for identity, count in zip(self.ids, counts, strict=True):
            for number in range(count):
                yield identity, f"{identity}#{number}", next(line)


class _Splits:
    """All splits of a folder, one after the other."""

    extras = ()

    def __init__(self, path: Path) -> None:
        self._splits = [_Split(folder, name) for folder, name in _splits(path)]
        if not self._splits:
            raise DataError(f"{path}: no SPLIT_ims.npy found")
        self.has_boxes = any(split.boxes is not None for split in self._splits)
        self._total = max(1, sum(len(split.images) for split in self._splits))

    @property
    def files(self) -> list[tuple[str, Path]]:
        return [file for split in self._splits for file in split.files]

    def __iter__(self) -> Iterator[Entry]:
        before = 0
        for split in self._splits:
            for number, (identity, group) in enumerate(zip(split.ids, split.groups, strict=True)):
                where = f"{split.images.path.name}[{group.start}]"
                share = (before + group.start) / self._total
                yield Entry(identity or None, where, partial(_read, split, number, group), share)
            before += len(split.images)

    def passages(self) -> Iterator[Passage]:
        for split in self._splits:
            if split.captions is not None:
                for identity, caption_id, text in split.owned():
                    yield Passage(split.name, identity, caption_id, text)


def _read(split: _Split, number: int, group: range) -> Item:
    if not split.ids[number]:
        raise BadItem(f"line {number + 1} of {split.name}_ids.txt is blank")
    values = split.images.rows(group.start, group.stop)
    if any(not np.array_equal(values[0], row, equal_nan=True) for row in values[1:]):
        raise BadItem(f"rows {group.start} to {group.stop - 1} are of one image and differ")
    one = values[0] if values.ndim == 3 else values[:1]
    boxes = _of_image(split, split.boxes, number, group)
    size = _of_image(split, split.sizes, number, group)
    return Item(one, boxes=boxes, size=None if size is None else _size(size))


def _size(pair: NDArray[Any]) -> tuple[int, int]:
    if pair.shape != (2,) or pair.dtype.kind not in "fiu" or not np.isfinite(pair).all():
        raise BadItem(f"its size is {pair.dtype}{pair.tolist()}; width and height are needed")
    return int(pair[0]), int(pair[1])


def _of_image(split: _Split, rows: NpyRows | None, number: int, group: range) -> NDArray[Any] | None:
    if rows is None:
        return None
    row = group.start if len(rows) == len(split.images) else number
    found: NDArray[Any] = rows.rows(row, row + 1)[0]
    return found


def _open(path: Path) -> Foreign:
    return _Splits(path)


FORMAT = Format(
    kind="images",
    looks="SPLIT_ims.npy with SPLIT_caps.txt and SPLIT_ids.txt (SCAN, VSE-infinity)",
    claims=_claims,
    open=_open,
    write=ScanWriter,
    keeps=("boxes",),
)
