"""Where vectors come from: an encoder, several of them as a committee, or files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sterna.errors import ModelError, PhotoError, UsageError
from sterna.evaluation._measure import SCORES, committee
from sterna.scoring import ALIGNMENTS, Score, Vectors

__all__ = ["Captioned", "Encoded", "Encodes", "Progress", "Source", "Tell", "joined", "source_of"]


_THREADS = 4  # that read photographs for their regions


class Captioned(Protocol):
    """What is needed of captioned images: `sterna.data.CaptionedImages` has it."""

    @property
    def name(self) -> str: ...
    @property
    def image_ids(self) -> Sequence[str]: ...
    @property
    def paths(self) -> Sequence[Path]: ...
    @property
    def captions(self) -> Sequence[str]: ...
    @property
    def caption_ids(self) -> Sequence[str]: ...
    @property
    def owners(self) -> NDArray[np.int64]: ...
    @property
    def splits(self) -> Sequence[str | None]: ...
    @property
    def problems(self) -> tuple[str, ...]: ...
    def one_split(self, name: str | None) -> Self: ...


class Photo(Protocol):
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
    def stream_images(self, photos: Iterable[Path]) -> Iterator[Photo]: ...


class Progress(NamedTuple):
    """How far an evaluation is: `done` of `total`; `what` is one of them, "photograph" or "caption"."""

    what: str
    done: int
    total: int


Tell = Callable[[Progress], None]


class Encoded(NamedTuple):
    """The vectors of captioned images.

    Fields:
        images: [N, E], NaN for what cannot be encoded.
        captions: [C, E], the same.
        score: a key of `SCORES`, or a function; what the vectors are compared by.
        unreadable: what could not be encoded and why.
    """

    images: Vectors
    captions: Vectors
    score: str | Score = "dot"
    unreadable: tuple[str, ...] = ()


@runtime_checkable
class Source(Protocol):
    """Anything that has a name and gives vectors of captioned images."""

    @property
    def name(self) -> str: ...
    def vectors(self, data: Captioned, tell: Tell) -> Encoded: ...


@dataclass(frozen=True, eq=False)
class _FromEncoder:
    encoder: Encodes

    @property
    def name(self) -> str:
        return self.encoder.name

    def vectors(self, data: Captioned, tell: Tell) -> Encoded:
        tell(Progress("caption", 0, len(data.captions)))
        texts = np.asarray(self.encoder.encode_texts(list(data.captions)))
        tell(Progress("caption", len(data.captions), len(data.captions)))
        images, unreadable = _encode_images(self.encoder, data.paths, dim=texts.shape[1], tell=tell)
        return Encoded(images, texts, self.score if self.score in SCORES else "dot", unreadable)

    @property
    def score(self) -> str:
        """What the encoder is measured by, which may be an alignment."""
        return getattr(self.encoder, "score", "dot")

    @property
    def alignment(self) -> str | None:
        """How it compares regions with words, where it tells them."""
        return getattr(self.encoder, "alignment", None)

    def items(self, data: Captioned, tell: Tell) -> tuple[Sequence[Vectors | None], Sequence[Vectors]]:
        """Each image's regions [R, E], `None` where it cannot be read, and each caption's words [T, E]."""
        return encode_items(self.encoder, data, tell)


@dataclass(frozen=True, eq=False)
class _Committee:
    sources: Sequence[Source]

    @property
    def name(self) -> str:
        return " + ".join(source.name for source in self.sources)

    @property
    def score(self) -> str:
        """An alignment that a member is measured by, which cannot be averaged; else vectors are compared."""
        scores = [getattr(source, "score", "dot") for source in self.sources]
        return next((score for score in scores if score in ALIGNMENTS), "dot")

    def vectors(self, data: Captioned, tell: Tell) -> Encoded:
        return joined([source.vectors(data, tell) for source in self.sources])


def source_of(models: Encodes | Source | Sequence[Encodes | Source]) -> Source:
    """A source of vectors from an encoder, a source, or several of either as a committee.

    Raises `UsageError` where there is none.
    """
    several = list(models) if isinstance(models, Sequence) else [models]
    sources = [each if isinstance(each, Source) else _FromEncoder(each) for each in several]
    if not sources:
        raise UsageError("there is no model; at least one is needed")
    return sources[0] if len(sources) == 1 else _Committee(sources)


def joined(members: Sequence[Encoded]) -> Encoded:
    """A committee's vectors side by side, compared by the plain mean of the members' scores."""
    scores = [SCORES[each.score] if isinstance(each.score, str) else each.score for each in members]
    return Encoded(
        images=np.concatenate([each.images for each in members], axis=1),
        captions=np.concatenate([each.captions for each in members], axis=1),
        score=committee(scores, [each.images.shape[1] for each in members]),
        unreadable=tuple(dict.fromkeys(name for each in members for name in each.unreadable)),
    )


def encode_items(
    encoder: Any, data: Captioned, tell: Tell
) -> tuple[Sequence[Vectors | None], Sequence[Vectors]]:
    """Regions and words by an encoder that has `regions(photo)` and `words(sentence)`."""
    regions: list[Vectors | None] = []
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="sterna-align") as threads:
        for one in threads.map(partial(_readable, encoder), data.paths):
            regions.append(one)
            tell(Progress("photograph", len(regions), len(data.paths)))
    words: list[Vectors] = []
    for caption in data.captions:
        words.append(encoder.words(caption))
        tell(Progress("caption", len(words), len(data.captions)))
    return regions, words


def _readable(encoder: Any, photo: Path) -> Vectors | None:
    try:
        return encoder.regions(photo)  # type: ignore[no-any-return]
    except PhotoError:
        return None


def _encode_images(
    encoder: Encodes, paths: Sequence[Path], *, dim: int, tell: Tell
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
        tell(Progress("photograph", place + 1, len(paths)))
    return vectors, tuple(unreadable)
