"""Putting images and captions together, and keeping account of what does not fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from sterna.data._captioned import CaptionedImages
from sterna.data._photographs import Photographs, stable_name
from sterna.data._source import Source
from sterna.data._text import is_damaged, is_unwritable, short
from sterna.errors import DataError

__all__ = ["Collector"]


class Collector:
    """Gathers images and captions in the order of the source; ids are unique, texts are clean.

    Arguments:
        source: what is being read.
        kind: the format's name.
    """

    def __init__(self, source: Source, *, kind: str) -> None:
        self._source = source
        self._folder = source.folder
        self._files: dict[Path, str] = {}  # as messages name them
        self._kind = kind
        self._positions: dict[str, int] = {}  # by id, also those under which an image was met again
        self._names: dict[str, str] = {}  # the file's name by an id that is not the name
        self._by_path: dict[Path, int] = {}
        self._ids: list[str] = []
        self._splits: list[str | None] = []
        self._captions: list[str] = []
        self._caption_ids: dict[str, str] = {}  # and where each was met
        self._owners: list[int] = []
        self._numbers: Counter[int] = Counter()  # by position, over all files
        self._problems: list[str] = []
        self._absent: dict[str, tuple[str, int]] = {}  # by id: the sentence, and how many rows name it

    def __len__(self) -> int:
        """How many images there are so far."""
        return len(self._ids)

    def where(self, file: Path, line: int | str) -> str:
        """A place for messages: the file as seen from the data's folder, and the line."""
        name = self._files.get(file)
        if name is None:
            inside = file.is_relative_to(self._folder)
            name = self._files[file] = str(file.relative_to(self._folder) if inside else file)
        return f"{name}:{line}"

    def problem(self, where: str, what: str) -> None:
        """Note that something was left out."""
        self._problems.append(f"{where}: {what}")

    def image(
        self, name: str, where: str, *, photographs: Photographs, image_id: str | None = None
    ) -> int | None:
        """The position of the image in the file `name`, added at its first mention; `None` if not there.

        Arguments:
            image_id: its id; `name` where not given. A file met under a second id stays one image.
        """
        key = stable_name(name if image_id is None else image_id)
        if is_unwritable(key):
            self.problem(where, f"the image id {short(key)} is not UTF-8 text")
            return None
        if image_id is not None and self._names.setdefault(key, name) != name:
            self.problem(where, f"the image id {short(key)} is that of {short(self._names[key])} already")
            return None
        if key in self._positions:
            return self._positions[key]
        if key in self._absent:
            sentence, count = self._absent[key]
            self._absent[key] = (sentence, count + 1)
            return None
        path = photographs.find(name)
        if path is None:
            reason = "points outside the data's folder" if photographs.escapes(name) else "is not there"
            self._absent[key] = (f"{where}: the photograph {short(name)} {reason}", 1)
            return None
        if path in self._by_path:
            if image_id is not None:
                first = self._ids[self._by_path[path]]
                self.problem(
                    where, f"the photograph {short(name)} is there already with the id {short(first)}"
                )
        else:
            self._by_path[path] = len(self._ids)
            self._ids.append(key)
            self._splits.append(None)
        return self._positions.setdefault(key, self._by_path[path])

    def put_in_split(self, position: int, split: str, where: str) -> None:
        """Put an image in a split; an image in two splits stays in the first and is noted."""
        present = self._splits[position]
        if present is None:
            self._splits[position] = split
        elif present != split:
            name = short(self._ids[position])
            self.problem(where, f"{name} is in the split {present!r} already and is not put in {split!r} too")

    def number(self, position: int) -> int:
        """The next number, from 0, for a caption of an image that has no id of its own."""
        self._numbers[position] += 1
        return self._numbers[position] - 1

    def caption(self, position: int, text: str, where: str, *, caption_id: str) -> None:
        """Add a caption of the image at `position`; an empty or repeated one is noted instead."""
        text = text.strip()
        caption_id = stable_name(caption_id)
        if not text:
            self.problem(where, "the caption is empty")
        elif is_damaged(text):
            self.problem(where, "the caption is not UTF-8 text")
        elif is_unwritable(caption_id):
            self.problem(where, f"the caption's id {short(caption_id)} is not UTF-8 text")
        elif caption_id in self._caption_ids:
            first = self._caption_ids[caption_id]
            self.problem(where, f"the caption's id {short(caption_id)} was used before, at {first}")
        else:
            self._caption_ids[caption_id] = where
            self._captions.append(text)
            self._owners.append(position)

    def finish(self) -> CaptionedImages:
        """Everything gathered; raises `DataError` where no image is left."""
        source = self._source
        for sentence, count in self._absent.values():
            self._problems.append(sentence + (f" ({count} rows name it)" if count > 1 else ""))
        if not self._ids:
            because = f"; first problem: {self._problems[0]}" if self._problems else ""
            raise DataError(
                f"{source.path}: no usable photograph found (read as {self._kind}{because}); "
                "point at the folder that holds captions and photographs, or name that of the photographs"
            )
        return CaptionedImages(
            name=source.path.name if source.path.is_dir() else source.path.stem,
            format=self._kind,
            root=self._folder,
            image_ids=tuple(self._ids),
            paths=tuple(self._by_path),
            captions=tuple(self._captions),
            caption_ids=tuple(self._caption_ids),
            owners=np.array(self._owners, dtype=np.int64),
            splits=tuple(self._splits),
            problems=tuple(self._problems),
        )
