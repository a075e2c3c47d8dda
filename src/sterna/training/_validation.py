"""A model's retrieval on a split, from its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sterna.evaluation import (
    CUTOFFS,
    Adjust,
    Protocol,
    Ranks,
    Reranking,
    Way,
    rank_both_ways,
    report,
    rerank,
)
from sterna.scoring import ALIGNMENTS, VECTOR_SCORES
from sterna.training._learner import Learner
from sterna.training._readers import Reader
from sterna.training._scores import Side, align_on, encode_images, encode_texts, ragged
from sterna.training._split import Split

__all__ = ["Measured", "validate"]

_IMAGES, _CAPTIONS = 128, 1024


class _Encoded(NamedTuple):
    """Vectors [B, E], and the items [R, E] of each row where the score aligns them."""

    vectors: NDArray[np.float32]
    items: list[NDArray[np.float32]]


class Measured(NamedTuple):
    """What a validation found: the figures of a report, and the ranks that they were made of."""

    figures: dict[str, Any]
    ranks: Ranks


def validate(
    learner: Learner,
    reader: Reader,
    split: Split,
    *,
    device: torch.device,
    score: str = "dot",
    at: tuple[int, ...] = CUTOFFS,
    top: int = 0,
) -> Measured:
    """What `sterna.evaluation` reports of the learner's model on a split's original views, by a score.

    Arguments:
        at: the cut-offs.
        top: how many of the first answers to keep for each query.
    """
    training = learner.training
    learner.eval()
    try:
        with torch.inference_mode():
            images = _encode_images(learner, reader, split.image_rows, device=device, score=score)
            captions = _encode_captions(learner, reader, split.caption_rows, device=device, score=score)
    finally:
        learner.train(training)
    ranks = rank_both_ways(
        images.vectors,
        captions.vectors,
        split.owners,
        score=VECTOR_SCORES.get(score, VECTOR_SCORES["dot"]),
        adjust=_by_alignment(score, images, captions, device) if score in ALIGNMENTS else None,
        top=top,
    )
    measured = report(ranks, bootstrap=0, protocol=Protocol(at=at)).as_json()
    return Measured({key: measured[key] for key in ("images", "captions", "rsum", "i2t", "t2i")}, ranks)


def _by_alignment(
    score: str, images: _Encoded, captions: _Encoded, device: torch.device
) -> Mapping[Way, Adjust]:
    """Alignments in place of what vectors say, computed where the model is."""
    return rerank(Reranking(images.items, captions.items, score, align=align_on(device)))


def _encode_images(
    learner: Learner, reader: Reader, rows: NDArray[np.int64], *, device: torch.device, score: str
) -> _Encoded:
    blocks = []
    for start in range(0, len(rows), _IMAGES):
        block = rows[start : start + _IMAGES]
        original = np.full(len(block), reader.views.index("original"))
        regions, mask, boxes = (array.to(device) for array in reader.regions(block, original))
        maps = reader.maps(block, original)
        seen = learner.see(regions, mask, boxes, maps=None if maps is None else maps.to(device))
        blocks.append(_kept(encode_images(learner.model, *seen, names={score})))
    return _joined(blocks)


def _encode_captions(
    learner: Learner, reader: Reader, rows: NDArray[np.int64], *, device: torch.device, score: str
) -> _Encoded:
    blocks = []
    for start in range(0, len(rows), _CAPTIONS):
        block = rows[start : start + _CAPTIONS]
        tokens, mask = (array.to(device) for array in reader.tokens(block))
        ids, ids_mask = (None if array is None else array.to(device) for array in reader.ids(block))
        read = learner.read(tokens, mask, ids=ids, ids_mask=ids_mask)
        blocks.append(_kept(encode_texts(learner.model, *read, names={score})))
    return _joined(blocks)


def _kept(side: Side) -> _Encoded:
    return _Encoded(side.vectors.cpu().numpy(), [] if side.items is None else ragged(side.items))


def _joined(blocks: Sequence[_Encoded]) -> _Encoded:
    return _Encoded(
        np.concatenate([block.vectors for block in blocks]),
        [one for block in blocks for one in block.items],
    )
