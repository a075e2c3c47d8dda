"""`sterna eval --failures`: a page of what is not found, with pictures, and a table of kinds of captions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.cli._output import number, print_table, say_written
from sterna.words import counted

if TYPE_CHECKING:
    from sterna.evaluation import Captioned, Failures, Report, Worst
    from sterna.figures import Section, Table

__all__ = ["print_failures", "write_failures"]


@dataclass(frozen=True)
class _Answer:
    rank: int
    score: float
    path: Path
    captions: tuple[str, ...] = ()
    alignment: float | None = None
    also: tuple[Path, ...] = ()


def write_failures(path: Path, report: Report, data: Captioned) -> Failures:
    """Write the page, and return what is on it.

    Raises `UsageError` where the report has several galleries.
    """
    from sterna import figures
    from sterna.evaluation import failures_of

    found = failures_of(report.ranks, data.captions)
    sections = [_worst(one, data, images=found.images) for one in found.worst]
    title = f"{report.model} on {' '.join(filter(None, (report.data, report.split)))}: what it does not find"
    figures.write_html(path, [_kinds(found), *sections, _hubs(found, data)], title=title)
    say_written(path)
    return found


def _kinds(found: Failures) -> Table:
    from sterna.figures import Table

    heads, rows = _table_of_kinds(found)
    title = "Captions by kind: per cent whose own photograph is among the first 1, 5 and 10; its median place"
    return Table(title, heads, rows)


def _worst(one: Worst, data: Captioned, *, images: int) -> Section:
    from sterna.figures import Section

    lost = one.score is None
    answers = [
        _Answer(place, score, Path(data.paths[image]))
        for place, (image, score) in enumerate(zip(one.first, one.scores, strict=True), start=1)
    ]
    own = _Answer(
        0 if lost else one.rank,
        math.nan if one.score is None else one.score,
        Path(data.paths[int(data.owners[one.caption])]),
        ("the caption's own photograph",),
    )
    where = "cannot be found" if lost else f"comes at place {one.rank:,} of {images:,}"
    title = f"{data.captions[one.caption]} \N{EM DASH} its own photograph (first) {where}"
    return Section(title, answers=answers, right=own)


def _hubs(found: Failures, data: Captioned) -> Section:
    from sterna.figures import Section

    answers = [
        _Answer(
            place,
            hub.captions / len(data.captions),
            Path(data.paths[hub.image]),
            (f"among the first ten of {counted(hub.captions, 'caption')}",),
        )
        for place, hub in enumerate(found.hubs, start=1)
    ]
    title = (
        "Hubs: photographs that are among the first ten of the most captions "
        f"({found.expected:.0f} each if all were alike; {found.never:.1%} are among those of none)"
    )
    return Section(title, answers=answers, measure="{:.1%} of all")


def print_failures(found: Failures) -> None:
    """A table of kinds of captions, and what the page has of hubs in one line."""
    heads, rows = _table_of_kinds(found)
    print()
    print_table(heads, rows, right=range(1, len(heads)))
    most = found.hubs[0].captions
    print(
        f"hubs: one photograph is among the first ten of {counted(most, 'caption')} "
        f"({found.expected:.0f} if all were alike); "
        f"{found.never:.1%} of the photographs are among those of none"
    )


def _table_of_kinds(found: Failures) -> tuple[list[str], list[list[str]]]:
    """The heads of its columns, and its rows."""
    heads = ["captions with", "", *(f"@{cutoff}" for cutoff in found.kinds[0].hits), "median rank"]
    rows = [
        [
            kind.name,
            number(kind.captions),
            *(f"{100 * share:.1f}" for share in kind.hits.values()),
            f"{kind.median_rank:g}",
        ]
        for kind in found.kinds
    ]
    return heads, rows
