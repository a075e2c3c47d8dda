"""Comparing photographs and sentences region by word, with the encoders that tell these apart."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sterna.encoders._threads import available_threads
from sterna.errors import PhotoError, UsageError

if TYPE_CHECKING:
    from sterna.encoders._protocol import Aligns, Encoder
    from sterna.images import PhotoSource

__all__ = ["aligned", "alignments", "check_aligns"]

_AT_ONCE = 64  # photographs whose regions are held


def aligned(encoder: Encoder | Aligns) -> Aligns:
    """The encoder, where it tells regions and words; raises `UsageError` where it does not."""
    check_aligns(encoder)
    return encoder  # type: ignore[return-value]


def check_aligns(encoder: Any) -> None:
    """Raise `UsageError` in one sentence where an encoder does not tell regions and words."""
    if getattr(encoder, "alignment", None) is None:
        raise UsageError(
            f"{encoder.name}: this model compares whole photographs and sentences, and cannot align regions "
            "with words; train one whose score or objective is an alignment, such as MrSw"
        )


def alignments(
    encoder: Encoder | Aligns, photos: Sequence[PhotoSource], sentences: Sequence[str]
) -> NDArray[np.float32]:
    """Alignment scores [N, M] of photographs and sentences, by the encoder's own alignment.

    Photographs are read and encoded by several threads. The row of one that cannot be read is NaN.
    Raises `UsageError` where the encoder cannot align.
    """
    from sterna.scoring import align

    encoder = aligned(encoder)
    assert encoder.alignment is not None
    words = [encoder.words(sentence) for sentence in sentences]
    scores = np.full((len(photos), len(words)), np.nan, dtype=np.float32)
    with ThreadPoolExecutor(available_threads(), thread_name_prefix="sterna-align") as threads:
        for start in range(0, len(photos), _AT_ONCE):
            some = photos[start : start + _AT_ONCE]
            regions = list(threads.map(lambda photo: _readable(encoder, photo), some))
            rows = [start + place for place, one in enumerate(regions) if one is not None]
            read = [one for one in regions if one is not None]
            scores[rows] = align(read, words, score=encoder.alignment)
    return scores


def _readable(encoder: Aligns, photo: PhotoSource) -> NDArray[np.float32] | None:
    try:
        return encoder.regions(photo)
    except PhotoError:
        return None
