"""Encoders that look at one place or for one colour, and nothing else: what explains them is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from sterna.encoders import EncodedPhoto
from sterna.images import FITS, PhotoSource, open_photo, to_square

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SIZE = 64


class Seeing:
    """A photograph's vector tells how much there is of each colour, a sentence's which of them it names.

    Arguments:
        fit: how it makes a square of a photograph.
        corner: rows and columns, in 0..1 of the square, that it looks at; all of it by default.
    """

    dim = len(COLOURS) + 1
    name = "seeing"
    fingerprint = "0" * 64

    def __init__(self, fit: str = "squeeze", *, corner: tuple[slice, slice] | None = None) -> None:
        self.fit = fit
        self.looks: list[int] = []
        self._corner = corner or (slice(None), slice(None))

    def encode_images(self, photos: Sequence[PhotoSource] | PhotoSource) -> np.ndarray:
        sources = [photos] if isinstance(photos, str | bytes | Image.Image) else list(photos)  # type: ignore[arg-type]
        self.looks.append(len(sources))
        return np.stack([self._see(source) for source in sources])

    def _see(self, source: PhotoSource) -> np.ndarray:
        pixels = to_square(open_photo(source).image, SIZE, self.fit if self.fit in FITS else "squeeze")[
            self._corner
        ].astype(np.float32)
        like = [
            np.clip(1 - np.abs(pixels - colour).sum(-1) / 255, 0, None).mean() for colour in COLOURS.values()
        ]
        return unit([*like, 0.2])

    def encode_texts(self, sentences: Sequence[str] | str) -> np.ndarray:
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        return np.stack([unit([*(float(name in text.split()) for name in COLOURS), 0.01]) for text in texts])

    def stream_images(self, photos: Iterable[PhotoSource]) -> Iterator[EncodedPhoto]:
        for photo in photos:
            yield EncodedPhoto(self._see(photo), None, None)


def unit(values: list[float]) -> np.ndarray:
    """A unit vector."""
    vector = np.asarray(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def painted(
    *patches: tuple[str, tuple[int, int, int, int]], size: tuple[int, int] = (160, 160)
) -> Image.Image:
    """A grey picture with patches of colour."""
    image = Image.new("RGB", size, (127, 127, 127))
    for colour, box in patches:
        image.paste(COLOURS[colour], box)
    return image
