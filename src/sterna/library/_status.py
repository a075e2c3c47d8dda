"""What a library holds, counted in one moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sterna.errors import LibraryError
from sterna.library._catalog import Catalog
from sterna.library._models import index_command
from sterna.library._paths import full_path
from sterna.library._roots import Root, drives_away, known_roots, root_is_online
from sterna.library._segments import Segment, segments_of
from sterna.library._sound import ANEW, complaint, examine, flaw, shortfall, sums_of, whole_rows
from sterna.library._types import Failure, ModelStatus, RootRecord, RootStatus, Status
from sterna.words import counted

__all__ = ["empty_status", "failures", "read_check", "read_roots", "read_status"]

_TRIES = 3

# {there}: a condition that the rows of vectors are not lost
_FOUND = (
    "SELECT COUNT(*) FROM vectors WHERE model = ? AND {there} AND EXISTS "
    "(SELECT 1 FROM files WHERE files.photo = vectors.photo)"
)
_STALE = (
    "SELECT COUNT(*) FROM photos WHERE reason IS NULL "
    "AND EXISTS (SELECT 1 FROM files WHERE photo = photos.id) "
    "AND NOT EXISTS (SELECT 1 FROM vectors WHERE photo = photos.id AND model = ? AND {there})"
)
_FAILED = (
    "SELECT root, path, reason FROM folders "
    "UNION ALL SELECT root, path, reason FROM files WHERE reason IS NOT NULL "
    "UNION ALL SELECT files.root, files.path, photos.reason FROM photos "
    "CROSS JOIN files ON files.photo = photos.id WHERE photos.reason IS NOT NULL AND files.reason IS NULL"
)
_IN_ROOTS = (
    "SELECT root, COUNT(DISTINCT photo) FROM files WHERE EXISTS (SELECT 1 FROM vectors "
    "WHERE vectors.photo = files.photo AND model = ? AND {there}) GROUP BY root"
)


def empty_status(folder: Path) -> Status:
    """The status of a library that is not there yet."""
    return Status(folder, (), 0, 0, (), (), 0, "none")


def read_status(catalog: Catalog, *, fingerprint: str | None) -> Status:
    """Count what a library holds; `fingerprint` is its default model's today, `None` where not known."""
    with catalog.reading():
        default = catalog.fact("model")
        if fingerprint is not None:
            default = catalog.value("SELECT id FROM models WHERE fingerprint = ?", (fingerprint,))
        there = _rows_left(catalog)
        photos = dict(catalog.rows(_IN_ROOTS.format(there=there), (default,)))
        roots = known_roots(catalog)
        failed = failures(catalog, roots)
        models = tuple(
            _model(catalog, row, default=default, there=there)
            for row in catalog.rows("SELECT id, name, spec, fingerprint, dim FROM models ORDER BY id")
        )
        indexed = int(catalog.value(_FOUND.format(there=there), (default,)))
        stale = int(catalog.value(_STALE.format(there=there), (default,)))
    online = {root.number: root_is_online(catalog, root) for root in roots}
    return Status(
        path=catalog.folder,
        roots=tuple(
            RootStatus(
                Path(os.fsdecode(root.path)),
                online[root.number],
                photos.get(root.number, 0),
                root.exclude,
                drives_away(catalog, root) if online[root.number] else (),
                root.number,
            )
            for root in roots
        ),
        indexed=indexed,
        stale=stale,
        failed=failed,
        models=models,
        bytes=_size(catalog.folder),
        journal=catalog.journal,
        problems=tuple(_problems(catalog, look=flaw)),
    )


def read_roots(catalog: Catalog) -> tuple[RootRecord, ...]:
    """The folders of a library, by path."""
    return tuple(
        RootRecord(root.number, Path(os.fsdecode(root.path)), root_is_online(catalog, root), root.exclude)
        for root in known_roots(catalog)
    )


def read_check(catalog: Catalog) -> list[str]:
    """Read all of a library's catalogue and vectors; a sentence for each thing that is wrong."""

    def look(segment: Segment) -> str | None:
        try:
            lost, _ = examine(segment, sums_of(catalog, segment))
        except LibraryError:  # it may not be read
            return flaw(segment)
        reason = shortfall(segment)
        count = int(np.count_nonzero(lost))
        if reason is None and count:
            are = "is" if count == 1 else "are"
            share = f"{count:,} of {counted(segment.rows, 'vector')} {are} not what was written"
            return f"the file is damaged ({share}){ANEW}"
        return reason or _unwritten(catalog, segment)

    wrong = catalog.flaws()
    return wrong or [f"{one.path}: {one.reason}" for one in _problems(catalog, look=look)]


def _unwritten(catalog: Catalog, segment: Segment) -> str | None:
    count = catalog.value(
        "SELECT COUNT(*) FROM vectors WHERE segment = ? AND row >= ?", (segment.number, segment.rows)
    )
    return f"the catalogue names {counted(count, 'vector')} behind its end{ANEW}" if count else None


def failures(catalog: Catalog, roots: Sequence[Root]) -> tuple[Failure, ...]:
    """What cannot be read in these roots, by path."""
    paths = {root.number: root.path for root in roots}
    rows = [(paths[root], path, reason) for root, path, reason in catalog.rows(_FAILED) if root in paths]
    return tuple(Failure(Path(full_path(root, path)), reason) for root, path, reason in sorted(rows))


def _problems(catalog: Catalog, *, look: Callable[[Segment], str | None]) -> list[Failure]:
    """What `look` shows to be wrong with the files of vectors, and the commands that mend it."""
    default = catalog.fact("model")
    for _ in range(_TRIES):
        generation = catalog.fact("generation")
        found = [
            Failure(segment.path, complaint(reason, index_command(spec, default=number == default)))
            for number, spec in catalog.rows("SELECT id, spec FROM models ORDER BY id")
            for segment in segments_of(catalog, number)
            if (reason := look(segment)) is not None
        ]
        if not found or catalog.fact("generation") == generation:
            break  # else a file may be gone because another process has just written its rows into a new one
    return found


def _rows_left(catalog: Catalog) -> str:
    """A condition on `vectors`: not those whose rows are behind the end of their file."""
    conditions = ["1"]
    for (model,) in catalog.rows("SELECT id FROM models"):
        for segment in segments_of(catalog, model):
            if (whole := whole_rows(catalog, segment)) < segment.rows:
                conditions.append(f"NOT (segment = {segment.number} AND row >= {whole})")
    return " AND ".join(conditions)


def _model(
    catalog: Catalog, row: tuple[int, str, str, str, int], *, default: int | None, there: str
) -> ModelStatus:
    number, name, spec, fingerprint, dim = row
    return ModelStatus(
        name=name,
        spec=spec,
        fingerprint=fingerprint,
        dim=dim,
        photos=int(catalog.value(_FOUND.format(there=there), (number,))),
        stale=int(catalog.value(_STALE.format(there=there), (number,))),
        default=number == default,
        bytes=sum(segment.rows * segment.row_bytes for segment in segments_of(catalog, number)),
    )


def _size(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_size  # noqa: PTH116, PTH118
            except OSError:  # gone since it was listed
                continue
    return total
