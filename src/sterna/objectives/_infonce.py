"""Symmetric InfoNCE where all captions of an image are its positives."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError
from sterna.objectives._objective import (
    NOTHING,
    Given,
    Objective,
    asked_for,
    check_above,
    positives,
    ready,
)
from sterna.objectives._similarity import needs_of, similarities

__all__ = ["InfoNCE", "alike", "cross_entropies", "hard_targets"]


class InfoNCE(Objective):
    """Cross entropy of each image over the captions and of each caption over the images; the mean of the two.

    van den Oord et al., arXiv:1807.03748, in both directions as in CLIP (Radford et al., ICML 2021). An
    image's target is spread evenly over its P captions (1/P each, as in Khosla et al., NeurIPS 2020, L_out);
    an image without a caption in the batch is a negative only.

    With `soft_weight`, that share of every target is taken from the captions' similarity under a frozen text
    model (in the manner of CUSA, Huang et al., AAAI 2024): the softmax of the cosines of `targets`, divided
    by `soft_temperature`, from a caption to all captions; summed over each image's captions for text to
    image, and averaged over an image's own captions for image to text.

    Arguments:
        temperature: where it starts; logits are similarities divided by it.
        learned: the temperature is a parameter (kept as the logarithm of its inverse).
        max_scale: the inverse of the temperature never exceeds this.
        label_smoothing: this share of every target is spread evenly over the whole row.
        soft_weight, soft_temperature: see above; 0 leaves soft targets out.
        similarity: "dot", "order", or the name of a score in `Given.scores`.
    Raises `UsageError` for values that are out of range.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.05,
        learned: bool = True,
        max_scale: float = 100.0,
        label_smoothing: float = 0.0,
        soft_weight: float = 0.0,
        soft_temperature: float = 0.05,
        similarity: str = "dot",
    ) -> None:
        super().__init__()
        check_above(0.0, strictly=True, temperature=temperature, soft_temperature=soft_temperature)
        if 1 / temperature > max_scale:
            raise UsageError(f"temperature={temperature}: its inverse is above max_scale={max_scale}")
        if not 0 <= label_smoothing < 1 or not 0 <= soft_weight <= 1:
            raise UsageError(
                f"label_smoothing={label_smoothing}, soft_weight={soft_weight}: must be shares of 1"
            )
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learned)
        self.max_scale = max_scale
        self.label_smoothing = label_smoothing
        self.soft_weight = soft_weight
        self.soft_temperature = soft_temperature
        self.similarity = similarity
        self.needs = needs_of(similarity) | (frozenset({"targets"}) if soft_weight else frozenset())

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
        logits = self.scale() * similarities(self.similarity, images, captions, given=given)
        wanted = hard_targets(owners, len(images)).to(logits.dtype)
        wanted_i2t, wanted_t2i = wanted, (wanted > 0).to(logits.dtype).T
        if self.soft_weight:
            what = "soft targets need the captions' vectors of a frozen text model [C, D], which"
            targets = asked_for(given, "targets", what, (len(owners), -1))
            between = alike(targets, self.soft_temperature).to(logits.dtype)
            wanted_i2t = torch.lerp(wanted_i2t, wanted_i2t @ between, self.soft_weight)
            wanted_t2i = torch.lerp(wanted_t2i, between @ wanted_t2i, self.soft_weight)
        i2t, t2i = cross_entropies(logits, wanted_i2t, wanted_t2i, smoothing=self.label_smoothing)
        return (i2t + t2i) / 2

    def scale(self) -> Float[Tensor, ""]:
        """The inverse of the temperature.

        One that a step took past the limit is put back on it here, not clamped: past the limit a clamp has no
        gradient, so that it would never come down again.
        """
        if self.training and self.log_scale.requires_grad:
            with torch.no_grad():
                self.log_scale.clamp_(max=math.log(self.max_scale))
        return self.log_scale.exp()


def hard_targets(owners: Int64[Tensor, " C"], images: int) -> Float[Tensor, "N C"]:
    """Each image's target over the captions: spread evenly over its own, all 0 where it has none."""
    own = positives(owners, images).to(torch.float64)
    return own / own.sum(1, keepdim=True).clamp_min(1)


def cross_entropies(
    logits: Float[Tensor, "N C"],
    wanted_i2t: Float[Tensor, "N C"],
    wanted_t2i: Float[Tensor, "C N"],
    *,
    smoothing: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The mean over the images whose target is not all 0, and over all captions."""
    described = wanted_i2t.sum(1) > 0
    return (
        F.cross_entropy(logits[described], wanted_i2t[described], label_smoothing=smoothing),
        F.cross_entropy(logits.T, wanted_t2i, label_smoothing=smoothing),
    )


def alike(vectors: Float[Tensor, "B D"], temperature: float) -> Float[Tensor, "B B"]:
    """How alike rows are by a frozen model: the softmax of each one's cosines to all, itself among them."""
    unit = F.normalize(vectors.detach().to(torch.promote_types(vectors.dtype, torch.float32)), dim=1)
    return (unit @ unit.T / temperature).softmax(1)
