"""The door to pytorch-metric-learning: its losses, between images and captions."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError, check_known
from sterna.objectives._instance import given_places
from sterna.objectives._objective import NOTHING, Given, Objective, ready
from sterna.objectives._pml_ways import MINED, PAIRS, WAYS, Pairing, together

__all__ = ["MetricLearning"]


class MetricLearning(Objective):
    """A loss of pytorch-metric-learning between images and captions.

    Arguments:
        loss: takes (vectors, labels, indices, ref_emb=, ref_labels=), labels being the owning images.
        miner: picks the pairs or triplets that count; all do without one.
        pairs: "cross": images against captions and captions against images; "all": images and captions as
            one set, in which two captions of an image are a positive pair too. "" is the first that the
            loss can be computed in.
        way: how it is computed, a key of `WAYS`.
        images: where the loss tells images apart from step to step, how many there are: labels are then the
            images' places among all, which the objective needs.
    Raises `UsageError` for pairs or a miner that the loss cannot do with.
    """

    def __init__(
        self,
        loss: nn.Module,
        miner: nn.Module | None = None,
        *,
        pairs: str = "",
        way: str = "between",
        images: int | None = None,
    ) -> None:
        super().__init__()
        pairs = pairs or PAIRS[way][0]
        check_known("pairs", pairs, sorted({one for known in PAIRS.values() for one in known}))
        if pairs not in PAIRS[way]:
            raise UsageError(
                f"pairs={pairs!r}: {type(loss).__name__} is computed with {PAIRS[way][0]!r} alone"
            )
        if miner is not None and way not in MINED:
            raise UsageError(f"miner: {type(loss).__name__} takes none")
        self.loss = loss
        self.miner = miner
        self.pairs = pairs
        self.images = images
        self.needs = frozenset() if images is None else frozenset({"places"})
        self._compute = together if pairs == "all" else WAYS[way]

    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """See `Objective.forward`."""
        images, captions = ready(images, captions, owners)
        if self.images is None:
            labels = torch.arange(len(images), device=owners.device)
        else:
            labels = given_places(given, len(images), classes=self.images)
        return self._compute(self.loss, self.miner, Pairing(images, labels, captions, owners)).reshape(())
