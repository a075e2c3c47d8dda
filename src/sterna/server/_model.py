"""A model that answers, with what several requests ask of it embedded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sterna.server._metrics import Metrics
from sterna.server._settings import Limits
from sterna.server._work import Batcher

if TYPE_CHECKING:
    from PIL import Image

    from sterna.encoders import Encoder

__all__ = ["Model"]


class Model:
    """A model that answers, and its batches.

    Arguments:
        encoder: makes the vectors.
        name: what the library is asked with, `None` for its own model.
        limits: bound the batches.
        metrics: count them.
    """

    def __init__(self, encoder: Encoder, name: str | None, *, limits: Limits, metrics: Metrics) -> None:
        self.encoder = encoder
        self.name = name
        self._texts: Batcher[str] = Batcher(
            encoder.encode_texts, limits=limits, told=lambda size: metrics.batch("texts", size)
        )
        self._images: Batcher[Image.Image] = Batcher(
            encoder.encode_images, limits=limits, told=lambda size: metrics.batch("images", size)
        )

    @property
    def waiting(self) -> int:
        """How many texts and images wait."""
        return self._texts.waiting + self._images.waiting

    async def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [M, E] of texts."""
        return await self._texts.embed(texts) if texts else self.none

    async def images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Vectors [N, E] of RGB images."""
        return await self._images.embed(images) if images else self.none

    @property
    def none(self) -> NDArray[np.float32]:
        """No vectors [0, E]."""
        return np.empty((0, self.encoder.dim), np.float32)

    async def close(self) -> None:
        """End its batches."""
        await self._texts.close()
        await self._images.close()
