"""The pairwise sigmoid loss, in which every pair of an image and a caption is a question of its own."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sterna.objectives._objective import NOTHING, Given, Objective, check_above, positives, ready
from sterna.objectives._similarity import needs_of, similarities

__all__ = ["Sigmoid"]


class Sigmoid(Objective):
    """Whether a caption describes an image, asked of each of the N x C pairs.

    `-log sigmoid(z (s / temperature + bias))`, z being 1 where the caption is the image's own and -1 where it
    is not, summed over all pairs and divided by C (Zhai et al., "Sigmoid Loss for Language Image
    Pre-Training", ICCV 2023, section 3.2 and algorithm 1, where N = C). It knows neither rows nor columns,
    so that both ways are one.

    Arguments:
        temperature: where it starts; kept as the logarithm of its inverse.
        bias: where it starts; below 0, as most pairs do not belong together.
        learned: temperature and bias are parameters.
        similarity: "dot", "order", or the name of a score in `Given.scores`.
    Raises `UsageError` for values that are out of range.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        bias: float = -10.0,
        learned: bool = True,
        similarity: str = "dot",
    ) -> None:
        super().__init__()
        check_above(0.0, strictly=True, temperature=temperature)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learned)
        self.bias = nn.Parameter(torch.tensor(float(bias)), requires_grad=learned)
        self.similarity = similarity
        self.needs = needs_of(similarity)

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
        scores = similarities(self.similarity, images, captions, given=given)
        logits = self.log_scale.exp() * scores + self.bias
        own = positives(owners, len(images))
        return F.softplus(torch.where(own, -logits, logits)).sum() / len(captions)
