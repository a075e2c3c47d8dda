"""What commands print: sentences on stderr; tables, JSON, CSV and raw paths on stdout."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sterna.words import printable

__all__ = [
    "bold",
    "number",
    "prepare_streams",
    "print_csv",
    "print_json",
    "print_paths",
    "print_table",
    "say",
    "say_some",
    "say_written",
    "size",
]


def prepare_streams() -> None:
    """Let no character fail to be printed, whatever the encoding, and let a closed stream not matter."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us (`>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(sentence: str) -> None:
    """Tell a person something on stderr, on one line."""
    print(f"sterna: {printable(sentence)}", file=sys.stderr, flush=True)


def say_some(sentences: Sequence[str], *, rest: str, at_most: int = 10) -> None:
    """Tell the first sentences on stderr, and how many more there are and where (`rest`)."""
    for sentence in sentences[:at_most]:
        say(sentence)
    if len(sentences) > at_most:
        say(f"and {number(len(sentences) - at_most)} more{rest}")


def say_written(*files: Path | None) -> None:
    """Tell on stderr which files were written beside the answer; `None` is one that was not asked for."""
    for file in files:
        if file is not None:
            say(f"wrote {file}")


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print one JSON document, in ASCII so that any name survives any terminal and pipe."""
    print(json.dumps(value, indent=indent, allow_nan=False))


def print_csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV in UTF-8 under a line of column names; bytes of paths that are not UTF-8 stay."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    _write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))


def print_paths(paths: Iterable[Path], *, null: bool) -> None:
    """Print the bytes of each path, each ended by a line end, or by a NUL with `null`.

    On a terminal, control characters are escaped unless `null` is asked for.
    """
    if sys.stdout.isatty() and not null:
        for path in paths:
            print(printable(path))
        return
    end = b"\0" if null else b"\n"
    _write_bytes(b"".join(os.fsencode(path) + end for path in paths))


def print_table(names: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Print aligned columns under their names; those in `right` are set flush right, and none is cut."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(names), *cells]) for column in range(len(names))]
    print(bold(_line(names, widths, right=right)))
    for row in cells:
        print(_line(row, widths, right=right))


def bold(text: str) -> str:
    """Emphasise `text` where stdout is a terminal that shows it."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[1m{text}\x1b[0m"


def number(value: int) -> str:
    """A count for people: `12,345`."""
    return f"{value:,}"


def size(count: float) -> str:
    """A number of bytes for people: `12.3 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _line(cells: Sequence[str], widths: Sequence[int], *, right: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _write_bytes(data: bytes) -> None:
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # stdout was replaced by text in memory
        sys.stdout.write(data.decode("utf-8", "backslashreplace"))
        return
    buffer.write(data)
    buffer.flush()
