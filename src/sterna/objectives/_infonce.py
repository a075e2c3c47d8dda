"""Symmetric InfoNCE where all captions of an image are its positives."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError
from sterna.objectives._objective import NOTHING, Given, Objective, check_batch, positives

__all__ = ["InfoNCE"]


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
        temperature: where it starts; logits are cosines divided by it.
        learned: the temperature is a parameter (kept as the logarithm of its inverse).
        max_scale: the inverse of the temperature never exceeds this.
        label_smoothing: this share of every target is spread evenly over the whole row.
        soft_weight, soft_temperature: see above; 0 leaves soft targets out.
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
    ) -> None:
        super().__init__()
        if not (temperature > 0 and soft_temperature > 0):
            raise UsageError(
                f"temperature={temperature}, soft_temperature={soft_temperature}: must be above 0"
            )
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
        self.needs = frozenset({"targets"}) if soft_weight else frozenset()

    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """See `Objective.forward`."""
        check_batch(images, captions, owners)
        logits = self.scale() * images @ captions.T
        own = positives(owners, len(images)).to(logits.dtype)
        described = own.sum(1) > 0
        wanted_i2t = own / own.sum(1, keepdim=True).clamp_min(1)
        wanted_t2i = own.T
        if self.soft_weight:
            alike = self._alike(given.targets)
            wanted_i2t = torch.lerp(wanted_i2t, wanted_i2t @ alike, self.soft_weight)
            wanted_t2i = torch.lerp(wanted_t2i, alike @ own.T, self.soft_weight)
        i2t = F.cross_entropy(logits[described], wanted_i2t[described], label_smoothing=self.label_smoothing)
        t2i = F.cross_entropy(logits.T, wanted_t2i, label_smoothing=self.label_smoothing)
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

    def _alike(self, targets: Tensor | None) -> Tensor:
        """How alike captions are, each row a distribution over all [C, C]."""
        if targets is None:
            raise UsageError("targets: soft targets need the captions' vectors of a frozen text model [C, D]")
        unit = F.normalize(targets.detach(), dim=1)
        return (unit @ unit.T / self.soft_temperature).softmax(1)
