"""A training run, run by torch: to look at a model before it is exported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.encoders._align import check_aligns
from sterna.encoders._pipeline import Pipeline, decode
from sterna.encoders._protocol import EncodedPhoto
from sterna.encoders._texts import as_sentence, as_sentences
from sterna.encoders._threads import available_threads, torch_threads
from sterna.errors import MissingExtraError
from sterna.images import Photo, PhotoSource

__all__ = ["RunEncoder"]

_BATCH = 16
_MOST_TOKENS = 512


class RunEncoder:
    """Encoder of a training run's best checkpoint.

    Arguments:
        run: the folder that `sterna train` wrote.
        threads: cores that torch uses in this process; `None` leaves that as it is.

    Raises `RunError` or `ModelError` naming what is missing or damaged, `MissingExtraError` without torch.
    """

    def __init__(self, run: Path, *, threads: int | None = None) -> None:
        try:
            from sterna.training import load_run
        except ImportError as error:
            raise MissingExtraError("A training run", extra="train") from error
        torch_threads(threads)
        self._run = load_run(run)
        self.name = self._run.name
        self.dim = self._run.dim
        self.score = self._run.score
        self.alignment = self._run.alignment
        self.fit = self._run.fit
        self._pipeline: Pipeline[NDArray[Any]] = Pipeline(
            prepare=self._prepare,
            network=self._run.encode_images,
            dim=self.dim,
            size=self._run.size,
            batch=_BATCH,
            lanes=1,
            decoders=threads or available_threads(),
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the weights and of both backbones."""
        return self._run.fingerprint

    def encode_images(self, photos: Sequence[PhotoSource] | PhotoSource) -> NDArray[np.float32]:
        """Encode photographs, or one, to `[N, E]`; raise `PhotoError` naming the first that is unreadable."""
        return self._pipeline.encode(photos)

    def stream_images(self, photos: Iterable[PhotoSource]) -> Iterator[EncodedPhoto]:
        """Encode photographs as they come; see `Encoder.stream_images`."""
        return self._pipeline.stream(photos)

    def encode_texts(self, sentences: Sequence[str] | str) -> NDArray[np.float32]:
        """Encode sentences, or one, to `[M, E]`."""
        return self._run.encode_texts(as_sentences(sentences, max_tokens=_MOST_TOKENS))

    def regions(self, photo: PhotoSource) -> NDArray[np.float32]:
        """The regions of a photograph; see `Aligns`. Raises `UsageError` where the model has none."""
        check_aligns(self)
        return self._run.image_items([decode(photo, at_least=self._run.size, prepare=self._prepare)])[0]

    def words(self, sentence: str) -> NDArray[np.float32]:
        """The words of a sentence; see `Aligns`. Raises `UsageError` where the model has none."""
        check_aligns(self)
        return self._run.text_items(as_sentences(as_sentence(sentence), max_tokens=_MOST_TOKENS))[0]

    def _prepare(self, photo: Photo) -> NDArray[Any]:
        return self._run.prepare(photo.image)
