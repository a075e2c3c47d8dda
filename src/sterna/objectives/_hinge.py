"""Hinge losses over triplets, with all or the hardest negatives."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from sterna.errors import UsageError, check_known
from sterna.objectives._objective import NOTHING, Given, Objective, check_above, positives, ready
from sterna.objectives._similarity import needs_of, similarities

__all__ = ["Hinge"]

NEGATIVES = ("all", "hardest")
REDUCTIONS = ("mean", "sum")


class Hinge(Objective):
    """How far each caption's image and each image's caption fail to lead by a margin, both ways.

    For a caption c of image i, over captions c' of other images and over other images i',
    `[margin - s(i, c) + s(i, c')]+` and `[margin - s(i, c) + s(i', c)]+`: for each of the two the sum over
    all negatives, or the greatest (Faghri et al., "VSE++", BMVC 2018, equations 5 and 6). Other captions of
    the same image are neither positives nor negatives of the pair.

    Arguments:
        margin: of the similarity.
        negatives: "hardest" or "all".
        warmup: epochs with all negatives before the hardest alone count (Chen et al., "VSE-infinity", CVPR
            2021, begins with one); may be a fraction.
        reduction: the "sum" over pairs, as published, or their "mean".
        similarity: "dot", "order" (`order_similarity`), or the name of a score in `Given.scores`.
    Raises `UsageError` for values that are not known or out of range.
    """

    def __init__(
        self,
        *,
        margin: float = 0.2,
        negatives: str = "hardest",
        warmup: float = 0.0,
        reduction: str = "sum",
        similarity: str = "dot",
    ) -> None:
        super().__init__()
        check_known("negatives", negatives, NEGATIVES)
        check_known("reduction", reduction, REDUCTIONS)
        check_above(0.0, margin=margin, warmup=warmup)
        if warmup and negatives == "all":
            raise UsageError(f"warmup={warmup}: leads from all negatives to the hardest; negatives='all'")
        self.margin = margin
        self.negatives = negatives
        self.warmup = warmup
        self.reduction = reduction
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
        own = positives(owners, len(images))
        right = scores.gather(0, owners[None])  # [1, C]
        t2i = (self.margin + scores - right).clamp_min(0)  # [N, C]: image i' for caption c
        t2i = t2i.masked_fill(own, 0.0)
        i2t = (self.margin + scores[owners] - right.T).clamp_min(0)  # [C, C']: caption c' for c's image
        i2t = i2t.masked_fill(own[owners], 0.0)
        hardest = self.negatives == "hardest" and given.epoch >= self.warmup
        pairs = t2i.amax(0) + i2t.amax(1) if hardest else t2i.sum(0) + i2t.sum(1)
        return pairs.sum() if self.reduction == "sum" else pairs.mean()
