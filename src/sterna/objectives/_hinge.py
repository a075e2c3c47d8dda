"""Hinge losses over triplets, with all or the hardest negatives."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from sterna.errors import UsageError, check_known
from sterna.objectives._objective import NOTHING, Given, Objective, check_batch, positives

__all__ = ["Hinge"]

NEGATIVES = ("all", "hardest")
REDUCTIONS = ("mean", "sum")
SIMILARITIES = ("dot", "order")


class Hinge(Objective):
    """How far each caption's image and each image's caption fail to lead by a margin, both ways.

    For a caption c of image i, over captions c' of other images and over other images i',
    `[margin - s(i, c) + s(i, c')]+` and `[margin - s(i, c) + s(i', c)]+`: for each of the two the sum over
    all negatives, or the greatest (Faghri et al., "VSE++", BMVC 2018, equations 5 and 6). Other captions of
    the same image are neither positives nor negatives of the pair.

    Arguments:
        margin: of the similarity.
        negatives: "hardest" or "all".
        reduction: the "sum" over pairs, as published, or their "mean".
        similarity: "dot", or "order": minus the length of [|c| - |i|]+ (Vendrov et al., ICLR 2016, equation
            3, on absolute values as VSE++ computes it), which needs memory for N x C x E numbers. Vectors are
            measured and searched by dot product, so `sterna.training.train` refuses "order".
    Raises `UsageError` for values that are not known.
    """

    def __init__(
        self,
        *,
        margin: float = 0.2,
        negatives: str = "hardest",
        reduction: str = "sum",
        similarity: str = "dot",
    ) -> None:
        super().__init__()
        for what, value, known in (
            ("negatives", negatives, NEGATIVES),
            ("reduction", reduction, REDUCTIONS),
            ("similarity", similarity, SIMILARITIES),
        ):
            check_known(what, value, known)
        if margin < 0:
            raise UsageError(f"margin={margin}: must be 0 or more")
        self.margin = margin
        self.negatives = negatives
        self.reduction = reduction
        self.similarity = similarity

    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """See `Objective.forward`; nothing given is read."""
        check_batch(images, captions, owners)
        scores = images @ captions.T if self.similarity == "dot" else order_similarity(images, captions)
        own = positives(owners, len(images))
        right = scores.gather(0, owners[None])  # [1, C]
        t2i = (
            (self.margin + scores - right).clamp_min(0).masked_fill(own, 0.0)
        )  # [N, C]: image i' for caption c
        i2t = (self.margin + scores[owners] - right.T).clamp_min(0).masked_fill(own[owners], 0.0)  # [C, C']
        hardest = self.negatives == "hardest"
        pairs = t2i.amax(0) + i2t.amax(1) if hardest else t2i.sum(0) + i2t.sum(1)
        return pairs.sum() if self.reduction == "sum" else pairs.mean()


def order_similarity(images: Float[Tensor, "N E"], captions: Float[Tensor, "C E"]) -> Float[Tensor, "N C"]:
    """Minus how far a caption's absolute values exceed an image's; 0 where they do not."""
    excess = (captions.abs()[None] - images.abs()[:, None]).clamp_min(0)
    squares = excess.square().sum(2)
    # The root has no gradient at 0, where nothing is violated and nothing has to move.
    return -torch.where(squares > 0, squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt(), 0.0)
