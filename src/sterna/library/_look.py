"""What is new, changed and gone in a root: in all of it, or in some of its folders alone.

A part of a root is looked at alone where that says the same as a walk of all of it: where every drive is the
one that was noted, and no link and no folder that cannot be listed is met. Otherwise all of it is walked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from sterna.library._catalog import Catalog
from sterna.library._drives import device_of
from sterna.library._found import Found, Known, Scan
from sterna.library._paths import full_path, within
from sterna.library._roots import Root
from sterna.library._scan import Walk, scan_root

__all__ = ["EVERYTHING", "Part", "Sign", "differences", "look"]

Sign = tuple[int, int] | None  # a file's size and time; `None` for one that is gone

_TABLES = {"files": "again", "sidecars": "0"}
_BELOW = "AND path >= ? AND (? OR path < ?)"
_BESIDE = f"{_BELOW} AND instr(substr(path, ?), X'2F') = 0"  # a slash


@dataclass(frozen=True)
class Part:
    """What of a root is looked at.

    Arguments:
        whole: all of it.
        flat: folders whose own files are, by their paths below the root.
        deep: folders that are with all below them.
        only: the files that are told of, where they are as given here; `None` for all. Under an empty path
            it may have what a walk notes of drives and folders.
    """

    whole: bool = False
    flat: frozenset[bytes] = frozenset()
    deep: frozenset[bytes] = frozenset()
    only: Mapping[bytes, Sign] | None = None

    def __bool__(self) -> bool:
        return self.whole or bool(self.flat or self.deep)

    def covers(self, path: bytes) -> bool:
        """Whether a file is looked at, by its path below the root."""
        if self.whole or not path:
            return self.whole
        folder = path.rpartition(b"/")[0]
        return folder in self.flat or _is_below(folder, self.deep)

    def holds(self, folder: bytes) -> bool:
        """Whether a folder's own files are looked at."""
        return self.whole or folder in self.flat or _is_below(folder, self.deep)

    def joined(self, other: Part) -> Part:
        """Both parts as one, of all files."""
        return Part(self.whole or other.whole, self.flat | other.flat, self.deep | other.deep)


EVERYTHING = Part(whole=True)


def look(
    catalog: Catalog,
    root: Root,
    *,
    part: Part = EVERYTHING,
    report: Callable[[int], None] = lambda looked: None,
) -> tuple[Scan, Part]:
    """Compare a part of a root with what the catalogue knows; returns what was looked at, too.

    `report` is called now and then with the number of photographs looked at.
    """
    scan = None if part.whole else _scan_part(catalog, root, part=part, report=report)
    if scan is None:
        part = replace(part, whole=True)
        scan = scan_root(
            root.path,
            known=_known(catalog, root, table="files", part=part),
            sidecars=_known(catalog, root, table="sidecars", part=part),
            devices=root.devices,
            exclude=root.exclude,
            report=report,
        )
    if part.only is not None:
        _keep(scan, part.only)
    return scan, part


def differences(catalog: Catalog, root: Root, *, scan: Scan, part: Part) -> dict[bytes, Sign]:
    """What a run would have to do after a look, as `Part.only` takes it."""
    if b"" in scan.away:
        return {}
    found: dict[bytes, Sign] = dict.fromkeys((*scan.gone, *scan.gone_sidecars))
    found |= {one.path: _sign(one) for one in (*scan.files, *scan.sidecars)}
    rows = catalog.rows("SELECT path, reason FROM folders WHERE root = ?", (root.number,))
    noted = {(path, reason) for path, reason in rows if part.holds(path)}
    listed = {(one.path, one.reason) for one in scan.folders}
    if scan.devices != root.devices or listed != noted:
        found[b""] = (hash(frozenset(listed)), hash(frozenset(scan.devices.items())))
    return found


def _sign(found: Found) -> Sign:
    return found.size, found.mtime_ns


def _keep(scan: Scan, only: Mapping[bytes, Sign]) -> None:
    for found in (scan.files, scan.sidecars):
        found[:] = [one for one in found if only.get(one.path) == _sign(one)]
    for gone in (scan.gone, scan.gone_sidecars):
        gone[:] = [path for path in gone if path in only and only[path] is None]


def _scan_part(catalog: Catalog, root: Root, *, part: Part, report: Callable[[int], None]) -> Scan | None:
    """Look at a part of a root alone; `None` where that cannot say what a walk of all of it would."""
    deep = [one for one in part.deep if not _is_below(one.rpartition(b"/")[0], part.deep) or not one]
    flat = [one for one in part.flat if not _is_below(one, part.deep)]
    starts = [*flat, *deep]
    if not _drives_are_as_noted(root) or any(_is_reached_by_link(root, one) for one in starts):
        return None
    sidecars = _known(catalog, root, table="sidecars", part=part)
    walk = Walk(
        root.path,
        _known(catalog, root, table="files", part=part),
        sidecars=sidecars,
        devices=root.devices,
        exclude=root.exclude,
        report=report,
    )
    for folders, below in ((flat, False), (deep, True)):
        for one in sorted(folders):
            walk.folders([(within(one), _noted_device(root, one))], deep=below)
    scan = walk.scan
    if scan.folders or scan.linked or walk.linked or walk.drives or not _drives_are_as_noted(root):
        return None
    # their drives are there: a folder that was asked for and is missing is gone with all that was in it
    closed = tuple(lost for lost in walk.lost if lost.rstrip(b"/") not in starts)
    scan.gone = [path for path in walk.known if not path.startswith(closed)]
    scan.gone_sidecars = [path for path in sidecars.keys() - walk.texts if not path.startswith(closed)]
    scan.devices = dict(root.devices)
    return scan


def _is_below(folder: bytes, folders: Collection[bytes]) -> bool:
    """Whether a folder is one of these or lies below one."""
    if not folders:
        return False
    while folder not in folders:
        if not folder:
            return False
        folder = folder.rpartition(b"/")[0]
    return True


def _drives_are_as_noted(root: Root) -> bool:
    return all(
        device_of(os.fsencode(full_path(root.path, folder)), unknown=noted) == noted
        for folder, noted in root.devices.items()
    )


def _is_reached_by_link(root: Root, folder: bytes) -> bool:
    full = os.fsencode(full_path(root.path, folder)).rstrip(b"/") or b"/"
    return os.path.realpath(full) != full


def _noted_device(root: Root, folder: bytes) -> int:
    while folder not in root.devices:
        folder = folder.rpartition(b"/")[0]
    return root.devices[folder]


def _known(catalog: Catalog, root: Root, *, table: str, part: Part) -> dict[bytes, Known]:
    query = f"SELECT path, size, mtime_ns, {_TABLES[table]} FROM {table} WHERE root = ? "  # noqa: S608  # nosec B608
    return {
        path: (size, mtime_ns, again)
        for condition, values in _conditions(part)
        for path, size, mtime_ns, again in catalog.rows(query + condition, (root.number, *values))
    }


def _conditions(part: Part) -> Iterator[tuple[str, tuple[object, ...]]]:
    """What the rows of a part's files fulfil, as SQL for each of its folders."""
    if part.whole:
        yield "", ()
        return
    for condition, folders in ((_BELOW, part.deep), (_BESIDE, part.flat)):
        for folder in folders:
            prefix = within(folder)
            ends = (prefix, not folder, folder + b"0")  # "0" comes after the slash
            yield condition, ends if condition is _BELOW else (*ends, len(prefix) + 1)
