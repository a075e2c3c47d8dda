"""Paths as they are typed: an empty one is a mistake, and what is written over has to be a file."""

from __future__ import annotations

from pathlib import Path

import typer

from sterna.errors import UsageError
from sterna.files import check_writable

__all__ = ["file_to_write", "typed_path"]


def typed_path(text: str | Path) -> Path:
    """A path as it was typed; an empty text, as `"$UNSET"` leaves it, does not mean the current folder."""
    if not str(text):
        raise typer.BadParameter("an empty path; write . for the current folder")
    return Path(text)


def file_to_write(option: str, path: Path) -> Path:
    """Where to write what `option` names: `path`, or what it links to.

    Raises `UsageError` where a folder, a pipe or a device is there, which must not be replaced by a file, and
    `DiskError` where it cannot be written: now, and not after the work whose results it is for.
    """
    target = path.resolve() if path.is_symlink() else path
    if target.is_dir():
        raise UsageError(f"{option} {path}: a folder; name a file in it")
    if target.exists() and not target.is_file():
        raise UsageError(f"{option} {path}: a pipe or device; name a file")
    check_writable(target)
    return target
