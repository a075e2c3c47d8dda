"""Re-rank the first hits by how well their regions fit the words of what was asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sterna.errors import UsageError
from sterna.library._query import Weighed
from sterna.library._types import Hit

if TYPE_CHECKING:
    from sterna.encoders import Aligns, Encoder

__all__ = ["Asked", "rerank_hits", "sentences_of"]


@dataclass(frozen=True)
class Asked:
    """Weighted sentences, and a model that tells words and regions."""

    encoder: Aligns
    sentences: tuple[str, ...]
    weights: tuple[float, ...]


def sentences_of(parts: Sequence[Weighed], *, encoder: Encoder) -> Asked:
    """What to re-rank by; `UsageError` where the model cannot align, or a photograph is in the query."""
    from sterna.encoders import aligned

    encoder = aligned(encoder)
    sentences = tuple(part.text for part in parts if part.text is not None)
    if len(sentences) < len(parts):
        raise UsageError(
            "rerank: the words of a sentence are compared with the regions of photographs, and there is a "
            "photograph in the query; ask with sentences alone, or without rerank"
        )
    return Asked(encoder, sentences, tuple(part.weight for part in parts))


def rerank_hits(hits: Sequence[Hit], asked: Asked, *, first: int) -> list[Hit]:
    """The `first` hits by their alignment, best first, those of them that cannot be read, and the others.

    The alignment of a weighted sum of sentences is the weighted sum of their alignments. Hits that are
    equally good stay in their order.
    """
    from sterna.encoders import alignments

    some = hits[:first]
    scores = alignments(asked.encoder, [hit.path for hit in some], asked.sentences) @ np.array(asked.weights)
    aligned = [
        dataclasses.replace(hit, alignment=None if np.isnan(score) else float(score))
        for hit, score in zip(some, scores, strict=True)
    ]
    aligned.sort(key=lambda hit: np.inf if hit.alignment is None else -hit.alignment)
    return [dataclasses.replace(hit, rank=place + 1) for place, hit in enumerate([*aligned, *hits[first:]])]
