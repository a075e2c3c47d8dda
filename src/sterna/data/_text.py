"""Text files as people have them: with byte order marks, any line ends, and lines that are not UTF-8."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path

from sterna.errors import DataError

__all__ = [
    "first_line",
    "is_damaged",
    "is_unwritable",
    "read_foreign_json",
    "read_lines",
    "read_text",
    "short",
    "start_of",
]

_DAMAGE = re.compile("[\ud800-\udfff]")  # among them those in which `surrogateescape` keeps stray bytes
_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_LINE_END = re.compile(r"\r\n|\n|\r")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text of a UTF-8 (or, by its mark, UTF-16) file; bytes that are neither are kept for `is_damaged`.

    Raises `DataError` where the file cannot be opened.
    """
    try:
        return _decode(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _decode(data: bytes) -> str:
    if data.startswith(_UTF16):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="surrogateescape")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank with their numbers, from 1; they end as on any system, and at nothing else."""
    for number, line in enumerate(_LINE_END.split(read_text(path)), start=1):
        if line.strip():
            yield number, line


def first_line(path: Path, *, size: int = 1 << 16) -> str:
    """The first line that is not blank, of those that begin in the first bytes; empty where there is none."""
    return next((line for line in _LINE_END.split(start_of(path, size=size)) if line.strip()), "")


def is_unwritable(text: str) -> bool:
    """Whether `text` holds halves of letters, which no file can; bytes that are not UTF-8 are no such."""
    return _HALVES.search(text) is not None


def is_damaged(text: str) -> bool:
    """Whether `text` holds bytes that were not UTF-8, or halves of letters as JSON can have them."""
    return _DAMAGE.search(text) is not None


def short(text: str) -> str:
    """A piece of a file as it can be printed in a message: quoted, cut, without stray bytes."""
    cut = text if len(text) <= 80 else text[:77] + "..."
    return ascii(cut) if is_damaged(cut) else repr(cut)


def start_of(path: Path, *, size: int = 1 << 16) -> str:
    """The first bytes of a file as text, empty where it cannot be read: for telling formats apart."""
    try:
        with path.open("rb") as file:
            return _decode(file.read(size))
    except OSError:
        return ""


def read_foreign_json(path: Path) -> object:
    """The value in a JSON file that others wrote; raises `DataError` with the line where it is not JSON."""
    text = read_text(path)
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from None
    except RecursionError:
        raise DataError(f"{path}: not usable JSON (nested too deeply)") from None
    return value
