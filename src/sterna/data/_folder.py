"""A plain folder of photographs, with captions beside them in text files where there are any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sterna.data._captioned import CaptionedImages
from sterna.data._collect import Collector
from sterna.data._photographs import Photographs, stable_name
from sterna.data._source import Source
from sterna.data._text import read_lines
from sterna.errors import DataError

__all__ = ["claims", "read"]


def claims(path: Path) -> bool:
    """Whether there is a photograph anywhere in the folder."""
    return path.is_dir() and next(_photographs(path), None) is not None


def read(source: Source) -> CaptionedImages:
    """Read all photographs of a folder and of the folders in it, hidden ones left out.

    Ids are relative paths with `/`. The captions of `trip/photo.jpg` are the lines of `trip/photo.txt` and
    `trip/photo.jpg.txt`, with the ids `trip/photo.jpg#0`, `#1` and so on.
    """
    if not source.path.is_dir():
        raise DataError(f"{source.path}: not a folder")
    folder = source.images or source.path
    collector = Collector(source, kind="folder")
    lookup = Photographs([folder], inside=folder)
    seen: set[str] = set()
    for path in _photographs(folder):
        name = path.relative_to(folder).as_posix()
        where = str(path.relative_to(folder))
        if stable_name(name) in seen:
            collector.problem(where, "its name differs from another's only in how letters are composed")
            continue
        seen.add(stable_name(name))
        position = collector.image(name, where, photographs=lookup)
        if position is not None:
            _read_captions(collector, position, path, name=name)
    return collector.finish()


def _photographs(folder: Path) -> Iterator[Path]:
    from sterna.images import PHOTO_SUFFIXES

    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in PHOTO_SUFFIXES:
                yield Path(place, name)


def _read_captions(collector: Collector, position: int, photo: Path, *, name: str) -> None:
    count = 0
    for sidecar in (photo.with_suffix(".txt"), photo.with_name(photo.name + ".txt")):
        if sidecar.is_file():
            for number, line in read_lines(sidecar):
                where = collector.where(sidecar, number)
                collector.caption(position, line, where, caption_id=f"{name}#{count}")
                count += 1
