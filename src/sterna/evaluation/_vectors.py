"""Someone else's vectors: two files of NumPy, and captioned images that are known by number alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, UsageError
from sterna.evaluation._array_files import read_array
from sterna.evaluation._blocks import finite_rows
from sterna.evaluation._hubs import Bank
from sterna.evaluation._sources import Captioned, Encoded, Tell
from sterna.scoring import Vectors

__all__ = ["Numbered", "VectorFiles", "read_bank"]


@dataclass(frozen=True)
class VectorFiles:
    """Vectors in two `.npy` files, in the order of the data's images and captions; a `Source` of `evaluate`.

    Fields:
        images: the file of [N, E].
        captions: the file of [C, E].
        score: a key of `SCORES`.
    """

    images: Path
    captions: Path
    score: str = "dot"

    @property
    def name(self) -> str:
        """The files' names."""
        return f"{self.images.name}, {self.captions.name}"

    def vectors(self, data: Captioned, tell: Tell) -> Encoded:
        """The vectors; raises `DataError` where their number or width does not fit."""
        images, captions = read_array(self.images), read_array(self.captions)
        _check_count(self.images, len(images), len(data.paths), "images", captions=len(data.captions))
        _check_count(self.captions, len(captions), len(data.captions), "captions")
        _check_widths(self.images, images, self.captions, captions)
        lost = (*_not_finite(self.images, images), *_not_finite(self.captions, captions))
        return Encoded(images, captions, self.score, lost)


@dataclass(frozen=True, eq=False)
class Numbered:
    """Images with equally many captions each, in order, known by their numbers from 0.

    Fields:
        name: what to call them.
        images: how many.
        each: how many captions each has.
    """

    name: str
    images: int
    each: int

    @classmethod
    def of(cls, files: VectorFiles, *, captions_per_image: int) -> Self:
        """As many images as there are captions for; `DataError` where that does not come out even."""
        if captions_per_image < 1:
            raise UsageError(f"captions_per_image is {captions_per_image}; at least 1 is needed")
        captions = len(read_array(files.captions))
        if captions % captions_per_image:
            told = f"{captions:,} rows are not {captions_per_image} captions for each of some images"
            raise DataError(f"{files.captions}: {told}")
        return cls(files.captions.stem, captions // captions_per_image, captions_per_image)

    @property
    def image_ids(self) -> tuple[str, ...]:
        """`0`, `1` and so on."""
        return tuple(map(str, range(self.images)))

    @property
    def caption_ids(self) -> tuple[str, ...]:
        """`0`, `1` and so on."""
        return tuple(map(str, range(self.images * self.each)))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The ids as paths, of which only the number matters."""
        return tuple(map(Path, self.image_ids))

    @property
    def captions(self) -> tuple[str, ...]:
        """The ids, in place of sentences."""
        return self.caption_ids

    @property
    def owners(self) -> NDArray[np.int64]:
        """The image of each caption."""
        return np.repeat(np.arange(self.images), self.each)

    @property
    def splits(self) -> tuple[str | None, ...]:
        """None."""
        return (None,) * self.images

    @property
    def problems(self) -> tuple[str, ...]:
        """None."""
        return ()

    def one_split(self, name: str | None) -> Self:
        """Itself; raises `DataError` where a split is named."""
        if name is not None:
            raise DataError(f"{self.name}: vectors without data have no split {name!r}")
        return self


def read_bank(images: Path, captions: Path) -> Bank:
    """A bank of vectors in two files; raises `DataError` where they do not fit together."""
    first, second = read_array(images), read_array(captions)
    _check_widths(images, first, captions, second)
    return Bank(images=first, captions=second, name=f"{images.name}, {captions.name}")


def _check_count(path: Path, found: int, needed: int, what: str, *, captions: int | None = None) -> None:
    if found == needed:
        return
    hint = ""
    if found == captions and needed and found % needed == 0:
        hint = f": it seems to repeat each image for every caption, so save every {found // needed}th row"
    raise DataError(f"{path}: has {found:,} rows for {needed:,} {what}{hint}")


def _check_widths(first: Path, one: Vectors, second: Path, other: Vectors) -> None:
    if one.shape[1] != other.shape[1]:
        told = f"vectors of {one.shape[1]} numbers, those of {second} have {other.shape[1]}"
        raise DataError(f"{first}: holds {told}; they must be equally long")
    if not one.shape[1]:
        raise DataError(f"{first}: holds vectors of no numbers, which cannot be compared")


def _not_finite(path: Path, vectors: Vectors) -> tuple[str, ...]:
    bad = np.flatnonzero(~finite_rows(vectors))
    return tuple(f"{path}: row {row} is not finite" for row in bad)
