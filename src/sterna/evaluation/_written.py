"""What each query found, written out: a table of ranks, or TREC's runs and qrels."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from sterna.errors import UsageError
from sterna.evaluation._ranks import Ranking, Ranks
from sterna.evaluation._relevance import WAYS
from sterna.evaluation._trec import escaped
from sterna.files import new_file

__all__ = ["write_ranks", "write_trec"]

_COLUMNS = ("way", "query", "answers", "ranks", "first")


def write_ranks(path: str | Path, parts: Sequence[Ranks], *, first: int = 10) -> None:
    """Write for every query the ids of its right answers, their ranks, and the first answers.

    Arguments:
        path: a `.csv`, in which lists are JSON, or a `.jsonl`.
        parts: ranks, as a report has them; ids are positions where they have none.
        first: how many of the first answers to write, of those that were kept (`top`).

    A rank is counted from 1, and `null` for what is not found at all. Raises `UsageError` for another kind of
    file.
    """
    path = Path(path)
    if path.suffix not in {".csv", ".jsonl"}:
        raise UsageError(f"{path}: ranks are written as .csv or .jsonl")
    with new_file(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in _rows(parts, first))
        else:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(_COLUMNS)
            for row in _rows(parts, first):
                table.writerow(
                    [json.dumps(cell) if isinstance(cell, list) else cell for cell in row.values()]
                )


def write_trec(folder: str | Path, parts: Sequence[Ranks], *, tag: str = "sterna") -> None:
    """Write `i2t.run`, `i2t.qrels`, `t2i.run` and `t2i.qrels` for TREC's tools.

    Those sort by score and break ties in their own way, so that a score that equals the one before is written
    as the next lower number: their order is ours. A run holds the first answers that were kept (`top`).

    Arguments:
        folder: is made where it is missing; these four files in it are replaced.
        parts: ranks, as a report has them.
        tag: the runs' last column.

    Raises `UsageError` where no first answers were kept.
    """
    folder = Path(folder)
    for way in WAYS:
        with new_file(folder / f"{way}.run") as aside, aside.open("w", encoding="utf-8") as file:
            for ranks in parts:
                _write_run(file, ranks, way, tag=escaped(tag) or "sterna")
        with new_file(folder / f"{way}.qrels") as aside, aside.open("w", encoding="utf-8") as file:
            for ranks in parts:
                file.writelines(_qrels(ranks, way))


def _rows(parts: Sequence[Ranks], first: int) -> Iterator[dict[str, Any]]:
    for ranks in parts:
        for way in WAYS:
            ranking, queries, gallery = _one_way(ranks, way)
            for number, query in enumerate(_known(ranking.queries)):
                mine = slice(ranking.offsets[number], ranking.offsets[number + 1])
                places = ranking.ranks[mine].tolist()
                top = [] if ranking.top is None else ranking.top[number, :first].tolist()
                cells = (
                    way,
                    queries[query],
                    [gallery[answer] for answer in _known(ranking.answers)[mine]],
                    [place + 1 if place < ranking.gallery else None for place in places],
                    [gallery[answer] for answer in top if answer >= 0],
                )
                yield dict(zip(_COLUMNS, cells, strict=True))


def _write_run(file: TextIO, ranks: Ranks, way: str, *, tag: str) -> None:
    ranking, queries, gallery = _one_way(ranks, way)
    if ranking.top is None or ranking.top_scores is None:
        raise UsageError("no first answers were kept; rank with top=1000, say")
    for number, query in enumerate(_known(ranking.queries)):
        before = np.float32(np.inf)
        answers = zip(ranking.top[number], ranking.top_scores[number].astype(np.float32), strict=True)
        for place, (answer, score) in enumerate(answers):
            if answer < 0:
                break
            before = score if score < before else np.nextafter(before, np.float32(-np.inf))
            name = escaped(gallery[answer])
            file.write(f"{escaped(queries[query])} Q0 {name} {place + 1} {before!s} {tag}\n")


def _qrels(ranks: Ranks, way: str) -> Iterator[str]:
    ranking, queries, gallery = _one_way(ranks, way)
    grades = np.ones(len(ranking.ranks)) if ranking.grades is None else ranking.grades
    for number, query in enumerate(_known(ranking.queries)):
        for place in range(ranking.offsets[number], ranking.offsets[number + 1]):
            answer = escaped(gallery[_known(ranking.answers)[place]])
            yield f"{escaped(queries[query])} 0 {answer} {grades[place]:g}\n"


def _one_way(ranks: Ranks, way: str) -> tuple[Ranking, Sequence[str], Sequence[str]]:
    images = ranks.image_ids or [str(number) for number in range(ranks.images)]
    captions = ranks.caption_ids or [str(number) for number in range(ranks.captions)]
    return (ranks.i2t, images, captions) if way == "i2t" else (ranks.t2i, captions, images)


def _known(values: Any) -> Any:
    if values is None:
        raise UsageError("these ranks do not know their queries and answers; make them with rank_both_ways")
    return values
