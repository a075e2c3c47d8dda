"""A folder made beside its place and put there when it is complete, whatever was there before.

A folder that is not empty cannot be replaced in one step: the old one is moved aside, then the new one takes
its place. A process killed between these two leaves the old one whole under its name aside, from where the
next one that looks for it, or places a folder there, brings it back. What other killed processes left is
removed. Whoever makes or replaces a folder holds the lock in it, which tells it from what was left.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from sterna.errors import DiskError, LibraryError, SternaError
from sterna.files import disk_errors, fsync_folder
from sterna.library._folder import writing

__all__ = ["placed_folder", "recover"]

_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}


@contextlib.contextmanager
def placed_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside `path`; on success flush it and let it take the place of `path`, else remove it.

    It holds a library's lock, and so does the folder that is replaced: nobody writes to it meanwhile.
    Raises `LockedError` where another process does, `LibraryError` where `path` is a drive's own folder,
    `DiskError` where the disk is full or refuses.
    """
    if os.path.ismount(path):
        raise LibraryError(
            f"{path}: a drive's own folder cannot be replaced; name a folder on it, such as {path / 'sterna'}"
        )
    path = path.resolve()  # a link stays
    recover(path)
    with contextlib.ExitStack() as stack:
        was_there = path.exists()
        if was_there:
            stack.enter_context(writing(path, wait=0))
        aside = path.parent / f"{_aside(path)}.{secrets.token_hex(6)}.new"
        try:
            with disk_errors(path):
                stack.enter_context(writing(aside, wait=0))
                yield aside
                _flush(aside)
                _swap(aside, path, replace=was_there)
        except DiskError as error:
            raise DiskError(str(error).replace(str(aside), str(path))) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def recover(path: Path) -> None:
    """Bring back a folder that a killed process had moved aside, and remove what it left unfinished."""
    path = path.resolve()
    for left in sorted(path.parent.glob(f"{_escaped(_aside(path))}.????????????.???")):
        if left.suffix not in {".new", ".old"} or not left.is_dir():
            continue
        with contextlib.suppress(SternaError, OSError), writing(left, wait=0):
            if left.suffix == ".old" and not path.exists():
                left.rename(path)
            else:
                shutil.rmtree(left)


def _aside(path: Path) -> str:
    """How the name of a folder aside begins: long names are cut, and may begin alike."""
    return f".{path.name[:40]}.{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}"


def _escaped(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def _flush(folder: Path) -> None:
    for where, _, names in os.walk(folder):
        for name in names:
            with Path(where, name).open("rb") as file:
                os.fsync(file.fileno())
        fsync_folder(Path(where))


def _swap(new: Path, path: Path, *, replace: bool) -> None:
    try:
        new.rename(path)  # nothing is there, or an empty folder
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
        if not replace:
            raise LibraryError(
                f"{path}: something was made there meanwhile, and stays; name another folder"
            ) from error
        old = new.with_suffix(".old")
        path.rename(old)
        try:
            new.rename(path)
        except BaseException:
            old.rename(path)
            raise
        fsync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    fsync_folder(path.parent)
