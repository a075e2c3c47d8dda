"""The folders of a library: which of them a run is about, and folders inside folders."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sterna.errors import LibraryError, UsageError
from sterna.library._catalog import Catalog
from sterna.library._drives import is_online

__all__ = ["Root", "check_folder", "choose_roots", "known_roots", "resolved", "root_is_online"]


@dataclass(frozen=True)
class Root:
    """A folder of the library: its id, absolute path, `st_dev` when last there, and exclude patterns."""

    number: int
    path: bytes
    device: int
    exclude: tuple[str, ...]


def resolved(folder: str | Path) -> bytes:
    """The absolute path of a folder, without links and `~`."""
    return os.fsencode(os.path.realpath(Path(folder).expanduser()))


def known_roots(catalog: Catalog) -> list[Root]:
    """Every root, by path."""
    rows = catalog.rows("SELECT id, path, device, exclude FROM roots ORDER BY path")
    return [Root(number, path, device, tuple(json.loads(text))) for number, path, device, text in rows]


def root_is_online(catalog: Catalog, root: Root) -> bool:
    """Whether a root is there now."""
    photos = catalog.value("SELECT 1 FROM files WHERE root = ? LIMIT 1", (root.number,)) is not None
    return is_online(root.path, device=root.device, photos=photos)


def check_folder(folder: str | Path) -> None:
    """Raise `UsageError` where `folder` is no folder."""
    path = Path(folder).expanduser()
    if not path.exists():
        raise UsageError(f"{folder}: no such folder; name a folder of photographs")
    if not path.is_dir():
        raise UsageError(f"{folder}: a file, not a folder; name the folder it lies in")


def choose_roots(catalog: Catalog, folders: Sequence[str | Path], *, exclude: Sequence[str]) -> list[Root]:
    """The roots a run is about: all, or those named, which are added where they are new.

    A folder inside a root means that root. A folder around roots takes their place: what is known of their
    files stays known. `exclude` is remembered for the roots; where it is empty, what is remembered counts
    (`[""]` forgets it).

    Raises `UsageError` for what is no folder, `LibraryError` for a folder around a root that is not there
    now.
    """
    chosen: list[bytes] = []
    for folder in folders:
        path = resolved(folder)
        around = [root.path for root in known_roots(catalog) if _is_inside(path, root.path)]
        if around:
            path = around[0]
        else:
            check_folder(folder)
            _add(catalog, path)
        if path not in chosen:
            chosen.append(path)
    if exclude:
        patterns = json.dumps([pattern for pattern in exclude if pattern])
        for path in chosen or [root.path for root in known_roots(catalog)]:
            catalog.run("UPDATE roots SET exclude = ? WHERE path = ?", (patterns, path))
    return [root for root in known_roots(catalog) if not folders or root.path in chosen]


def _is_inside(path: bytes, root: bytes) -> bool:
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


def _add(catalog: Catalog, path: bytes) -> None:
    """Add a root; those inside it become part of it."""
    inner = [root for root in known_roots(catalog) if _is_inside(root.path, path)]
    for root in inner:
        if not root_is_online(catalog, root):
            raise LibraryError(
                f"{os.fsdecode(path)}: holds {os.fsdecode(root.path)}, which is indexed by itself and not "
                "there now; make it available first"
            )
    with catalog.transaction():
        device = os.stat(path).st_dev  # noqa: PTH116 (bytes)
        patterns = sorted({pattern for root in inner for pattern in root.exclude})
        number = catalog.run(
            "INSERT INTO roots (path, device, exclude) VALUES (?, ?, ?)", (path, device, json.dumps(patterns))
        )
        for root in inner:
            prefix = root.path[len(path.rstrip(b"/")) + 1 :] + b"/"
            catalog.run(
                "UPDATE files SET root = ?, path = CAST(? || path AS BLOB) WHERE root = ?",
                (number, prefix, root.number),
            )
            catalog.run("DELETE FROM roots WHERE id = ?", (root.number,))
        if inner:
            catalog.touch(losses=True)
