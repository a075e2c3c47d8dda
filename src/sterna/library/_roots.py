"""The folders of a library: which of them a run is about, folders inside folders, and their drives."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sterna.errors import LibraryError, UsageError
from sterna.library._catalog import Catalog
from sterna.library._drives import device_of, exists, is_of_the_system, is_online, lies_behind_the_system
from sterna.library._paths import escaped, full_path, is_inside, is_skipped, within

__all__ = [
    "Drives",
    "Root",
    "check_folder",
    "check_folders",
    "choose_roots",
    "drives_away",
    "drop_root",
    "known_roots",
    "resolved",
    "root_is_online",
]

_SAMPLE = 1000  # files of a root that are looked for on a drive with another number


@dataclass(frozen=True)
class Root:
    """A folder of the library.

    Arguments:
        number: its id.
        path: absolute.
        devices: `st_dev`, when last there, of the root (an empty path) and of the folders in it that lie on
            drives of their own (paths below it).
        exclude: patterns of what is left out.
    """

    number: int
    path: bytes
    devices: Mapping[bytes, int]
    exclude: tuple[str, ...]

    def reaches(self, folder: bytes) -> bool:
        """Whether its walk comes to a folder, given as an absolute path."""
        if folder == self.path or not is_inside(folder, self.path):
            return folder == self.path
        if is_skipped(_below(folder, self.path), self.exclude):
            return False
        return not lies_behind_the_system(folder, root=self.path)


class Drives:
    """Which files of a library are there now, as far as their drives are; each drive is asked once."""

    def __init__(self, catalog: Catalog) -> None:
        self._noted = {
            os.fsencode(full_path(root.path, path)) if path else root.path: device
            for root in known_roots(catalog)
            for path, device in root.devices.items()
        }
        self._now: dict[bytes, int | None] = {}

    def away(self, file: str, *, root: Path) -> Path | None:
        """The folder of the drive that a file of a root lies on where that is not there, else `None`.

        On a drive with another number the file has to be there.
        """
        folder = os.fsencode(file)
        while folder not in self._noted:
            outer = os.path.dirname(folder)  # noqa: PTH120 (bytes)
            if outer == folder:
                return None if exists(file) else root
            folder = outer
        noted = self._noted[folder]
        if folder not in self._now:
            self._now[folder] = device_of(folder, unknown=noted)
        now = self._now[folder]
        there = now is not None and (now == noted or exists(file))
        return None if there else Path(os.fsdecode(folder))


def resolved(folder: str | Path) -> bytes:
    """The absolute path of a folder, without links and `~`."""
    return os.fsencode(os.path.realpath(Path(folder).expanduser()))


def known_roots(catalog: Catalog) -> list[Root]:
    """Every root, by path."""
    mounts: dict[int, dict[bytes, int]] = defaultdict(dict)
    if catalog.has_table("mounts"):
        for number, path, device in catalog.rows("SELECT root, path, device FROM mounts"):
            mounts[number][path] = device
    rows = catalog.rows("SELECT id, path, device, exclude FROM roots ORDER BY path")
    return [
        Root(number, path, {b"": device, **mounts[number]}, tuple(json.loads(text)))
        for number, path, device, text in rows
    ]


def root_is_online(catalog: Catalog, root: Root) -> bool:
    """Whether a root is there now."""
    return _is_there(catalog, root, b"")


def drives_away(catalog: Catalog, root: Root) -> tuple[Path, ...]:
    """The drives inside a root that are not there now, by path."""
    inner = sorted(path for path in root.devices if path and not _is_there(catalog, root, path))
    return tuple(Path(full_path(root.path, path)) for path in inner)


def _is_there(catalog: Catalog, root: Root, folder: bytes) -> bool:
    prefix = within(folder)

    def files() -> list[bytes]:
        rows = catalog.rows(
            "SELECT path FROM files WHERE root = ? AND path >= ? AND (? OR path < ?) LIMIT ?",
            (root.number, prefix, not folder, folder + b"0", _SAMPLE),  # "0" comes after the slash
        )
        return [path[len(prefix) :] for (path,) in rows]

    path = os.fsencode(full_path(root.path, folder)) if folder else root.path
    return is_online(path, device=root.devices[folder], files=files)


def check_folder(folder: str | Path) -> None:
    """Raise `UsageError` where `folder` is no folder."""
    path = Path(folder).expanduser()
    if not path.exists():
        raise UsageError(f"{folder}: no such folder; name a folder of photographs")
    if not path.is_dir():
        raise UsageError(f"{folder}: a file, not a folder; name the folder it lies in")
    if is_of_the_system(resolved(folder)):
        raise UsageError(
            f"{folder}: holds no files of a drive but what the system tells of itself; name a folder of "
            "photographs"
        )


def check_folders(catalog: Catalog, folders: Sequence[str | Path]) -> None:
    """Raise `UsageError` for a file, and for what is not there and belongs to no root, which may be away."""
    roots = known_roots(catalog)
    for folder in folders:
        path = resolved(folder)
        if any(root.path == path for root in roots):
            continue
        is_file = exists(os.fsdecode(path)) and not os.path.isdir(path)  # noqa: PTH112 (bytes)
        if is_file or not any(root.reaches(path) for root in roots):
            check_folder(folder)


def choose_roots(
    catalog: Catalog, folders: Sequence[str | Path], *, exclude: Sequence[str], follow_links: bool = True
) -> tuple[list[Root], list[tuple[Path, Path]]]:
    """The roots a run is about: all, or those named, which are added where they are new.

    With them come those that have become part of one around them, each with that one.

    A folder inside a root means that root. A folder around roots takes their place: what is known of their
    files stays known. One that the walk of the root around it leaves out (hidden, of thumbnails, excluded) is
    a root of its own. `exclude` is remembered for the roots; where it is empty, what is remembered counts
    (`[""]` forgets it). Nothing is changed where something is wrong.

    Raises `UsageError` for what is no folder, `LibraryError` for a folder around a root that is not there
    now, and, where links are not followed, for one that is a link or lies behind one.
    """
    check_folders(catalog, folders)
    taken_in: list[tuple[Path, Path]] = []
    with catalog.transaction():
        chosen: list[int] = []
        for folder in folders:
            path = resolved(folder)
            if not follow_links and path != os.fsencode(os.path.abspath(Path(folder).expanduser())):  # noqa: PTH100
                raise LibraryError(f"{folder}: is a link, or lies behind one; nothing was added")
            around = [root.number for root in known_roots(catalog) if root.reaches(path)]
            number = around[0] if around else _add(catalog, path)
            _remember(catalog, number, exclude=exclude)
            chosen.append(number)
        if not folders and exclude:
            chosen = [root.number for root in known_roots(catalog)]
            for number in chosen:
                _remember(catalog, number, exclude=exclude)
        for number in chosen:
            for root in known_roots(catalog):
                if root.number == number:  # not where it has become a part of another just now
                    taken_in += _absorb(catalog, root, patterns=not exclude)
        return [root for root in known_roots(catalog) if not folders or root.number in chosen], taken_in


def _add(catalog: Catalog, path: bytes) -> int:
    device = os.stat(path).st_dev  # noqa: PTH116 (bytes)
    last = max(catalog.value("SELECT MAX(id) FROM roots") or 0, catalog.fact("roots") or 0)
    return catalog.run("INSERT INTO roots VALUES (?, ?, ?, '[]')", (last + 1, path, device))


def drop_root(catalog: Catalog, number: int) -> None:
    """Take a root out, with all that names it; nothing else ever gets its id."""
    catalog.set_fact("roots", max(number, catalog.fact("roots") or 0))
    catalog.run("DELETE FROM roots WHERE id = ?", (number,))


def _remember(catalog: Catalog, root: int, *, exclude: Sequence[str]) -> None:
    if exclude:
        patterns = json.dumps([pattern for pattern in exclude if pattern])
        catalog.run("UPDATE roots SET exclude = ? WHERE id = ?", (patterns, root))


def _absorb(catalog: Catalog, outer: Root, *, patterns: bool) -> list[tuple[Path, Path]]:
    """Make the roots inside one that its walk comes to a part of it, with their `patterns` or without.

    Returns each of them with that one.
    """
    inner = [root for root in known_roots(catalog) if root.path != outer.path and outer.reaches(root.path)]
    exclude = list(outer.exclude)
    for root in inner:
        if not root_is_online(catalog, root):
            raise LibraryError(
                f"{os.fsdecode(outer.path)}: holds {os.fsdecode(root.path)}, which is indexed by itself and "
                "not there now; make it available first"
            )
        below = _below(root.path, outer.path)
        for table in ("files", "sidecars", "mounts"):
            catalog.run(
                f"UPDATE OR REPLACE {table} SET root = ?, path = CAST(? || path AS BLOB) WHERE root = ?",  # noqa: S608  # nosec B608
                (outer.number, below + b"/", root.number),
            )
        device, around = root.devices[b""], os.path.dirname(root.path)  # noqa: PTH120 (bytes)
        if device != device_of(around, unknown=device):
            catalog.run("INSERT OR REPLACE INTO mounts VALUES (?, ?, ?)", (outer.number, below, device))
        drop_root(catalog, root.number)
        if patterns:
            exclude += _moved_patterns(root.exclude, below)
    if inner:
        _remember(catalog, outer.number, exclude=list(dict.fromkeys(exclude)) or [""])
        catalog.touch(losses=True)
    return [(Path(os.fsdecode(root.path)), Path(os.fsdecode(outer.path))) for root in inner]


def _below(path: bytes, root: bytes) -> bytes:
    return path[len(root.rstrip(b"/")) + 1 :]


def _moved_patterns(patterns: Sequence[str], folder: bytes) -> Iterator[str]:
    """Patterns of a root as patterns of the root around it, whose other folders they do not touch."""
    for pattern in patterns:
        yield f"{escaped(folder)}/{pattern}"
        if "/" not in pattern.rstrip("/") and not pattern.startswith("*"):
            yield f"{escaped(folder)}/*/{pattern}"  # it is of names, in whatever folder
