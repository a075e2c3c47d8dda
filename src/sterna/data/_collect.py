"""Putting images and captions together, and keeping account of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sterna.data._captioned import CaptionedImages
from sterna.data._photographs import Photographs, image_folders, stable_name
from sterna.data._text import is_damaged
from sterna.errors import DataError

__all__ = ["Collector", "Source"]


@dataclass(frozen=True)
class Source:
    """What is to be read, and how: the arguments of `read`, checked.

    Fields:
        path: the absolute file or folder that was named.
        images: the folder of the photographs, where it was named.
        restval: whether Karpathy's `restval` images count as training images.
        columns: names of a table's columns by what they hold.
    """

    path: Path
    images: Path | None = None
    restval: bool = True
    columns: Mapping[str, str] | None = None

    @property
    def folder(self) -> Path:
        """The folder in which everything lies."""
        if self.path.is_dir():
            return self.path
        return self.path.parent.parent if self.path.parent.name in TEXT_FOLDERS else self.path.parent

    def photographs(self, *, first: tuple[str, ...] = ()) -> Photographs:
        """Where to look for photographs; `first` names folders that are better than the usual ones."""
        if self.images is not None:
            inner = [self.images / name for name in first if (self.images / name).is_dir()]
            return Photographs([*inner, self.images], inside=self.images)
        bases = list(dict.fromkeys((self.folder, self.path if self.path.is_dir() else self.path.parent)))
        return Photographs(image_folders(bases, first=first), inside=self.folder)


TEXT_FOLDERS = ("annotations", "Flickr8k_text", "text", "captions")


class Collector:
    """Gathers images and captions in the order of the source; ids are unique, texts are clean.

    Arguments:
        source: what is being read.
        format: the format's name.
    """

    def __init__(self, source: Source, *, format: str) -> None:
        self._source = source
        self._format = format
        self._images: dict[str, int] = {}
        self._paths: list[Path] = []
        self._path_owner: dict[Path, str] = {}
        self._splits: list[str | None] = []
        self._captions: list[str] = []
        self._caption_ids: dict[str, str] = {}
        self._owners: list[int] = []
        self._problems: list[str] = []
        self._absent: dict[str, tuple[str, int]] = {}

    def where(self, file: Path, line: int | str | None = None) -> str:
        """A place for messages: the file as seen from the data's folder, and the line."""
        name = file.relative_to(self._source.folder) if file.is_relative_to(self._source.folder) else file
        return str(name) if line is None else f"{name}:{line}"

    def problem(self, where: str, what: str) -> None:
        """Note that something was left out."""
        self._problems.append(f"{where}: {what}")

    def image(
        self, name: str, where: str, *, photographs: Photographs, image_id: str | None = None
    ) -> int | None:
        """The position of the image in file `name`, added at its first mention; `None` where it is not there.

        Arguments:
            image_id: its id; its name where not given.
        """
        key = stable_name(name if image_id is None else image_id)
        if (position := self._images.get(key)) is not None:
            return position
        if key in self._absent:
            first, count = self._absent[key]
            self._absent[key] = (first, count + 1)
            return None
        path = photographs.find(name)
        if path is None:
            reason = "points outside the folder" if photographs.escapes(name) else "is not there"
            self._absent[key] = (f"{where}: the photograph {_short(name)} {reason}", 1)
            return None
        if path in self._path_owner:
            self.problem(
                where, f"the photograph {_short(name)} is already there as {self._path_owner[path]!r}"
            )
            return None
        self._images[key] = len(self._paths)
        self._path_owner[path] = key
        self._paths.append(path)
        self._splits.append(None)
        return self._images[key]

    def put_in_split(self, position: int, split: str, where: str) -> None:
        """Put an image in a split; an image in two splits stays in the first and is noted."""
        present = self._splits[position]
        if present is not None and present != split:
            name = self._paths[position].name
            self.problem(
                where, f"{_short(name)} is in the split {present!r} already; it is not put in {split!r}"
            )
            return
        self._splits[position] = split

    def caption(self, position: int, text: str, where: str, *, caption_id: str) -> None:
        """Add a caption of the image at `position`; an empty or repeated one is noted instead."""
        text = text.strip()
        caption_id = stable_name(caption_id)
        if not text:
            self.problem(where, "the caption is empty")
        elif is_damaged(text):
            self.problem(where, "the caption is not UTF-8 text")
        elif caption_id in self._caption_ids:
            self.problem(
                where,
                f"the caption's id {_short(caption_id)} was used before, at {self._caption_ids[caption_id]}",
            )
        else:
            self._caption_ids[caption_id] = where
            self._captions.append(text)
            self._owners.append(position)

    def finish(self) -> CaptionedImages:
        """Everything gathered; raises `DataError` where no image is left."""
        for sentence, count in self._absent.values():
            more = f" (nor for {count - 1} more rows)" if count > 1 else ""
            self._problems.append(sentence + more)
        source = self._source
        if not self._paths:
            because = f"; the first problem: {self._problems[0]}" if self._problems else ""
            raise DataError(f"{source.path}: no usable photograph found (read as {self._format}){because}")
        return CaptionedImages(
            name=source.path.name if source.path.is_dir() else source.path.stem,
            format=self._format,
            root=source.folder,
            image_ids=tuple(self._images),
            paths=tuple(self._paths),
            captions=tuple(self._captions),
            caption_ids=tuple(self._caption_ids),
            owners=np.array(self._owners, dtype=np.int64),
            splits=tuple(self._splits),
            problems=tuple(self._problems),
        )


def _short(text: str) -> str:
    """A name from a file as it can be printed: quoted, cut."""
    return ascii(text) if is_damaged(text) else repr(text if len(text) <= 80 else text[:77] + "...")
