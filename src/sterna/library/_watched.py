"""A root that is being watched: what of it is to be looked at, and which of its folders are listed."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from sterna.library._found import Scan
from sterna.library._look import EVERYTHING, Part
from sterna.library._paths import full_path, is_inside, is_skipped
from sterna.library._roots import Root
from sterna.words import printable

__all__ = ["Watched", "farewell"]

_Identity = tuple[tuple[int, int] | None, ...]


class Watched:
    """A root between two looks.

    Attributes:
        root: as it was when last looked at.
        pending: what is to be looked at.
        folders: those that were listed, by their paths below the root, and
        watched: those of them of which the system tells.
        away: the drives that were not there.
        polled: whether the system does not tell what changes in it.
        next_look: when all of it is looked at anyhow.
        regrouped: whether `folders` or `watched` changed since they were compared.
    """

    def __init__(self, root: Root, *, polled: bool) -> None:
        self.root = root
        self.polled = polled
        self.pending = EVERYTHING
        self.folders: set[bytes] = set()
        self.watched: set[bytes] = set()
        self.away: frozenset[Path] = frozenset()
        self.next_look = 0.0
        self.regrouped = False
        self._linked = False
        self._identity: _Identity = ()

    def refresh(self, root: Root) -> None:
        """Take the root as the catalogue has it now; all is to be looked at where it is another one."""
        identity = tuple(_identity(root, folder) for folder in sorted(root.devices))
        if identity != self._identity or root.exclude != self.root.exclude:
            self.begin_again()
        self.root, self._identity = root, identity

    def begin_again(self) -> None:
        """Have all of it looked at and watched anew: what was watched may be another folder."""
        self.pending, self.folders, self.watched = EVERYTHING, set(), set()
        self.regrouped = True

    def want(self, part: Part) -> None:
        """Have a part looked at."""
        if part:
            self.pending = EVERYTHING if self._linked else self.pending.joined(part)

    def files(self, paths: Collection[bytes]) -> Part:
        """The part that these files make: the folders they lie in; see `differences` for an empty path."""
        if paths and (self._linked or b"" in paths):
            return EVERYTHING
        return Part(flat=frozenset(path.rpartition(b"/")[0] for path in paths))

    def notice(self, path: bytes, *, made: bool) -> bytes | None:
        """Have looked at what a notice is about; returns the path below the root where that is a file.

        Arguments:
            path: absolute, in this root.
            made: whether something was made or removed there, not merely changed.
        """
        if path == self.root.path:
            self.begin_again()
            return None
        below = path[len(self.root.path.rstrip(b"/")) + 1 :]
        if is_skipped(below, self.root.exclude):
            return None
        name = below.rpartition(b"/")[2]
        matters = name[name.rfind(b".") :].lower() in _suffixes()
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            mode = 0
        is_folder = stat.S_ISDIR(mode) or (not mode and below in self.folders)
        if is_folder:
            if made:  # what was watched there may be another folder
                self.watched, self.regrouped = _outside(self.watched, below), True
            self.want(Part(deep=frozenset([below])))
        if matters or stat.S_ISLNK(mode):
            self.want(Part(flat=frozenset([below.rpartition(b"/")[0]])))
            return below
        return None

    def looked(self, scan: Scan, part: Part) -> None:
        """Take what a look found of folders."""
        if part.whole:
            self.folders = set()
            self._linked = scan.linked
            self.away = frozenset(Path(full_path(self.root.path, prefix)) for prefix in scan.away)
        for folder in part.deep:
            self.folders = _outside(self.folders, folder)
        self.folders.difference_update(part.flat)
        self.folders.update(scan.walked)
        self.regrouped = True
        self.pending = Part()

    def watchable(self) -> dict[str, bytes]:
        """The listed folders that can be watched, those whose names are text, by their absolute paths."""
        paths = {full_path(self.root.path, folder).rstrip("/") or "/": folder for folder in self.folders}
        return {path: folder for path, folder in paths.items() if _is_text(path)}


def farewell(path: bytes, roots: Sequence[Root]) -> str:
    """What is said of a root that is none any more, where `roots` are those that there are."""
    outer = next((root.path for root in roots if root.reaches(path)), None)
    if outer is None:
        return f"{printable(os.fsdecode(path))}: not watched any more; it left the library"
    return f"{printable(os.fsdecode(path))}: now part of {printable(os.fsdecode(outer))}"


@cache
def _suffixes() -> frozenset[bytes]:
    """Of the files that matter."""
    from sterna.images import PHOTO_SUFFIXES  # brings Pillow, which searching for a sentence does without

    return frozenset(suffix.encode() for suffix in PHOTO_SUFFIXES) | {b".txt"}


def _outside(folders: set[bytes], folder: bytes) -> set[bytes]:
    return {one for one in folders if not is_inside(one, folder)}


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _identity(root: Root, folder: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(full_path(root.path, folder))  # noqa: PTH116 (every second)
    except OSError:
        return None
    return status.st_dev, status.st_ino
