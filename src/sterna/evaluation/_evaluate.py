"""Measuring an encoder on captioned images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, ModelError, PhotoError
from sterna.evaluation._ranks import rank_both_ways
from sterna.evaluation._report import Report, report

__all__ = ["Captioned", "Encodes", "Progress", "evaluate"]


class Encoded(Protocol):
    """A photograph's vector [E], or the error of one that cannot be read."""

    @property
    def vector(self) -> NDArray[np.float32] | None: ...
    @property
    def error(self) -> PhotoError | None: ...


class Encodes(Protocol):
    """What is needed of an encoder: a name, and vectors of photographs and sentences."""

    @property
    def name(self) -> str: ...
    def encode_texts(self, sentences: Sequence[str]) -> NDArray[Any]: ...
    def stream_images(self, photos: Iterable[Path]) -> Iterator[Encoded]: ...


class Captioned(Protocol):
    """What is needed of captioned images: `sterna.data.CaptionedImages` has it."""

    @property
    def name(self) -> str: ...
    @property
    def paths(self) -> Sequence[Path]: ...
    @property
    def captions(self) -> Sequence[str]: ...
    @property
    def owners(self) -> NDArray[np.int64]: ...
    @property
    def splits(self) -> Sequence[str | None]: ...
    @property
    def problems(self) -> tuple[str, ...]: ...
    def one_split(self, name: str | None) -> Self: ...


class Progress(NamedTuple):
    """How far an evaluation is: `done` of `total` photographs or captions, as `what` says."""

    what: str
    done: int
    total: int


def evaluate(
    encoder: Encodes,
    data: Captioned,
    *,
    split: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Encode the images and captions of a split and report how well each finds the other.

    Photographs that cannot be read are named in the report and count as not found.

    Arguments:
        encoder: what is measured.
        data: what it is measured on.
        split: needed where the data has several.
        bootstrap: draws of images for the intervals; 0 for none.
        seed: decides the draws.
        progress: is told how far it is.

    Raises `DataError` where the split is not there, not named though there are several, or without captions.
    """
    tell = progress or (lambda _: None)
    part = data.one_split(split)
    if not len(part.captions):
        raise DataError(f"{data.name}: there are no captions, which are needed to measure anything")
    tell(Progress("captions", 0, len(part.captions)))
    texts = np.asarray(encoder.encode_texts(list(part.captions)))
    tell(Progress("captions", len(part.captions), len(part.captions)))
    images, unreadable = _encode_images(encoder, part.paths, dim=texts.shape[1], tell=tell)
    names = set(part.splits)
    return report(
        rank_both_ways(images, texts, part.owners),
        model=encoder.name,
        data=data.name,
        split=split or (part.splits[0] if len(names) == 1 else None),
        bootstrap=bootstrap,
        seed=seed,
        unreadable=unreadable,
        problems=data.problems,
    )


def _encode_images(
    encoder: Encodes, paths: Sequence[Path], *, dim: int, tell: Callable[[Progress], None]
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Vectors [N, E], NaN for photographs that cannot be read, and the errors of those."""
    vectors = np.full((len(paths), dim), np.nan, dtype=np.float32)
    unreadable = []
    for place, (path, encoded) in enumerate(zip(paths, encoder.stream_images(paths), strict=True)):
        if encoded.vector is None:
            reason = encoded.error.reason if encoded.error else "no vector"
            unreadable.append(f"{path}: {reason}")
        elif encoded.vector.shape == (dim,):
            vectors[place] = encoded.vector
        else:
            shapes = f"{encoded.vector.shape} for a photograph and ({dim},) for a sentence"
            raise ModelError(
                f"{encoder.name}: gives vectors of the shapes {shapes}; they must be equally long"
            )
        tell(Progress("photographs", place + 1, len(paths)))
    return vectors, tuple(unreadable)
