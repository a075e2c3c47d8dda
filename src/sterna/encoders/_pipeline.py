"""Threads decode photographs ahead of the network; answers come in order, memory stays bounded.

Pillow and ONNX Runtime both release the interpreter's lock, so threads are enough, and a killed process
leaves nothing behind. However many threads there are, they decode within the budget of `opened_photo`, where
a photograph counts until the network's input has been made of it; of those inputs no more wait than the
threads and the network have in hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sterna.encoders._protocol import EncodedPhoto, PhotoInfo
from sterna.errors import PhotoError, UsageError
from sterna.images import Photo, PhotoSource, opened_photo

__all__ = ["Pipeline", "decode"]

P = TypeVar("P")

# A JPEG decoded at a reduced scale keeps at least this much more than is needed: on EfficientNet-Lite, cosine
# 0.998 or more to the vector of all its pixels, and without it 0.991 where a scale fits exactly.
_MARGIN = 4 / 3


@dataclass(frozen=True)
class _Decoded(Generic[P]):
    """A photograph ready for the network, or why it is not."""

    ready: P | None
    info: PhotoInfo | None
    error: PhotoError | None


@dataclass(frozen=True)
class Pipeline(Generic[P]):
    """From photographs to vectors.

    Attributes:
        prepare: makes of an opened photograph what the network takes.
        network: turns a list of n of those, n >= 1, into `[n, E]` float32 unit vectors; called by up to
            `lanes` threads at once.
        dim: E.
        size: side in pixels of the square that the network takes.
        batch: photographs that the network takes at a time.
        lanes: network calls at the same time.
        decoders: threads that decode.
    """

    prepare: Callable[[Photo], P]
    network: Callable[[list[P]], NDArray[np.float32]]
    dim: int
    size: int
    batch: int
    lanes: int
    decoders: int

    def encode(self, photos: Sequence[PhotoSource] | PhotoSource) -> NDArray[np.float32]:
        """Encode all of `photos` to `[N, E]`; raise `PhotoError` naming the first that cannot be read."""
        sources = as_list(photos)
        vectors = np.empty((len(sources), self.dim), dtype=np.float32)
        batch = max(1, min(self.batch, -(-len(sources) // self.lanes)))
        for number, answer in enumerate(self._stream(sources, batch=batch)):
            if answer.error is not None:
                where = answer.error.path or f"photograph {number + 1} of {len(sources)}"
                raise PhotoError(answer.error.reason, path=where)
            vectors[number] = answer.vector
        return vectors

    def stream(self, photos: Iterable[PhotoSource]) -> Iterator[EncodedPhoto]:
        """Encode `photos` as they come; see `Encoder.stream_images`."""
        return self._stream(photos, batch=self.batch)

    def _stream(self, photos: Iterable[PhotoSource], *, batch: int) -> Iterator[EncodedPhoto]:
        sources = iter(photos)
        decoding: deque[Future[_Decoded[P]]] = deque()
        running: deque[tuple[list[_Decoded[P]], Future[NDArray[np.float32] | None]]] = deque()
        decoders = ThreadPoolExecutor(self.decoders, thread_name_prefix="sterna-decode")
        networks = ThreadPoolExecutor(self.lanes, thread_name_prefix="sterna-network")

        def refill() -> None:
            missing = 2 * batch + self.decoders - len(decoding)
            decoding.extend(decoders.submit(self._decode, source) for source in islice(sources, missing))

        try:
            refill()
            while decoding:
                items: list[_Decoded[P]] = []
                while decoding and len(items) < batch:
                    items.append(decoding.popleft().result())
                    refill()
                running.append((items, networks.submit(self._run, items)))
                if len(running) > self.lanes:  # one waits beside those that run
                    yield from _answers(*running.popleft())
            while running:
                yield from _answers(*running.popleft())
        finally:  # also where the caller stops early or is interrupted
            decoders.shutdown(cancel_futures=True)
            networks.shutdown(cancel_futures=True)

    def _decode(self, source: PhotoSource) -> _Decoded[P]:
        try:
            with opened_photo(source, at_least=round(self.size * _MARGIN)) as photo:
                info = PhotoInfo(photo.width, photo.height, photo.taken_at, photo.descriptions)
                return _Decoded(self.prepare(photo), info, None)
        except PhotoError as error:
            error.path = error.path or _path(source)
            return _Decoded(None, None, error)
        except MemoryError:
            reason = "there is not enough memory to decode it"
            return _Decoded(None, None, PhotoError(reason, path=_path(source)))

    def _run(self, items: list[_Decoded[P]]) -> NDArray[np.float32] | None:
        good = [item.ready for item in items if item.ready is not None]
        return self.network(good) if good else None


def decode(photo: PhotoSource, *, at_least: int, prepare: Callable[[Photo], P]) -> P:
    """One photograph, made ready for a network of that size; raise `PhotoError` where it cannot be read."""
    try:
        with opened_photo(photo, at_least=round(at_least * _MARGIN)) as opened:
            return prepare(opened)
    except PhotoError as error:
        error.path = error.path or _path(photo)
        raise
    except MemoryError:
        raise PhotoError("there is not enough memory to decode it", path=_path(photo)) from None


def _answers(items: list[_Decoded[P]], running: Future[NDArray[np.float32] | None]) -> Iterator[EncodedPhoto]:
    vectors = running.result()
    rows = iter(vectors if vectors is not None else ())
    for item in items:
        yield EncodedPhoto(None if item.ready is None else next(rows), item.info, item.error)


def _path(source: PhotoSource) -> str | None:
    return None if isinstance(source, bytes | Image.Image) else str(source)


def as_list(photos: Sequence[PhotoSource] | PhotoSource) -> list[PhotoSource]:
    """A list of photographs of one or of several; raise `UsageError` where it is neither."""
    if isinstance(photos, str | bytes | Path | Image.Image):
        return [photos]
    try:
        return list(photos)
    except TypeError:
        kind = type(photos).__name__
        raise UsageError(
            f"photographs are paths, bytes or Pillow images, alone or in a list; a {kind} came"
        ) from None
