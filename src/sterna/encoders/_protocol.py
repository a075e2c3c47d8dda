"""What an encoder is, whatever network stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sterna.errors import PhotoError
from sterna.images import PhotoSource

__all__ = ["Aligns", "EncodedPhoto", "Encoder", "PhotoInfo"]


@dataclass(frozen=True)
class PhotoInfo:
    """What is kept of a photograph beside its vector; see `sterna.images.Photo`."""

    width: int
    height: int
    taken_at: datetime | None
    descriptions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class EncodedPhoto:
    """One answer of `stream_images`: a vector ([E], float32, unit length) and notes, or why there is none."""

    vector: NDArray[np.float32] | None
    photo: PhotoInfo | None
    error: PhotoError | None


class Encoder(Protocol):
    """Turns photographs and sentences into float32 unit vectors of one space; threads may share it.

    An encoder may have a `min_score`: below it a photograph seldom shows what a sentence says. It may have a
    `fit`, one of `sterna.images.FITS`: what of a photograph it looks at; any other word, or none, is all.
    """

    @property
    def name(self) -> str:
        """What people call the model: "sterna-base", a folder's name, "hf:openai/clip-vit-base-patch32"."""

    @property
    def dim(self) -> int:
        """Length E of every vector."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides a vector; vectors of different fingerprints are never compared."""

    def encode_images(self, photos: Sequence[PhotoSource] | PhotoSource) -> NDArray[np.float32]:
        """Encode photographs, or one, to `[N, E]`; raise `PhotoError` naming the first that is unreadable."""

    def encode_texts(self, sentences: Sequence[str] | str) -> NDArray[np.float32]:
        """Encode sentences, or one, to `[M, E]`; raise `UsageError` where something else than text comes."""

    def stream_images(self, photos: Iterable[PhotoSource]) -> Iterator[EncodedPhoto]:
        """Encode photographs as they come: one answer for each, in order, decoding ahead of the network.

        A photograph that cannot be read gives an answer with its `error` and disturbs no other. Memory is
        bounded, whatever the number of photographs and cores: those of extreme size are refused, and all
        threads together decode within about one gigabyte. Closing the iterator ends its threads.
        """


class Aligns(Encoder, Protocol):
    """An encoder that also tells the regions of a photograph and the words of a sentence apart.

    A model that was trained for it; of any other, `alignment` is `None` or missing.
    """

    @property
    def score(self) -> str:
        """What its training was measured by: "dot", "order", or an alignment."""

    @property
    def alignment(self) -> str | None:
        """How regions and words are compared: one of `sterna.scoring.ALIGNMENTS`."""

    def regions(self, photo: PhotoSource) -> NDArray[np.float32]:
        """Unit vectors `[R, E]` of a photograph's regions; raise `PhotoError` where it cannot be read."""

    def words(self, sentence: str) -> NDArray[np.float32]:
        """Unit vectors `[T, E]` of a sentence's words (tokens), none for a sentence without any."""
