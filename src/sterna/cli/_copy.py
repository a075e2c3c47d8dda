"""Copies of hits under names that keep their order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from sterna.files import disk_errors

__all__ = ["copy_photos"]

_LONGEST_NAME = 255  # bytes, on the usual file systems


def copy_photos(paths: Sequence[Path], folder: Path) -> tuple[int, int]:
    """Copy files into `folder` as `001-name.jpg`, `002-...`, in the order given; never overwrite anything.

    Returns: how many were copied, and how many are not there any more.
    """
    copied = missing = 0
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for rank, path in enumerate(paths, start=1):
            try:
                _copy(path, folder, prefix=f"{rank:03}-")
                copied += 1
            except FileNotFoundError:
                missing += 1
    return copied, missing


def _copy(path: Path, folder: Path, *, prefix: str) -> None:
    with path.open("rb") as source:
        for attempt in range(1, 10_000):
            again = f"-{attempt}" if attempt > 1 else ""
            room = _LONGEST_NAME - len(os.fsencode(prefix + again + path.suffix))
            stem = os.fsdecode(os.fsencode(path.stem)[:room])
            try:
                with (folder / f"{prefix}{stem}{again}{path.suffix}").open("xb") as target:
                    shutil.copyfileobj(source, target)
                    break
            except FileExistsError:
                continue
    shutil.copystat(path, target.name)
