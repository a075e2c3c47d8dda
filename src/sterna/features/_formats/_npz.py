"""Folders with a file an image: `*_att` and `*_box` pairs, or single `.npz` and `.npy` files.

A pair is `NAME_att/ID.npz` with `feat` [R, D] and `NAME_box/ID.npy` with boxes in pixels, as Luo's
captioning code writes it and TERN and TERAN read it. A single `.npz` has `features`, `feat` or `x` and may
have `bbox` or `boxes`, `image_w`, `image_h` and `num_bbox` or `num_boxes`, as the extractors of bottom-up
attention write
it: one of them keeps base64 text in it, another lays `x` out as [D, R].
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.features._foreign import BadItem, Entry, Foreign, Format, Item, Passage, Target
from sterna.features._formats._arrays import checked_count, decoded, listed, load_npy, load_npz
from sterna.features._formats._folder import FolderWriter, check_file_name
from sterna.features._sizes import Sizes
from sterna.files import disk_errors, new_file

__all__ = ["FORMAT", "SIZES"]

SIZES = "sizes.csv"
"""what an export keeps the photographs' sizes in, beside the folders; an import reads it where it is there"""
_ARRAYS = {
    "values": ("feat", "features", "x", "feats", "att_feats"),
    "boxes": ("bbox", "boxes", "bboxes"),
    "count": ("num_bbox", "num_boxes", "num_bboxes"),
    "width": ("image_w", "img_w", "width"),
    "height": ("image_h", "img_h", "height"),
    "scores": ("objects_conf", "scores"),
    "classes": ("objects_id", "classes"),
}


def _claims(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() == ".npz"
    if not path.is_dir():
        return False
    return bool(_pairs(path)) or _has_boxes(path)


def _has_boxes(folder: Path) -> bool:
    """Whether the first files of a folder are of images and not of captions: those have boxes or a size."""
    for _, file in listed(folder, (".npz",))[:3]:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                if {*_ARRAYS["boxes"], *_ARRAYS["width"]} & set(arrays.files):
                    return True
        except Exception:  # noqa: S112  whatever is wrong with one file is told when it is imported  # nosec B112
            continue
    return False


def _pairs(path: Path) -> list[tuple[Path, Path | None]]:
    """`*_att` folders in or at `path`, with the `*_box` folder of each."""
    at = [path] if path.name.endswith("_att") else sorted(path.glob("*_att"))
    found = []
    for folder in at:
        if folder.is_dir():
            boxes = folder.with_name(folder.name.removesuffix("_att") + "_box")
            found.append((folder, boxes if boxes.is_dir() else None))
    return found


class _Files:
    """The files of a folder, or of several `*_att` folders."""

    def __init__(self, path: Path) -> None:
        self.files: list[tuple[str, Path]] = []
        self._boxes: dict[Path, Path | None] = {}
        self._names: list[str] = []
        pairs = _pairs(path) if path.is_dir() else []
        for folder, boxes in pairs:
            for name, file in listed(folder, (".npz", ".npy")):
                self._add(f"{folder.name}/{name}{file.suffix}", name, file)
                self._boxes[file] = None if boxes is None else boxes / f"{name}.npy"
        if not pairs:
            alone = [(path.stem, path)] if path.is_file() else listed(path, (".npz", ".npy"))
            for name, file in alone:
                self._add(f"{name}{file.suffix}", name, file)
        if not self.files:
            raise DataError(f"{path}: no .npz or .npy file of an image's features found")
        self.has_boxes = any(boxes for _, boxes in pairs) if pairs else self._first_has("boxes")
        beside = [folder / SIZES for folder in (path, path.parent) if (folder / SIZES).is_file()]
        self._sizes = Sizes(file=beside[0] if beside else None)
        self.extras = tuple(name for name in ("scores", "classes") if self._first_has(name))

    def _add(self, told: str, name: str, file: Path) -> None:
        self.files.append((told, file))
        self._names.append(name)

    def _first_has(self, what: str) -> bool:
        for _, file in self.files[:8]:
            if file.suffix.lower() != ".npz":
                return False
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    return bool(set(_ARRAYS[what]) & set(arrays.files))
            except Exception:  # noqa: S112  told when the file's turn comes  # nosec B112
                continue
        return False

    def __iter__(self) -> Iterator[Entry]:
        for number, ((told, file), name) in enumerate(zip(self.files, self._names, strict=True)):
            yield Entry(name, told, partial(self._read, name, file), number / len(self.files))

    def passages(self) -> Iterator[Passage]:
        return iter(())

    def _read(self, name: str, file: Path) -> Item:
        if file.suffix.lower() == ".npy":
            found: dict[str, NDArray[Any]] = {"values": load_npy(file)}
        else:
            found = load_npz(file, _ARRAYS)
        if "values" not in found:
            raise BadItem(f"has none of {', '.join(_ARRAYS['values'][:3])}")
        beside = self._boxes.get(file)
        if beside is not None:
            try:
                found["boxes"] = load_npy(beside)
            except BadItem as bad:
                raise BadItem(f"its boxes {beside.parent.name}/{beside.name}: {bad}") from None
        item = _item(found)
        if item.size is None and item.boxes is not None:
            return replace(item, size=self._sizes.find(name, name, item.boxes))
        return item


def _item(found: dict[str, NDArray[Any]]) -> Item:
    boxes = _boxes(found["boxes"]) if "boxes" in found else None
    size = None
    if "width" in found and "height" in found:
        size = (_number(found["width"]), _number(found["height"]))
    count = _number(found["count"]) if "count" in found else None
    several = count if count is not None or boxes is None or not boxes.ndim else len(boxes)
    values = _values(found["values"], several)
    if count is not None:
        count = checked_count(count, values)
        values, boxes = values[:count], boxes if boxes is None or not boxes.ndim else boxes[:count]
    return Item(
        values,
        boxes=boxes,
        size=size,
        relative=False,
        scores=found["scores"].reshape(-1) if "scores" in found else None,
        classes=found["classes"].reshape(-1) if "classes" in found else None,
    )


def _values(array: NDArray[Any], count: int | None) -> NDArray[Any]:
    """[R, D] of what may be base64 text, [D, R], a grid [H, W, D], or one vector."""
    if array.dtype.kind in "SU":
        flat = decoded(_text(array), np.float32)
        if not count or flat.size % count:
            raise BadItem(f"holds {flat.size} values as text, which do not divide among {count} boxes")
        return flat.reshape(count, -1)
    if array.ndim == 1:
        return array[None]
    if array.ndim == 3:
        return array.reshape(-1, array.shape[-1])
    if array.ndim == 2 and count is not None and array.shape[0] != count and array.shape[1] == count:
        return array.T
    return array if array.ndim else array[None, None]


def _boxes(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "SU":
        flat = decoded(_text(array), np.float32)
        if flat.size % 4:
            raise BadItem(f"has boxes of {flat.size} values as text; 4 for each box are needed")
        return flat.reshape(-1, 4)
    return array


def _text(array: NDArray[Any]) -> bytes:
    if array.size != 1:
        raise BadItem(f"holds {array.size} texts where the base64 of one array is needed")
    value = array.reshape(-1)[0]
    return value.encode("latin-1") if isinstance(value, str) else bytes(value)


def _number(array: NDArray[Any]) -> int:
    try:
        if array.dtype.kind not in "iufSU":
            raise ValueError
        return int(float(array.reshape(-1)[0]))
    except (ValueError, IndexError, OverflowError):
        raise BadItem(f"a count, width or height is {array!r:.60}") from None


class _Writer(FolderWriter):
    """`features_att/ID.npz` and `features_box/ID.npy` in a folder, and the photographs' sizes beside them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._att, self._box = (target.dest / f"features_{kind}" for kind in ("att", "box"))

    def done(self, identity: str) -> bool:
        return self._safe(identity) and self._file(self._att, identity, ".npz").is_file()

    def write(self, identity: str, item: Item) -> None:
        check_file_name(identity)
        if item.boxes is not None:
            self._save(self._file(self._box, identity, ".npy"), item.boxes)
            self._note_size(identity, item)
        arrays = {"feat": item.values, "objects_conf": item.scores, "objects_id": item.classes}
        there = {name: array for name, array in arrays.items() if array is not None}
        # the features go last: an image that has them has everything
        self._save(self._file(self._att, identity, ".npz"), there)

    def _note_size(self, identity: str, item: Item) -> None:
        path = self._target.dest / (SIZES + ".part")
        new = not path.exists()
        with (
            disk_errors(path),
            path.open("a", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["name", "width", "height"])
            if item.size is not None:
                writer.writerow([identity, *item.size])

    def close(self) -> None:
        part = self._target.dest / (SIZES + ".part")
        if part.exists():
            with part.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                rows = {row[0]: row for row in csv.reader(file) if len(row) == 3}
            with (
                new_file(part.with_name(SIZES)) as aside,
                aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
            ):
                csv.writer(file, lineterminator="\n").writerows(rows.values())
            part.unlink()


def _open(path: Path) -> Foreign:
    return _Files(path)


FORMAT = Format(
    kind="images",
    looks="NAME_att/ID.npz with feat and NAME_box/ID.npy, or a folder of ID.npz with features, feat or x",
    claims=_claims,
    open=_open,
    write=_Writer,
    keeps=("boxes", "scores", "classes"),
)
