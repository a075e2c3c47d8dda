"""Captioned images: what every format is read into."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError

__all__ = ["CaptionedImages"]


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """Images and the captions that describe them; an image may have any number of captions, also none.

    Fields (N images, C captions):
        name: what to call the set in reports: the folder's or file's name.
        format: the format that it was read from, a key of `FORMATS`.
        root: the absolute folder that it was read from.
        image_ids: N unique ids that depend on neither the machine nor the order of files, as long as a table
            names photographs of its folder alone.
        paths: N absolute paths of files that exist, unless `read` was told that they need not.
        captions: C sentences, without white space around them, never empty.
        caption_ids: C unique ids.
        owners: int64 [C], the position of each caption's image; captions keep their order in the source.
        splits: N names of splits; `None` for an image that the source puts in none.
        problems: what was left out and why, one sentence each, with file and line.
    """

    name: str
    format: str
    root: Path
    image_ids: tuple[str, ...]
    paths: tuple[Path, ...]
    captions: tuple[str, ...]
    caption_ids: tuple[str, ...]
    owners: NDArray[np.int64]
    splits: tuple[str | None, ...]
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.image_ids)

    @property
    def split_names(self) -> tuple[str, ...]:
        """The names of the splits, sorted."""
        return tuple(sorted({name for name in self.splits if name is not None}))

    def split(self, name: str | None) -> CaptionedImages:
        """The images of one split with their captions; `None` gives all images, whatever their split.

        Raises `DataError` naming the splits there are.
        """
        if name is None:
            return self
        chosen = np.array([split == name for split in self.splits], dtype=bool)
        if not chosen.any():
            known = (
                f"its splits are {', '.join(self.split_names)}" if self.split_names else "it has no splits"
            )
            raise DataError(f"{self.root}: no split {name!r}; {known}")
        return self._take(chosen)

    def take(self, images: NDArray[np.int64]) -> CaptionedImages:
        """The images at these positions with their captions, in the order that they have here."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[images] = True
        return self._take(chosen)

    def one_split(self, name: str | None = None) -> CaptionedImages:
        """The split to measure on: the named one, the only one, or all images where there are no splits.

        Raises `DataError` where there are several splits and none is named, or `name` is unknown.
        """
        names = self.split_names
        if name is None and len(names) > 1:
            raise DataError(f"{self.root}: there are several splits ({', '.join(names)}); name one of them")
        return self.split(name if name is not None or not names else names[0])

    def _take(self, chosen: NDArray[np.bool_]) -> CaptionedImages:
        images = np.flatnonzero(chosen)
        captions = np.flatnonzero(chosen[self.owners])
        position = np.cumsum(chosen) - 1
        return dataclasses.replace(
            self,
            image_ids=tuple(self.image_ids[i] for i in images),
            paths=tuple(self.paths[i] for i in images),
            captions=tuple(self.captions[c] for c in captions),
            caption_ids=tuple(self.caption_ids[c] for c in captions),
            owners=position[self.owners[captions]].astype(np.int64),
            splits=tuple(self.splits[i] for i in images),
        )
