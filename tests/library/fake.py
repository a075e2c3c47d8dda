"""An encoder whose vectors are colours on a grid: deterministic, quick, and right about "red" and "green"."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from sterna.encoders import EncodedPhoto, PhotoInfo
from sterna.errors import PhotoError
from sterna.images import open_photo

GRID = 4


def pixels(image: Image.Image) -> np.ndarray:
    small = np.asarray(image.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX), np.float32)
    vector = np.append((small - 127.5).reshape(-1) / 127.5, 0.5)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class ColourEncoder:
    """Counts what it embeds; `delay` is seconds a photograph; `sign` makes another model of it."""

    dim = GRID * GRID * 3 + 1

    def __init__(self, name: str = "colours", *, delay: float = 0.0, sign: float = 1.0) -> None:
        self.name = name
        self.fingerprint = name.encode().hex().ljust(64, "0")
        self.embedded: list[str] = []
        self._delay = delay
        self._sign = np.float32(sign)

    def encode_images(self, photos: object) -> np.ndarray:
        sources = (
            list(photos) if isinstance(photos, Sequence) and not isinstance(photos, str | bytes) else [photos]
        )
        return np.stack([pixels(open_photo(source).image) * self._sign for source in sources])

    def encode_texts(self, sentences: Sequence[str] | str) -> np.ndarray:
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        return np.stack([self._text(text) for text in texts])

    def _text(self, text: str) -> np.ndarray:
        try:
            colour = ImageColor.getrgb((text.rsplit(maxsplit=1) or [""])[-1])
        except ValueError:
            colour = tuple(np.random.default_rng(list(text.encode())).integers(0, 256, 3).tolist())
        return pixels(Image.new("RGB", (8, 8), colour)) * self._sign

    def stream_images(self, photos: Iterable[object]) -> Iterator[EncodedPhoto]:
        for source in photos:
            if self._delay:
                time.sleep(self._delay)
            try:
                photo = open_photo(source)
            except PhotoError as error:
                yield EncodedPhoto(None, None, error)
                continue
            self.embedded.append(Path(source).name)
            info = PhotoInfo(photo.width, photo.height, photo.taken_at, photo.descriptions)
            yield EncodedPhoto(pixels(photo.image) * self._sign, info, None)


def save(path: Path, colour: str | tuple[int, int, int], *, size: tuple[int, int] = (32, 24)) -> Path:
    """A photograph of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path
