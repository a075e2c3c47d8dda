"""Whether vectors on the disk are those that were written: a glance before a search, all of them by `index`.

Every vector is of unit length, and the catalogue has a sum of the bytes of every few rows (of none that were
written before there were sums). Rows behind those that count do not matter.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sterna.errors import LibraryError
from sterna.library._catalog import Catalog
from sterna.library._found import why
from sterna.library._segments import SUMMED, Segment
from sterna.words import counted

__all__ = [
    "ANEW",
    "NOT_UNIT",
    "Sum",
    "are_unit",
    "complaint",
    "examine",
    "flaw",
    "shortfall",
    "sums_of",
    "whole_rows",
]

_GLANCE = 256  # rows of a segment looked at before it is searched: a millisecond
_NEARLY = 0.02  # how far a squared length may be from 1; float16 rounds it by a twentieth of that

_REFUSED = {errno.EACCES, errno.EPERM}
_COMMAND = "{command}"
ANEW = f"; run `{_COMMAND}` to make its vectors anew"
NOT_UNIT = f"the file is damaged (vectors in it are not of unit length){ANEW}"

Sum = tuple[int, int, int]  # the first row, how many, and the CRC-32 of their bytes


def complaint(flaw: str, command: str) -> str:
    """What is wrong with a segment's file, and what mends it: a flaw with the command that makes vectors."""
    return flaw.replace(_COMMAND, command)


def are_unit(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows [n, E] hold finite numbers and are of unit length: bool [n]."""
    with np.errstate(all="ignore"):
        wide = rows.astype(np.float32)
        unit: NDArray[np.bool_] = np.abs(np.einsum("ij,ij->i", wide, wide) - 1) < _NEARLY
    return unit  # false for what is no number


def shortfall(segment: Segment) -> str | None:
    """What is wrong with a segment's file where it has not all of its rows, else `None`; see `complaint`."""
    present = segment.present
    if present == segment.rows:
        return None
    try:
        with segment.path.open("rb"):
            are = "is" if present == 1 else "are"
            left = f"{present:,} of {counted(segment.rows, 'vector')} {are} left"
            return f"the file is cut short ({left}){ANEW}"
    except OSError as error:
        return _refusal(error)


def flaw(segment: Segment) -> str | None:
    """What a glance shows to be wrong with a segment's file, `None` where nothing is; see `complaint`."""
    if (reason := shortfall(segment)) is not None or segment.rows == 0:
        return reason
    numbers = np.unique(np.linspace(0, segment.rows - 1, _GLANCE).astype(np.int64)).tolist()
    try:
        with segment.path.open("rb", buffering=0) as file:
            rows = [_rows(segment, _read(file, segment, number, count=1)) for number in numbers]
    except OSError as error:
        return _refusal(error)
    return None if are_unit(np.concatenate(rows)).sum() == len(numbers) else NOT_UNIT


def sums_of(catalog: Catalog, segment: Segment) -> list[Sum]:
    """The sums noted of a segment, by row."""
    if not catalog.has_table("sums"):
        return []
    query = "SELECT row, rows, crc FROM sums WHERE segment = ? AND row + rows <= ? ORDER BY row"
    return [(row, count, crc) for row, count, crc in catalog.rows(query, (segment.number, segment.rows))]


def whole_rows(catalog: Catalog, segment: Segment) -> int:
    """How many rows, from the first on, are left of a segment by the length of its file.

    Of rows that one sum is of, all are left or none.
    """
    present = segment.present
    if present == segment.rows:
        return present
    return min([present, *(row for row, count, _ in sums_of(catalog, segment) if row + count > present)])


def examine(segment: Segment, sums: Sequence[Sum]) -> tuple[NDArray[np.bool_], list[Sum]]:
    """Read all of a segment.

    Arguments:
        sums: those noted of it.

    Returns which rows are lost, bool [rows], and the sums of rows of which none was noted.
    Raises `LibraryError` where the file is there and may not be read.
    """
    lost = np.ones(segment.rows, bool)
    fresh: list[Sum] = []
    try:
        with segment.path.open("rb", buffering=0) as file:
            for row, count, crc in _parts(sums, segment.rows):
                part = lost[row : row + count]
                data = _read(file, segment, row, count=count)
                if crc is None:
                    rows = _rows(segment, data)
                    part[: len(rows)] = ~are_unit(rows)
                    fresh.append((row, count, zlib.crc32(data)))
                else:
                    part[:] = zlib.crc32(data) != crc
    except OSError as error:
        if error.errno in _REFUSED:  # nothing is lost
            raise LibraryError(f"{segment.path}: {_refusal(error)}") from error
    return lost, fresh


def _refusal(error: OSError) -> str:
    if error.errno in _REFUSED:
        return f"{why(error)}; make it readable for you"
    return ("the file is missing" if error.errno == errno.ENOENT else f"cannot be read ({why(error)})") + ANEW


def _parts(sums: Sequence[Sum], rows: int) -> Iterator[tuple[int, int, int | None]]:
    """All rows in parts, each with its sum where one was noted: the first, how many, the sum."""
    done = 0
    for row, count, crc in [*sums, (rows, 0, 0)]:
        for first in range(done, row, SUMMED):
            yield first, min(SUMMED, row - first), None
        if count:
            yield row, count, crc
        done = max(done, row + count)


def _read(file: BinaryIO, segment: Segment, row: int, *, count: int) -> bytes:
    """The bytes of rows; fewer where the file ends, none where the drive cannot read them."""
    data = b""
    try:
        file.seek(row * segment.row_bytes)
        while len(data) < count * segment.row_bytes:
            more = file.read(count * segment.row_bytes - len(data))
            if not more:
                break
            data += more
    except OSError:
        pass  # what was not read does not count
    return data


def _rows(segment: Segment, data: bytes) -> NDArray[Any]:
    """Whole rows [n, E] of what was read."""
    count = len(data) // segment.row_bytes
    return np.frombuffer(data, segment.stored, count * segment.dim).reshape(count, segment.dim)
