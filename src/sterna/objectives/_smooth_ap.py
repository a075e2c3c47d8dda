"""Smooth average precision between images and captions."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from sterna.objectives._objective import NOTHING, Given, Objective, check_above, positives, ready
from sterna.objectives._similarity import needs_of, similarities

__all__ = ["SmoothAP"]


class SmoothAP(Objective):
    """One less average precision, with a sigmoid for "ranks higher"; both ways, the mean of the two.

    Brown et al., "Smooth-AP: Smoothing the Path Towards Large-Scale Image Retrieval", ECCV 2020, equation 4,
    with images as queries for captions and captions as queries for images. Images without a caption in the
    batch are no queries. Memory for N x P x C numbers, P being the most captions of an image.

    Arguments:
        temperature: similarities' differences are divided by it.
        similarity: "dot", "order", or the name of a score in `Given.scores`.
    Raises `UsageError` for values that are out of range.
    """

    def __init__(self, *, temperature: float = 0.01, similarity: str = "dot") -> None:
        super().__init__()
        check_above(0.0, strictly=True, temperature=temperature)
        self.temperature = temperature
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
        scores = similarities(self.similarity, images, captions, given=given) / self.temperature
        own = positives(owners, len(images))
        return 1 - (_precision(scores, own) + _precision(scores.T, own.T)) / 2


def _precision(scores: Float[Tensor, "A B"], own: Bool[Tensor, "A B"]) -> Float[Tensor, ""]:
    """The mean over queries with an answer of their smooth average precision."""
    query, answer = torch.where(own)
    above = (scores[query] - scores[query, answer][:, None]).sigmoid()  # [P, B]
    above = above.scatter(1, answer[:, None], 0.0)
    rank = 1 + above.sum(1)
    among = 1 + (above * own[query]).sum(1)
    counts = own.sum(1)
    return (among / rank / counts[query]).sum() / (counts > 0).sum()
