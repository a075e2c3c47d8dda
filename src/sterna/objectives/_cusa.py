"""Soft labels from models of one modality, across and within modalities (CUSA)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from sterna.errors import UsageError
from sterna.objectives._infonce import InfoNCE, alike, hard_targets
from sterna.objectives._objective import NOTHING, Given, Objective, asked_for, check_above, ready

__all__ = ["CUSA", "divergence"]


class CUSA(Objective):
    """InfoNCE, and Kullback-Leibler divergences from what frozen models of one modality find alike.

    Huang et al., "Cross-Modal and Uni-Modal Soft-Label Alignment for Image-Text Retrieval", AAAI 2024:
    `L + cross * L_CSA + uni * L_USA`. Q is the softmax of the frozen models' cosines among the batch's images
    (i2i) and captions (t2t), P that of the trained vectors' cosines over its temperature;
    L_CSA = (KL(Q_i2i || P_i2t) + KL(Q_t2t || P_t2i)) / 2 and
    L_USA = (KL(Q_i2i || P_i2i) + KL(Q_t2t || P_t2t)) / 2, each a mean over rows.

    For images with several captions, what Q_i2i gives an image is spread evenly over its captions, and what
    Q_t2t gives an image's captions is summed. Images without a caption in the batch have no part in L_CSA's
    first term. The paper's published code gives L_USA vectors of their own; here they are the same.

    Arguments:
        temperature, learned, max_scale: of the trained vectors' cosines, as in `InfoNCE`.
        image_temperature, text_temperature: of the frozen models' cosines.
        cross, uni: the weights of L_CSA and L_USA.
    Raises `UsageError` for values that are out of range.
    """

    needs = frozenset({"image_targets", "targets"})

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        learned: bool = True,
        max_scale: float = 100.0,
        image_temperature: float = 0.1,
        text_temperature: float = 0.1,
        cross: float = 1.0,
        uni: float = 1.0,
    ) -> None:
        super().__init__()
        check_above(
            0.0, strictly=True, image_temperature=image_temperature, text_temperature=text_temperature
        )
        check_above(0.0, cross=cross, uni=uni)
        if not cross and not uni:
            raise UsageError("cross=0, uni=0: nothing of CUSA is left; use infonce")
        self.hard = InfoNCE(temperature=temperature, learned=learned, max_scale=max_scale)
        self.image_temperature = image_temperature
        self.text_temperature = text_temperature
        self.cross = cross
        self.uni = uni

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
        what = "vectors of a frozen image model [N, D]"
        seen = asked_for(given, "image_targets", what, (len(images), -1))
        read = asked_for(given, "targets", "vectors of a frozen text model [C, D]", (len(captions), -1))
        scale = self.hard.scale()
        loss: Tensor = self.hard(images, captions, owners, given=given)
        t2t = alike(read, self.text_temperature).to(images.dtype)
        if self.cross:
            spread = hard_targets(owners, len(images)).to(images.dtype)
            rows = spread.sum(1) > 0
            i2i = alike(seen[rows], self.image_temperature).to(images.dtype)
            logits = scale * images @ captions.T
            i2t = divergence(logits[rows], i2i @ spread[rows])
            t2i = divergence(logits.T, t2t @ (spread > 0).to(images.dtype).T)
            loss = loss + self.cross * (i2t + t2i) / 2
        if self.uni:
            i2i = alike(seen, self.image_temperature).to(images.dtype)
            within = divergence(scale * images @ images.T, i2i)
            within = within + divergence(scale * captions @ captions.T, t2t)
            loss = loss + self.uni * within / 2
        return loss


def divergence(logits: Float[Tensor, "A B"], wanted: Float[Tensor, "A B"]) -> Float[Tensor, ""]:
    """The mean over rows of KL(wanted || softmax(logits))."""
    total: Tensor = F.kl_div(logits.log_softmax(1), wanted, reduction="sum")
    return total / max(len(logits), 1)
