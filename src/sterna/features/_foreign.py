"""What a format of other people's features gives when it is read, and takes when it is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BadItem", "Entry", "Foreign", "Format", "Item", "Kind", "Passage", "Target", "Writer"]

Kind = Literal["images", "captions"]


class BadItem(Exception):  # noqa: N818  not an error of the import: one item is told of and left out
    """One item cannot be used; `str(it)` says why, without the place."""


@dataclass(frozen=True)
class Item:
    """One image's regions or one caption's tokens, as the source has them.

    Fields (R regions or tokens, D values each):
        values: [R, D], of any float type.
        boxes: [R, 4], x1 y1 x2 y2.
        size: width and height of the photograph in pixels.
        relative: whether the boxes are in 0..1; `None`: they tell it themselves, by being 1 at most.
        scores, classes: [R], of a detector.
        tokens: [R], ids of a tokenizer.
    """

    values: NDArray[Any]
    boxes: NDArray[Any] | None = None
    size: tuple[int, int] | None = None
    relative: bool | None = None
    scores: NDArray[Any] | None = None
    classes: NDArray[Any] | None = None
    tokens: NDArray[Any] | None = None


class Entry(NamedTuple):
    """An item that is found but not read yet.

    Fields:
        name: what the source calls it; `None` where that cannot be told, and `read` says why.
        where: file and line, or file and row, for messages.
        read: gives the item; raises `BadItem`.
        share: how much of the source lies before it, 0..1.
    """

    name: str | None
    where: str
    read: Callable[[], Item]
    share: float


class Passage(NamedTuple):
    """A caption that came with the features: its split, its image as the source calls it, its id and text."""

    split: str
    image: str
    caption_id: str
    text: str


class Foreign(Protocol):
    """A source, opened. It can be gone through several times, and holds one item in memory at a time."""

    @property
    def files(self) -> Sequence[tuple[str, Path]]:
        """What it reads, by names that do not depend on where it lies."""

    @property
    def has_boxes(self) -> bool:
        """Whether items have boxes."""

    @property
    def extras(self) -> tuple[str, ...]:
        """Which of "scores", "classes" and "tokens" items have."""

    def __iter__(self) -> Iterator[Entry]:
        """All items, in the source's order."""

    def passages(self) -> Iterator[Passage]:
        """Captions that came with the features."""


@dataclass(frozen=True)
class Target:
    """Where and what to write.

    Fields:
        dest: the file or folder named.
        ids: of the items, in order.
        dim: values a region or token.
        dtype: of the values.
        lengths: regions or tokens of each item.
        boxes, scores, classes, tokens: whether the items have such.
        passages: captions to write beside, where there are any.
        splits: of each item, in the same order.
    """

    dest: Path
    ids: Sequence[str]
    dim: int
    dtype: str
    lengths: NDArray[np.int64]
    boxes: bool = False
    scores: bool = False
    classes: bool = False
    tokens: bool = False
    passages: Sequence[Passage] = ()
    splits: Sequence[str | None] = ()


class Writer(Protocol):
    """Writes items one after the other, and goes on where a killed one stopped."""

    def done(self, identity: str) -> bool:
        """Whether an item is written already."""

    def write(self, identity: str, item: Item) -> None:
        """Write one item, whose boxes are in pixels and whose size is known; raises `BadItem`."""

    def close(self) -> None:
        """Everything is written: make it durable under its name."""

    def abandon(self) -> None:
        """Let go of what is open, keeping what is written so far for the next call."""


@dataclass(frozen=True)
class Format:
    """A format of features.

    Fields:
        kind: of what it holds features.
        looks: what it looks like on disk, for people.
        claims: whether a file or folder is in this format, told without reading all of it.
        open: opens it; raises `DataError`.
        write: begins, or goes on with, an export; `None` where there is none.
        keeps: which of "boxes", "scores", "classes" and "tokens" an export has a place for; that others are
            left out is told.
    """

    kind: Kind
    looks: str
    claims: Callable[[Path], bool]
    open: Callable[[Path], Foreign]
    write: Callable[[Target], Writer] | None = None
    keeps: Collection[str] = ()
