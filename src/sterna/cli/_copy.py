"""Copies of hits under names that keep their order."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sterna.errors import UsageError
from sterna.files import disk_errors

__all__ = ["Copied", "copy_photos"]

_LONGEST_NAME = 255  # bytes, on the usual file systems
_CHUNK = 1 << 20


@dataclass
class Copied:
    """How many files were copied, lie `there` already, and are `missing`."""

    new: int = 0
    there: int = 0
    missing: int = 0


def copy_photos(paths: Sequence[Path], folder: Path) -> Copied:
    """Copy files into `folder` as `001-name.jpg`, `002-...`, in the order given; returns how many.

    Nothing is overwritten: a file that lies there with the same content, under whatever name, is not copied
    again, and one of another content whose name is taken gets another name.

    Raises `UsageError` where `folder` is a file, `DiskError` where it cannot be written; no half is left.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--copy-to {folder}: a file; name a folder")
    counts = Copied()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        there = _by_size(folder)
    for rank, path in enumerate(paths, start=1):
        try:
            source = path.open("rb")
        except OSError:
            counts.missing += 1
            continue
        with source, disk_errors(folder):
            if any(_equal(source, one) for one in there[os.fstat(source.fileno()).st_size]):
                counts.there += 1
                continue
            _copy(source, path, folder, prefix=f"{rank:03}-")
        counts.new += 1
    return counts


def _by_size(folder: Path) -> dict[int, list[Path]]:
    """The files in a folder, by how many bytes they have."""
    files: dict[int, list[Path]] = defaultdict(list)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                files[entry.stat(follow_symlinks=False).st_size].append(Path(entry.path))
    return files


def _equal(source: BinaryIO, other: Path) -> bool:
    """Whether a file has the same content, as far as it can be read; `source` is at its beginning again."""
    try:
        with other.open("rb") as file:
            while (ours := source.read(_CHUNK)) == file.read(_CHUNK):
                if not ours:
                    return True
    except OSError:
        return False
    finally:
        source.seek(0)
    return False


def _copy(source: BinaryIO, path: Path, folder: Path, *, prefix: str) -> None:
    target = _new_file(path, folder, prefix=prefix)
    try:
        with target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        with contextlib.suppress(OSError):  # its times, where the file system keeps them
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
