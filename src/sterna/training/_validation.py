"""A model's retrieval on a split, from its features."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sterna.evaluation import rank_both_ways, report
from sterna.model import TERN
from sterna.training._readers import Reader
from sterna.training._split import Split

__all__ = ["validate"]

_IMAGES, _CAPTIONS = 128, 1024


def validate(model: TERN, reader: Reader, split: Split, *, device: torch.device) -> dict[str, Any]:
    """What `sterna.evaluation` reports of `model` on a split's original views."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            images = _encode_images(model, reader, split.image_rows, device)
            captions = _encode_captions(model, reader, split.caption_rows, device)
    finally:
        model.train(training)
    measured = report(rank_both_ways(images, captions, split.owners), bootstrap=0).as_json()
    return {key: measured[key] for key in ("images", "captions", "rsum", "i2t", "t2i")}


def _encode_images(
    model: TERN, reader: Reader, rows: NDArray[np.int64], device: torch.device
) -> NDArray[np.float32]:
    blocks = []
    for start in range(0, len(rows), _IMAGES):
        block = rows[start : start + _IMAGES]
        original = np.full(len(block), reader.views.index("original"))
        values, mask, boxes = (array.to(device) for array in reader.regions(block, original))
        blocks.append(model.encode_images(values.float(), mask, boxes).cpu().numpy())
    return np.concatenate(blocks)


def _encode_captions(
    model: TERN, reader: Reader, rows: NDArray[np.int64], device: torch.device
) -> NDArray[np.float32]:
    blocks = []
    for start in range(0, len(rows), _CAPTIONS):
        values, mask = (array.to(device) for array in reader.tokens(rows[start : start + _CAPTIONS]))
        blocks.append(model.encode_texts(values.float(), mask).cpu().numpy())
    return np.concatenate(blocks)
