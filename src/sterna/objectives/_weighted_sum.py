"""Several objectives at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError
from sterna.objectives._objective import NOTHING, Given, Objective

__all__ = ["WeightedSum"]


class WeightedSum(Objective):
    """The sum of objectives, each times its weight.

    Raises `UsageError` unless there is a weight for each of one or more objectives.
    """

    def __init__(self, terms: Sequence[Objective], weights: Sequence[float]) -> None:
        super().__init__()
        if not terms or len(terms) != len(weights):
            raise UsageError(
                f"terms: {len(terms)} came with {len(weights)} weights; one or more, a weight each"
            )
        self.terms = nn.ModuleList(terms)
        self.weights = list(weights)
        self.needs = frozenset().union(*(term.needs for term in terms))

    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """See `Objective.forward`."""
        losses = [term(images, captions, owners, given=given) for term in self.terms]
        return torch.stack([weight * loss for weight, loss in zip(self.weights, losses, strict=True)]).sum()
