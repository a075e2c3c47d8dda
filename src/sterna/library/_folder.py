"""Where a library lies: its folder, whether there is a catalogue in it, and who may write to it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sterna.errors import LibraryError
from sterna.files import FileLock, disk_errors, system_reason
from sterna.library._catalog import CATALOG
from sterna.library._segments import segment_files

__all__ = ["default_folder", "has_catalog", "library_folder", "lost_catalog", "writing"]

_VARIABLE = "STERNA_LIBRARY"
_LOCK = "lock"


def default_folder() -> Path:
    """Where a library lies unless told otherwise: `STERNA_LIBRARY`, or the platform's data folder."""
    if named := os.environ.get(_VARIABLE):
        return Path(named).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("sterna", appauthor=False))


def library_folder(path: Path) -> Path:
    """The absolute path of a library's folder, which need not be there.

    Raises `LibraryError` where it, or what it would lie in, is a file or may not be entered.
    """
    try:
        folder = path.expanduser().absolute()
        for around in (folder, *folder.parents):
            if _is_folder(around):
                break
    except (OSError, RuntimeError, ValueError) as error:  # of a user that is not known; with a NUL
        reason = system_reason(error) if isinstance(error, OSError) else str(error)
        raise LibraryError(f"{path}: no folder for a library ({reason})") from error
    if around == folder and not os.access(folder, os.R_OK | os.X_OK):
        raise LibraryError(f"{folder}: you have no permission to read this library")
    return folder


def _is_folder(path: Path) -> bool:
    """Whether a folder is there; `LibraryError` where something else is."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(mode):
        raise LibraryError(f"{path}: a file, not the folder of a library")
    return True


def has_catalog(folder: Path) -> bool:
    """Whether something lies where a library's catalogue does, an empty folder aside.

    Raises `LibraryError` where one may not look.
    """
    path = folder / CATALOG
    try:
        return not stat.S_ISDIR(path.stat().st_mode) or any(path.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise LibraryError(f"{path}: {system_reason(error)}") from error


def lost_catalog(folder: Path) -> LibraryError | None:
    """The error of a library whose vectors are there without a catalogue; `None` where none are there."""
    if not segment_files(folder):
        return None
    return LibraryError(
        f"{folder}: the catalogue ({CATALOG}) is lost, and without it nobody knows what the vectors are of; "
        "run `sterna index DIR` with your folders again"
    )


@contextlib.contextmanager
def writing(folder: Path, *, wait: float | None) -> Iterator[None]:
    """Make a library's folder where it is missing, and be the only one who writes to it.

    Raises `LockedError` where another process writes for longer than `wait` seconds (`None`: for ever),
    `DiskError` where the disk is full or refuses.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    advice = "wait for it (sterna index --wait, in Python wait=None) or stop it"
    with FileLock(folder / _LOCK, what=f"the library at {folder}", wait=wait, advice=advice):
        yield
