"""Copies of hits under names that keep their order."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from sterna.errors import UsageError
from sterna.files import disk_errors

__all__ = ["copy_photos"]

_LONGEST_NAME = 255  # bytes, on the usual file systems


def copy_photos(paths: Sequence[Path], folder: Path) -> tuple[int, int]:
    """Copy files into `folder` as `001-name.jpg`, `002-...`, in the order given; never overwrite anything.

    Returns: how many were copied, and how many are not there any more or cannot be read.
    Raises `UsageError` where `folder` is a file, `DiskError` where it cannot be written; no half is left.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--copy-to {folder}: a file; name a folder")
    copied = missing = 0
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for rank, path in enumerate(paths, start=1):
        try:
            source = path.open("rb")
        except OSError:
            missing += 1
            continue
        with source, disk_errors(folder):
            _copy(source, path, folder, prefix=f"{rank:03}-")
        copied += 1
    return copied, missing


def _copy(source: BinaryIO, path: Path, folder: Path, *, prefix: str) -> None:
    target = _new_file(path, folder, prefix=prefix)
    try:
        with target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        shutil.copystat(path, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _new_file(path: Path, folder: Path, *, prefix: str) -> Path:
    """Make an empty file of a name that is not taken, cut to what the file system allows."""
    for attempt in itertools.count(1):
        again = f"-{attempt}" if attempt > 1 else ""
        room = _LONGEST_NAME - len(os.fsencode(prefix + again + path.suffix))
        stem = os.fsdecode(os.fsencode(path.stem)[:room])
        target = folder / f"{prefix}{stem}{again}{path.suffix}"
        with contextlib.suppress(FileExistsError):
            target.touch(exist_ok=False)
            return target
    raise AssertionError("counting ends nowhere")
