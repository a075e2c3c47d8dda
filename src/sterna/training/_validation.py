"""A model's retrieval on a split, from its features."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sterna.evaluation import CUTOFFS, Protocol, rank_both_ways, report
from sterna.training._learner import Learner
from sterna.training._readers import Reader
from sterna.training._split import Split

__all__ = ["validate"]

_IMAGES, _CAPTIONS = 128, 1024


def validate(
    learner: Learner, reader: Reader, split: Split, *, device: torch.device, at: tuple[int, ...] = CUTOFFS
) -> dict[str, Any]:
    """What `sterna.evaluation` reports of the learner's model on a split's original views, at cut-offs."""
    training = learner.training
    learner.eval()
    try:
        with torch.inference_mode():
            images = _encode_images(learner, reader, split.image_rows, device)
            captions = _encode_captions(learner, reader, split.caption_rows, device)
    finally:
        learner.train(training)
    ranks = rank_both_ways(images, captions, split.owners)
    measured = report(ranks, bootstrap=0, protocol=Protocol(at=at)).as_json()
    return {key: measured[key] for key in ("images", "captions", "rsum", "i2t", "t2i")}


def _encode_images(
    learner: Learner, reader: Reader, rows: NDArray[np.int64], device: torch.device
) -> NDArray[np.float32]:
    blocks = []
    for start in range(0, len(rows), _IMAGES):
        block = rows[start : start + _IMAGES]
        original = np.full(len(block), reader.views.index("original"))
        regions, mask, boxes = (array.to(device) for array in reader.regions(block, original))
        maps = reader.maps(block, original)
        seen = learner.see(regions, mask, boxes, maps=None if maps is None else maps.to(device))
        blocks.append(learner.model.encode_images(*seen).cpu().numpy())
    return np.concatenate(blocks)


def _encode_captions(
    learner: Learner, reader: Reader, rows: NDArray[np.int64], device: torch.device
) -> NDArray[np.float32]:
    blocks = []
    for start in range(0, len(rows), _CAPTIONS):
        block = rows[start : start + _CAPTIONS]
        tokens, mask = (array.to(device) for array in reader.tokens(block))
        ids, ids_mask = (None if array is None else array.to(device) for array in reader.ids(block))
        read = learner.read(tokens, mask, ids=ids, ids_mask=ids_mask)
        blocks.append(learner.model.encode_texts(*read).cpu().numpy())
    return np.concatenate(blocks)
