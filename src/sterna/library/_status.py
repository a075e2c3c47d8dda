"""What a library holds, counted in one moment."""

from __future__ import annotations

import os
from pathlib import Path

from sterna.library._catalog import Catalog
from sterna.library._drives import is_online
from sterna.library._roots import known_roots
from sterna.library._segments import segments_of
from sterna.library._types import Failure, ModelStatus, RootStatus, Status

__all__ = ["empty_status", "read_status"]

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
    "SELECT roots.path, folders.path, reason FROM folders JOIN roots ON roots.id = folders.root "
    "UNION ALL SELECT roots.path, files.path, files.reason FROM files JOIN roots ON roots.id = files.root "
    "WHERE files.reason IS NOT NULL "
    "UNION ALL SELECT roots.path, files.path, photos.reason FROM photos "
    "JOIN files ON files.photo = photos.id JOIN roots ON roots.id = files.root "
    "WHERE photos.reason IS NOT NULL AND files.reason IS NULL ORDER BY 1, 2"
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
        occupied = {number for (number,) in catalog.rows("SELECT DISTINCT root FROM files")}
        failed = catalog.rows(_FAILED)
        models = tuple(
            _model(catalog, row, default)
            for row in catalog.rows("SELECT id, name, spec, fingerprint, dim FROM models ORDER BY id")
        )
        indexed = int(catalog.value(_FOUND, (default,)))
        stale = int(catalog.value(_STALE, (default,)))
    return Status(
        path=catalog.folder,
        roots=tuple(
            RootStatus(
                Path(os.fsdecode(root.path)),
                is_online(root.path, device=root.device, photos=root.number in occupied),
                photos.get(root.number, 0),
                root.exclude,
            )
            for root in roots
        ),
        indexed=indexed,
        stale=stale,
        failed=tuple(
            Failure(Path(os.fsdecode(root.rstrip(b"/") + b"/" + path)), reason)
            for root, path, reason in failed
        ),
        models=models,
        bytes=_size(catalog.folder),
        journal=catalog.journal,
    )


def _model(catalog: Catalog, row: tuple[int, str, str, str, int], default: int | None) -> ModelStatus:
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
