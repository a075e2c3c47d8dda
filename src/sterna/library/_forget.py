"""Take a folder out of a library."""

from __future__ import annotations

import os
from pathlib import Path

from sterna.errors import UsageError
from sterna.library._catalog import Catalog
from sterna.library._folder import writing
from sterna.library._paths import is_inside
from sterna.library._roots import Root, drop_root, known_roots, resolved
from sterna.library._types import Forgotten
from sterna.words import printable

__all__ = ["forget_root"]


def forget_root(library: Path, folder: str | Path, *, wait: float | None) -> Forgotten:
    """Take a root out of the library in a folder; see `Library.forget`."""
    with writing(library, wait=wait):
        catalog = Catalog(library, write=True)
        try:
            return _forget(catalog, folder)
        finally:
            catalog.close()


def _forget(catalog: Catalog, folder: str | Path) -> Forgotten:
    """Forget a root, its files, and the photographs that no other root holds, with their vectors' names.

    The rows of the vectors stay in their segments until those are compacted.
    """
    with catalog.transaction():
        root = _root_of(catalog, folder)
        (mine,) = catalog.numbers(
            "SELECT DISTINCT photo AS a FROM files WHERE root = ? AND photo IS NOT NULL", (root.number,)
        )
        files = int(catalog.value("SELECT COUNT(*) FROM files WHERE root = ?", (root.number,)))
        drop_root(catalog, root.number)
        before = int(catalog.value("SELECT COUNT(*) FROM photos"))
        catalog.run_many(
            "DELETE FROM photos WHERE id = ? AND NOT EXISTS (SELECT 1 FROM files WHERE photo = photos.id)",
            [(photo,) for photo in mine.tolist()],
        )
        catalog.touch(losses=True)
        photos = before - int(catalog.value("SELECT COUNT(*) FROM photos"))
    return Forgotten(Path(os.fsdecode(root.path)), files, photos)


def _root_of(catalog: Catalog, folder: str | Path) -> Root:
    typed = os.fsencode(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100 (a link may lead elsewhere now)
    path = resolved(folder)
    roots = known_roots(catalog)
    for root in roots:
        if root.path in (path, typed):
            return root
    for root in roots:
        if is_inside(path, root.path):
            around = printable(os.fsdecode(root.path))
            raise UsageError(
                f"{folder}: a part of {around}, which is forgotten as a whole; to leave a part out: "
                f"sterna index {around} --exclude PATTERN"
            )
    known = ", ".join(printable(os.fsdecode(root.path)) for root in roots) or "none"
    raise UsageError(f"{folder}: not a folder of this library; its folders: {known}")
