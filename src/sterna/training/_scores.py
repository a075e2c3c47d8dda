"""By which scores a run is trained and measured, and computing them from what the model makes of a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from sterna.errors import UsageError
from sterna.model import TERN, Tower
from sterna.objectives import Objective, WeightedSum, build_objective
from sterna.scoring import ALIGNMENTS, SCORES, VECTOR_SCORES, Items, align
from sterna.training._settings import TrainSettings

__all__ = [
    "Side",
    "align_on",
    "alignment_of",
    "check_scores",
    "compute_scores",
    "encode_images",
    "encode_texts",
    "ragged",
    "score_names",
    "trained_alignment",
]

_PREFIX = "score:"


class Side(NamedTuple):
    """What the model makes of images, or of captions: unit vectors [B, E] and, where wanted, their items."""

    vectors: Float[Tensor, "B E"]
    items: Items | None = None


def score_names(objective: Objective) -> frozenset[str]:
    """The scores that an objective must be given."""
    return frozenset(need.removeprefix(_PREFIX) for need in objective.needs if need.startswith(_PREFIX))


def trained_alignment(score: str, objective: Objective) -> str | None:
    """How a run compares regions with words: by what it is measured by, or else by what it is trained by."""
    if score in ALIGNMENTS:
        return score
    return next(iter(sorted(score_names(objective) & ALIGNMENTS.keys())), None)


def alignment_of(settings: TrainSettings) -> str | None:
    """`trained_alignment` of a run's settings."""
    if settings.score in ALIGNMENTS:
        return settings.score
    with torch.random.fork_rng(devices=[]):
        chosen = settings.objective
        objective = build_objective(chosen.name, chosen.params, images=1, embedding=settings.model.embedding)
    return trained_alignment(settings.score, objective)


def encode_images(
    model: TERN,
    values: Float[Tensor, "B R D"],
    mask: Bool[Tensor, "B R"],
    boxes: Float[Tensor, "B R P"] | None,
    *,
    names: Collection[str],
) -> Side:
    """Images as `names`, the scores that are wanted, need them."""
    if not ALIGNMENTS.keys() & names:
        return Side(model.encode_images(values, mask, boxes))
    read = model.read_images(values, mask, boxes)
    return Side(read.vectors, Items(read.items, read.mask))


def encode_texts(
    model: TERN, values: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"], *, names: Collection[str]
) -> Side:
    """Captions as `names`, the scores that are wanted, need them."""
    if not ALIGNMENTS.keys() & names:
        return Side(model.encode_texts(values, mask))
    read = model.read_texts(values, mask)
    return Side(read.vectors, Items(read.items, read.mask))


def compute_scores(names: Iterable[str], images: Side, captions: Side) -> dict[str, Float[Tensor, "N C"]]:
    """Each of the scores of all images and captions, in float32."""
    found = {}
    for name in names:
        if name in ALIGNMENTS:
            assert images.items is not None
            assert captions.items is not None
            found[name] = ALIGNMENTS[name](images.items, captions.items)
        else:
            found[name] = VECTOR_SCORES[name](images.vectors, captions.vectors)
    return found


def ragged(items: Items) -> list[NDArray[np.float32]]:
    """The real items of each row, [R, E]."""
    mask = items.mask.cpu().numpy()
    values = items.values.float().cpu().numpy()
    return [row[real] for row, real in zip(values, mask, strict=True)]


def align_on(device: torch.device) -> Any:
    """`sterna.scoring.align`, computed on a device."""
    if device.type == "cpu":
        return align
    return partial(_align_on, device=device)


def _align_on(
    images: Sequence[NDArray[np.float32]],
    captions: Sequence[NDArray[np.float32]],
    *,
    score: str,
    device: torch.device,
) -> NDArray[np.floating[Any]]:
    there = [[torch.from_numpy(one).to(device) for one in side] for side in (images, captions)]
    return align(*there, score=score)


def check_scores(score: str, objective: Objective, model: TERN) -> None:
    """Raise `UsageError` where a run cannot be trained or measured by its scores."""
    for name in score_names(objective):
        if name not in SCORES:
            known = ", ".join(sorted(SCORES))
            raise UsageError(f"objective: similarity={name!r} is not known; known: {known}")
    wanted = trained_alignment(score, objective)
    if wanted is not None:
        _check_items(wanted, image=model.image, text=model.text)
    compared = _similarities(objective)
    if score in ("dot", "order") and score not in compared:
        by = ", ".join(sorted(compared))
        raise UsageError(
            f"score={score!r}: the objective compares by {by} alone, which trains nothing that {score!r} "
            f"measures; set score to {'it' if len(compared) == 1 else 'one of these'}, or add a term"
        )


def _check_items(name: str, **towers: Tower) -> None:
    for side, tower in towers.items():
        if tower.items is None:
            raise UsageError(
                f"model.{side}: {name} compares regions with words, and this tower pools its items "
                "before all else; give it layers, a second stage, another pooling, or skip=False"
            )


def _similarities(objective: Objective) -> frozenset[str]:
    """By what the terms of an objective compare images and captions."""
    if isinstance(objective, WeightedSum):
        terms = (_similarities(term) for term in objective.terms if isinstance(term, Objective))
        return frozenset().union(*terms)
    return frozenset({getattr(objective, "similarity", "dot")})
