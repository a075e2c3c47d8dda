"""Files that say what is right: TREC's qrels, JSON as ECCV Caption has it, a matrix of grades.

JSON holds `{query: [answers]}` or, graded, `{query: {answer: grade}}`, of one way, or such objects under
`i2t` and `t2i`. A matrix (`.npy`) has a row for every caption and a column for every image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, UsageError
from sterna.evaluation._array_files import read_array
from sterna.evaluation._relevance import TOO_HIGH, WAYS, Relevance, Way, are_grades
from sterna.evaluation._trec import Grades, read_qrels, unescaped
from sterna.files import read_json

__all__ = ["Judged", "read_relevance"]


class Judged(NamedTuple):
    """What files say is right: answers by way, and grades [C, N] of every caption with every image."""

    relevance: Mapping[Way, Relevance]
    grades: NDArray[np.floating[Any]] | None = None


def read_relevance(
    files: Sequence[str | Path], *, image_ids: Sequence[str], caption_ids: Sequence[str]
) -> Judged:
    """Read files of relevance for these images and captions.

    Arguments:
        files: `.json`, `.npy`, or else qrels; which way is found out from the ids unless the name is written
            as `i2t=FILE` or `t2i=FILE`.
        image_ids, caption_ids: what the files may speak of.

    Raises `DataError` where a file cannot be read or speaks of something unknown, `UsageError` where a way
    cannot be told or is given twice.
    """
    ids: dict[Way, tuple[Sequence[str], Sequence[str]]] = {
        "i2t": (image_ids, caption_ids),
        "t2i": (caption_ids, image_ids),
    }
    found: dict[Way, Relevance] = {}
    grades = None
    for written in files:
        way, path = _split_way(written)
        if path.suffix == ".npy":
            if grades is not None or way == "i2t":
                raise UsageError(f"{path}: one matrix of grades [captions, images] can be used, for t2i")
            grades = _matrix(path, shape=(len(caption_ids), len(image_ids)))
            continue
        for each, judged in _by_way(path, way, ids).items():
            if each in found:
                raise UsageError(f"{path}: what is right for {each} is given twice")
            found[each] = _placed(path, judged, *ids[each])
    return Judged(found, grades)


def _split_way(written: str | Path) -> tuple[Way | None, Path]:
    for way in WAYS:
        if str(written).startswith(f"{way}="):
            return way, Path(str(written).removeprefix(f"{way}="))
    return None, Path(written)


def _matrix(path: Path, *, shape: tuple[int, int]) -> NDArray[np.floating[Any]]:
    grades = read_array(path)
    if grades.shape != shape:
        raise DataError(f"{path}: has the shape {grades.shape}; [captions, images] = {shape} is needed")
    for rows in np.array_split(grades, max(1, len(grades) // 1024)):  # it may be larger than memory
        if not are_grades(rows):
            raise DataError(f"{path}: a grade is negative, 1000 or more, or not a number")
    return grades


def _by_way(
    path: Path, way: Way | None, ids: Mapping[Way, tuple[Sequence[str], Sequence[str]]]
) -> dict[Way, Grades]:
    value = _read_object(path) if path.suffix == ".json" else read_qrels(path)
    if path.suffix == ".json" and isinstance(value, dict) and value and set(value) <= set(WAYS):
        return {each: _checked(path, value[each]) for each in WAYS if each in value}
    if not value:
        raise DataError(f"{path}: is empty; what is right for some query is needed")
    judged = _checked(path, value) if path.suffix == ".json" else value
    return {way or _told_way(path, judged, ids): judged}


def _read_object(path: Path) -> Any:
    """JSON in which no object has a key twice, of which one would be lost in silence."""
    read_json(path, error=DataError)  # says what is wrong with a file that is none
    return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=partial(_once, path))


def _once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise DataError(f"{path}: has {twice!r} twice")
    return found


def _checked(path: Path, value: Any) -> Grades:
    """JSON's lists and objects as grades by query and answer."""
    if not isinstance(value, dict):
        raise DataError(f"{path}: holds no object; {{query: [answers]}} is needed")
    found: dict[str, dict[str, float]] = {}
    for query, answers in value.items():
        if isinstance(answers, list) and all(isinstance(each, str | int) for each in answers):
            found[query] = {str(each): 1.0 for each in answers}
            if len(found[query]) != len(answers):
                raise DataError(f"{path}: the query {query!r} has an answer twice")
        elif isinstance(answers, dict) and all(_is_grade(grade) for grade in answers.values()):
            found[query] = {each: float(grade) for each, grade in answers.items()}
        else:
            needed = "a list of ids, or an object of ids and grades below 1000"
            raise DataError(f"{path}: the query {query!r} has no answers as they are needed: {needed}")
    return found


def _is_grade(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and value < TOO_HIGH  # not NaN either


def _told_way(path: Path, judged: Grades, ids: Mapping[Way, tuple[Sequence[str], Sequence[str]]]) -> Way:
    """The way that the ids allow; where none does, that of most known queries, to name what is not."""
    known = {way: {*queries} for way, (queries, _) in ids.items()}
    fits: list[Way] = [
        way
        for way, (_, answers) in ids.items()
        if _all_known(judged, known[way]) and _all_known(_answers(judged), {*answers})
    ]
    if len(fits) > 1:
        raise UsageError(f"{path}: fits both ways; write i2t={path} or t2i={path}")
    if fits:
        return fits[0]
    counts = {way: sum(query in known[way] for query in judged) for way in WAYS}
    return max(WAYS, key=lambda way: counts[way])


def _answers(judged: Grades) -> set[str]:
    return {answer for answers in judged.values() for answer in answers}


def _all_known(names: Any, known: set[str]) -> bool:
    return all(name in known or unescaped(name) in known for name in names)


def _placed(path: Path, judged: Grades, queries: Sequence[str], answers: Sequence[str]) -> Relevance:
    """Positions for ids; raises `DataError` naming the first id that is not known."""
    asks = _places(path, judged, queries, what="queries")
    items = _places(path, _answers(judged), answers, what="answers")
    right: list[dict[int, float]] = [{} for _ in queries]
    for query, graded in judged.items():
        right[asks[query]] = {items[answer]: grade for answer, grade in graded.items()}
    found = Relevance.of(right, gallery=len(answers), name=path.name)
    if not len(found.asked):
        raise DataError(f"{path}: no query has a right answer")
    return found


def _places(path: Path, names: Any, known: Sequence[str], *, what: str) -> dict[str, int]:
    place = {name: number for number, name in enumerate(known)}
    found = {name: place.get(name, place.get(unescaped(name), -1)) for name in names}
    unknown = sorted(name for name, number in found.items() if number < 0)
    if unknown:
        raise DataError(
            f"{path}: {len(unknown):,} of {len(found):,} {what} are not in the data, such as {unknown[0]!r}; "
            f"ids there look like {known[0]!r}"
        )
    meant: dict[int, str] = {}
    for name, number in found.items():
        if meant.setdefault(number, name) != name:
            raise DataError(f"{path}: of the {what}, {meant[number]!r} and {name!r} are the same")
    return found
