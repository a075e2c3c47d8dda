"""Rows of CSV, TSV and Parquet files as text cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sterna.data._text import first_line, read_text, start_of
from sterna.errors import DataError, MissingExtraError

__all__ = ["header", "is_table", "rows"]

_PARQUET = {".parquet", ".pq"}
_TABS = {".tsv", ".tab"}
_DELIMITERS = ",;\t|"


def is_table(file: Path) -> bool:
    """Whether the name is a table's; `captions.txt` is one where its first line looks like a CSV header."""
    if file.suffix.lower() in {".csv"} | _TABS | _PARQUET:
        return True
    return file.name.lower() == "captions.txt" and bool(re.fullmatch(r"\w+(,\w+)+", first_line(file)))


def header(file: Path) -> list[str]:
    """The names of the columns: the first row that is not blank.

    Raises `DataError` where there are none, and `MissingExtraError` for Parquet without pyarrow.
    """
    if file.suffix.lower() in _PARQUET:
        return _parquet_header(file)
    reader = csv.reader(io.StringIO(start_of(file), newline=""), delimiter=_delimiter(file))
    try:
        names = next((cells for cells in reader if not _blank(cells)), None)
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num}: not a row of column names ({error})") from None
    if names is None:
        raise DataError(f"{file}:1: no row of column names")
    return [name.strip() for name in names]


def rows(
    file: Path, columns: Mapping[str, str], problem: Callable[[int, str], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Where each row begins (its line; in Parquet its number, from 1) and its cells, stripped, "" for none.

    Arguments:
        columns: which of the header's columns to read, by the keys under which their cells are given.
        problem: is told of rows that cannot be taken apart, which are left out.
    """
    if file.suffix.lower() in _PARQUET:
        yield from _parquet_rows(file, columns)
        return
    names = header(file)
    places = {key: names.index(name) for key, name in columns.items()}
    for line, cells in _cells(file, problem):
        if len(cells) == len(names):
            yield line, {key: cells[place].strip() for key, place in places.items()}
        else:
            problem(line, f"has {len(cells)} cells where the header has {len(names)}")


def _delimiter(file: Path) -> str:
    """The likeliest separator of cells, told by the header."""
    if file.suffix.lower() in _TABS:
        return "\t"
    return max(_DELIMITERS, key=first_line(file).count)


def _blank(cells: list[str]) -> bool:
    return not any(cell.strip() for cell in cells)


def _cells(file: Path, problem: Callable[[int, str], None]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(read_text(file), newline=""), delimiter=_delimiter(file), strict=True)
    is_header = True
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on with the line after
            problem(line, f"not a row ({error})")
            continue
        if cells and not is_header:
            yield line, cells
        is_header = is_header and _blank(cells)


def _parquet_header(file: Path) -> list[str]:
    return list(_open_parquet(file).schema_arrow.names)


def _parquet_rows(file: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    from pyarrow import types

    source = _open_parquet(file)
    for name in columns.values():
        kind = source.schema_arrow.field(name).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if not (types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind)):
            raise DataError(f"{file}: the column {name!r} holds {kind}; text is needed")
    number = 0
    for batch in source.iter_batches(columns=list(dict.fromkeys(columns.values()))):
        for row in batch.to_pylist():
            number += 1
            yield number, {key: _text(row[name]) for key, name in columns.items()}


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value).strip()


def _open_parquet(file: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202  pyarrow has no types
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MissingExtraError("Reading Parquet files", extra="parquet") from None
    try:
        return parquet.ParquetFile(file)
    except (ArrowException, OSError) as error:
        raise DataError(f"{file}: not a readable Parquet file ({' '.join(str(error).split())})") from None
