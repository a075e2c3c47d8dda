"""Bottom-up attention's tab-separated rows: image_id, image_w, image_h, num_boxes, boxes, features.

Anderson et al.: Bottom-Up and Top-Down Attention for Image Captioning and VQA, CVPR 2018; boxes (float32, in
pixels) and features (float32) are base64. A row of LXMERT's extractor (Tan, Bansal, 2019) has ten cells.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import os
import re
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.features._foreign import BadItem, Entry, Format, Item, Passage, Target
from sterna.features._formats._arrays import decoded
from sterna.files import disk_errors, fsync_folder, system_reason

__all__ = ["FORMAT"]

_NAMES = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_LXMERT = (
    *("img_id", "img_h", "img_w", "objects_id", "objects_conf"),
    *("attrs_id", "attrs_conf", "num_boxes", "boxes", "features"),
)
_KNOWN_AS = {"img_id": "image_id", "img_w": "image_w", "img_h": "image_h", "num_bbox": "num_boxes"}
_LONGEST_ROW = 64 << 20  # bytes; 100 regions of 2,048 values take 1.1 million
_FILE = re.compile(r".*\.tsv(\.\d+)?", re.IGNORECASE)
_CSV = threading.Lock()  # its limit on cells is one for the whole process


def _claims(path: Path) -> bool:
    return any(_looks_right(file) for _, file in _files(path)[:3])


def _files(path: Path) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)] if _FILE.fullmatch(path.name) or _looks_right(path) else []
    if not path.is_dir():
        return []
    files = [file for file in sorted(path.iterdir()) if file.is_file() and _FILE.fullmatch(file.name)]
    return [(file.name, file) for file in files]


def _looks_right(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    cells = start.partition(b"\n")[0].rstrip(b"\r").split(b"\t")
    names = {_KNOWN_AS.get(name, name) for name in (cell.decode("latin-1").strip('"') for cell in cells)}
    if names >= {"image_id", "features"}:
        return True
    return len(cells) >= 4 and all(cell.strip(b'"').isdigit() for cell in cells[1:3])


class _Rows:
    """The rows of one or several files."""

    has_boxes = True

    def __init__(self, path: Path) -> None:
        self.files = _files(path)
        if not self.files:
            raise DataError(f"{path}: no .tsv file of bottom-up attention found")
        self._bytes = max(1, sum(file.stat().st_size for _, file in self.files))
        self.extras = ("scores", "classes") if self._is_lxmert() else ()

    def __iter__(self) -> Iterator[Entry]:
        before = 0
        for name, file in self.files:
            columns: Sequence[str] | None = None
            for number, start, row in _lines(file):
                where, share = f"{name}:{number}", (before + start) / self._bytes
                cells: list[bytes] | BadItem = row if isinstance(row, BadItem) else _cells(row)
                if isinstance(cells, BadItem):
                    yield Entry(None, where, partial(_refuse, cells), share)
                    continue
                if columns is None:
                    columns = _header(cells)
                    if columns is not None:
                        continue
                    columns = _columns(cells)
                yield _entry(cells, columns or _NAMES, where, share)
            before += file.stat().st_size

    def passages(self) -> Iterator[Passage]:
        return iter(())

    def _is_lxmert(self) -> bool:
        for _, _, row in _lines(self.files[0][1]):
            cells = BadItem() if isinstance(row, BadItem) else _cells(row)
            if not isinstance(cells, BadItem):
                names = _header(cells) or _columns(cells) or ()
                return {"objects_id", "objects_conf"} <= set(names)
        return False


def _lines(path: Path) -> Iterator[tuple[int, int, bytes | BadItem]]:
    """Rows that are not blank: the line where each begins, its place in the file, and its bytes."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {system_reason(error)}") from None
    with file:
        number, start = 0, 0
        while line := file.readline(_LONGEST_ROW):
            number += 1
            first, begin = number, start
            too_long = len(line) == _LONGEST_ROW and not line.endswith(b"\n")
            while too_long and (more := file.readline(_LONGEST_ROW)):
                start += len(more)
                if more.endswith(b"\n"):
                    break
            # a quoted cell may run over lines: Python's older base64 breaks its text at 76 letters
            pieces, quotes, held = [line], line.count(b'"'), len(line)
            while not too_long and quotes % 2 and held < _LONGEST_ROW:
                more = file.readline(_LONGEST_ROW)
                if not more:
                    break
                number += 1
                pieces.append(more)
                quotes, held = quotes + more.count(b'"'), held + len(more)
            start += held
            if too_long:
                yield first, begin, BadItem(f"is longer than {_LONGEST_ROW >> 20} MiB")
            elif line.strip():
                yield first, begin, b"".join(pieces)


def _cells(row: bytes) -> list[bytes] | BadItem:
    if b'"' not in row:
        return row.rstrip(b"\r\n").split(b"\t")
    with _CSV:
        limit = csv.field_size_limit(_LONGEST_ROW)
        try:
            text = row.decode("utf-8", errors="surrogateescape")
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
        except csv.Error as error:
            return BadItem(f"is no row ({error})")
        finally:
            csv.field_size_limit(limit)
    return [cell.encode("utf-8", errors="surrogateescape") for cell in rows[0]]


def _header(cells: Sequence[bytes]) -> list[str] | None:
    """The names of the columns where this row holds such."""
    names = [cell.decode("latin-1").strip().removeprefix("ï»¿") for cell in cells]
    known = [_KNOWN_AS.get(name, name) for name in names]
    return known if {"image_id", "features"} <= set(known) else None


def _columns(cells: Sequence[bytes]) -> tuple[str, ...] | None:
    if len(cells) >= len(_NAMES) and cells[3].strip().isdigit():
        return _NAMES
    if len(cells) == len(_LXMERT) and cells[7].strip().isdigit():
        return tuple(_KNOWN_AS.get(name, name) for name in _LXMERT)
    return None


def _entry(cells: Sequence[bytes], columns: Sequence[str], where: str, share: float) -> Entry:
    if len(cells) < len(columns):
        bad = BadItem(f"has {len(cells)} cells where {len(columns)} are needed; the file may be cut off")
        return Entry(None, where, partial(_refuse, bad), share)
    row = dict(zip(columns, cells, strict=False))
    name = row["image_id"].decode("utf-8", errors="surrogateescape").strip()
    return Entry(name or None, where, partial(_read, row), share)


def _refuse(bad: BadItem) -> Item:
    raise bad


def _read(row: dict[str, bytes]) -> Item:
    if not row["image_id"].strip():
        raise BadItem("names no image_id")
    if absent := [name for name in _NAMES if name not in row]:
        raise BadItem(f"has no {absent[0]}")
    width, height, count = (_whole(row, name) for name in ("image_w", "image_h", "num_boxes"))
    values = _array(row, "features", np.float32, count)
    data = _array(row, "boxes", np.float32, count, width=None)
    if data.shape[1] == 8:  # float64, as detectors in Python 3 have them
        data = _array(row, "boxes", np.float64, count)
    if data.shape[1] != 4:
        raise BadItem(f"boxes hold {data.shape[1]} float32 values a box; 4 are needed")
    return Item(
        values,
        boxes=data,
        size=(width, height),
        relative=False,
        scores=_one_each(row, "objects_conf", "f", count) if "objects_conf" in row else None,
        classes=_one_each(row, "objects_id", "i", count) if "objects_id" in row else None,
    )


def _one_each(row: dict[str, bytes], name: str, kind: str, count: int) -> NDArray[Any]:
    """A number for each box, of 32 or 64 bits."""
    data = _array(row, name, np.uint8, count)
    if data.shape[1] not in (4, 8):
        raise BadItem(f"{name} holds {data.shape[1]} bytes a box; one number of 4 or 8 is needed")
    return np.frombuffer(data.tobytes(), dtype=f"<{kind}{data.shape[1]}")


def _whole(row: dict[str, bytes], name: str) -> int:
    try:
        number = float(row[name])
        value = int(number)
    except (ValueError, OverflowError):
        value, number = 0, -1.0
    if value != number or value < 1:
        shown = row[name][:40].decode("latin-1")
        raise BadItem(f"{name} is {shown!r}; a whole number above 0 is needed")
    return value


def _array(
    row: dict[str, bytes], name: str, dtype: Any, count: int, *, width: int | None = None
) -> NDArray[Any]:
    try:
        flat = decoded(row[name], dtype)
    except BadItem as bad:
        raise BadItem(f"{name} {bad}") from None
    if flat.size == 0 or flat.size % count:
        raise BadItem(f"{name} holds {flat.size} values, which do not divide among {count} boxes")
    return flat.reshape(count, -1)


class _Writer:
    """Appends rows to `NAME.part`, which becomes the file when all are there."""

    def __init__(self, target: Target) -> None:
        self._dest = target.dest
        self._part = target.dest.with_name(target.dest.name + ".part")
        self._done: set[str] = set()
        if self._dest.is_dir():
            raise DataError(f"{self._dest}: is a folder; name a file, such as features.tsv")
        with disk_errors(self._dest):
            self._dest.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("ab+")
        self._go_on()

    def _go_on(self) -> None:
        """Keep the whole rows that a killed call left, and cut off what it had begun."""
        end = 0
        self._file.seek(0)
        while (line := self._file.readline()).endswith(b"\n"):
            self._done.add(line.partition(b"\t")[0].decode("utf-8", errors="surrogateescape"))
            end = self._file.tell()
        self._file.truncate(end)  # what is written is appended

    def done(self, identity: str) -> bool:
        return identity in self._done

    def write(self, identity: str, item: Item) -> None:
        if re.search(r'[\t\r\n"]', identity) or identity != identity.strip() or not identity:
            raise BadItem("the id holds a tab, line end or quote, or white space at an end: no cell of a row")
        if item.boxes is None or item.size is None:
            raise BadItem("has no boxes or no size of its photograph, which a row needs")
        values, boxes = (np.ascontiguousarray(array, dtype="<f4") for array in (item.values, item.boxes))
        cells = [
            identity.encode("utf-8", errors="surrogateescape"),
            *(str(int(one)).encode() for one in (*item.size, len(values))),
            base64.b64encode(boxes.tobytes()),
            base64.b64encode(values.tobytes()),
        ]
        with disk_errors(self._dest):
            self._file.write(b"\t".join(cells) + b"\n")

    def close(self) -> None:
        with disk_errors(self._dest):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._dest)
            fsync_folder(self._dest.parent)

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # a full disk was told of already
            self._file.close()


FORMAT = Format(
    kind="images",
    looks="NAME.tsv with rows image_id, image_w, image_h, num_boxes, boxes, features (bottom-up attention)",
    claims=_claims,
    open=_Rows,
    write=_Writer,
    keeps=("boxes",),
)
