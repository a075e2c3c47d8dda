"""What a library holds, counted in one moment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sterna.library._catalog import Catalog
from sterna.library._paths import full_path
from sterna.library._roots import Root, known_roots, root_is_online
from sterna.library._segments import segments_of
from sterna.library._types import Failure, ModelStatus, RootStatus, Status

__all__ = ["empty_status", "failures", "read_status"]

_FOUND = (
    "SELECT COUNT(*) FROM vectors WHERE model = ? AND EXISTS "
    "(SELECT 1 FROM files WHERE files.photo = vectors.photo)"
)
_STALE = (
    "SELECT COUNT(*) FROM photos WHERE reason IS NULL "
    "AND EXISTS (SELECT 1 FROM files WHERE photo = photos.id) "
    "AND NOT EXISTS (SELECT 1 FROM vectors WHERE photo = photos.id AND model = ?)"
)
_FAILED = (
    "SELECT root, path, reason FROM folders "
    "UNION ALL SELECT root, path, reason FROM files WHERE reason IS NOT NULL "
    "UNION ALL SELECT files.root, files.path, photos.reason FROM photos "
    "CROSS JOIN files ON files.photo = photos.id WHERE photos.reason IS NOT NULL AND files.reason IS NULL"
)
_IN_ROOTS = (
    "SELECT root, COUNT(DISTINCT photo) FROM files WHERE EXISTS (SELECT 1 FROM vectors "
    "WHERE vectors.photo = files.photo AND model = ?) GROUP BY root"
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
        photos = dict(catalog.rows(_IN_ROOTS, (default,)))
        roots = known_roots(catalog)
        failed = failures(catalog, roots)
        models = tuple(
            _model(catalog, row, default=default)
            for row in catalog.rows("SELECT id, name, spec, fingerprint, dim FROM models ORDER BY id")
        )
        indexed = int(catalog.value(_FOUND, (default,)))
        stale = int(catalog.value(_STALE, (default,)))
    return Status(
        path=catalog.folder,
        roots=tuple(
            RootStatus(
                Path(os.fsdecode(root.path)),
                root_is_online(catalog, root),
                photos.get(root.number, 0),
                root.exclude,
            )
            for root in roots
        ),
        indexed=indexed,
        stale=stale,
        failed=failed,
        models=models,
        bytes=_size(catalog.folder),
        journal=catalog.journal,
    )


def failures(catalog: Catalog, roots: Sequence[Root]) -> tuple[Failure, ...]:
    """What cannot be read in these roots, by path."""
    paths = {root.number: root.path for root in roots}
    rows = [(paths[root], path, reason) for root, path, reason in catalog.rows(_FAILED) if root in paths]
    return tuple(Failure(Path(full_path(root, path)), reason) for root, path, reason in sorted(rows))


def _model(catalog: Catalog, row: tuple[int, str, str, str, int], *, default: int | None) -> ModelStatus:
    number, name, spec, fingerprint, dim = row
    return ModelStatus(
        name=name,
        spec=spec,
        fingerprint=fingerprint,
        dim=dim,
        photos=int(catalog.value(_FOUND, (number,))),
        stale=int(catalog.value(_STALE, (number,))),
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
