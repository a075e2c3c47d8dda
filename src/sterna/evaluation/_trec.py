"""TREC's two formats: qrels (`query 0 answer grade`) and runs (`query Q0 answer rank score tag`).

Their fields are parted by white space, so white space and per cent signs in our ids are written as `%20` and
the like. A run's order is that of its scores; what is equal is decided against the model, as everywhere here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from sterna.errors import DataError
from sterna.evaluation._relevance import TOO_HIGH
from sterna.files import system_reason

__all__ = ["Grades", "Run", "escaped", "read_qrels", "read_run", "unescaped"]

Grades = dict[str, dict[str, float]]


class Run(NamedTuple):
    """Someone's answers: scores by query and answer, and the run's tag."""

    scores: Grades
    tag: str


def read_qrels(path: Path) -> Grades:
    """Grades by query and answer, as they stand there; raises `DataError` naming file and line."""
    found: Grades = {}
    for where, fields in _lines(path, 4, "query 0 answer grade"):
        query, _, answer, written = fields
        _add(found, query, answer, _number(written, where, "grade"), where)
        if found[query][answer] >= TOO_HIGH:
            raise DataError(f"{where}: the grade {written} is 1000 or more")
    return found


def read_run(path: Path) -> Run:
    """Scores by query and answer; raises `DataError` naming file and line."""
    found: Grades = {}
    tag = ""
    for where, fields in _lines(path, 6, "query Q0 answer rank score tag"):
        query, _, answer, _, written, tag = fields
        _add(found, query, answer, _number(written, where, "score"), where)
    return Run(found, tag)


def escaped(name: str) -> str:
    """An id without white space."""
    return re.sub(r"[\s%]", lambda match: quote(match[0], safe=""), name)


def unescaped(name: str) -> str:
    """The id that was escaped."""
    return unquote(name)


def _lines(path: Path, count: int, needed: str) -> Iterator[tuple[str, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            empty = True
            for number, line in enumerate(file, start=1):
                fields = line.split()
                if not fields:
                    continue
                empty = False
                if len(fields) != count:
                    raise DataError(
                        f"{path}:{number}: has {len(fields)} fields; {count} are needed: {needed}"
                    )
                yield f"{path}:{number}", fields
    except OSError as error:
        raise DataError(f"{path}: {system_reason(error)}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; lines of the form {needed} are needed") from None
    if empty:
        raise DataError(f"{path}: is empty; lines of the form {needed} are needed")


def _number(written: str, where: str, what: str) -> float:
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise DataError(f"{where}: the {what} {written!r} is not a number")
    return value


def _add(found: Grades, query: str, answer: str, value: float, where: str) -> None:
    answers = found.setdefault(query, {})
    if answer in answers:
        raise DataError(f"{where}: the query {query!r} has the answer {answer!r} twice")
    answers[answer] = value
