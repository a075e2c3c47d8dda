"""Hidden files and folders beside what is being written, and what killed processes left of them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["beside", "folder_lock", "locked_aside", "remove_asides", "try_lock"]

_ENDING = re.compile(r"\.[0-9a-f]{12}\.tmp")


def beside(path: Path) -> Path:
    """A hidden name beside `path` that nothing has; the folder that it lies in is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent / f"{_start(path)}.{secrets.token_hex(6)}.tmp"


def _start(path: Path) -> str:
    return f".{path.name[:40]}"


@contextlib.contextmanager
def locked_aside(path: Path) -> Iterator[Path]:
    """Make a folder of a hidden name beside `path`, which is locked while it lasts.

    Those that killed processes left beside `path` are removed: nobody holds a lock on them. Where the system
    knows no locks on folders, they stay.
    """
    if path.parent.is_dir():
        remove_asides(path)
    while True:
        aside = beside(path)
        aside.mkdir()
        with folder_lock(aside) as held:
            if held is not False and aside.is_dir():  # else another process has just taken it for left behind
                yield aside
                return


def remove_asides(path: Path, *, locked: bool = False) -> None:
    """Remove what killed processes left beside `path`: folders on which nobody holds a lock.

    With `locked`, where the caller knows that nobody else writes `path`, files too.
    """
    start = _start(path)
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            if not (entry.name.startswith(start) and _ENDING.fullmatch(entry.name, len(start))):
                continue
            if entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError), folder_lock(Path(entry.path)) as held:
                    if held:
                        shutil.rmtree(entry.path, ignore_errors=True)
            elif locked:
                Path(entry.path).unlink(missing_ok=True)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[bool | None]:
    """Lock a folder until the end or the death of this process and of those it forks.

    Gives whether it is held: `False` where another process holds it or it has gone, `None` where the system
    cannot lock folders.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        yield False
        return
    except OSError:  # Windows opens no folders
        yield None
        return
    try:
        yield _held(handle)
    finally:
        os.close(handle)


def _held(handle: int) -> bool | None:
    try:
        return try_lock(handle)
    except OSError:  # some network drives lock what can be written alone
        return None


def try_lock(handle: int) -> bool:
    """Whether an open file could be locked: not where another process has; raises what the system does."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN, errno.EDEADLK}:
            return False
        raise
    return True
