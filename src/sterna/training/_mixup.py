"""Images blended with others of their batch (Zhang et al., "mixup", ICLR 2018), by their regions."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from sterna.errors import UsageError
from sterna.objectives import Given

__all__ = ["Blend"]


class Blend(NamedTuple):
    """Image i of N becomes `share` of itself and the rest of image `partners[i]`.

    The loss of a blended batch is linear in what its images show: `share` of the loss where image i shows
    what it did, and the rest of the loss where it shows what its partner did (equation 1 of the paper, for
    any objective).
    """

    share: Float[Tensor, ""]
    partners: Int64[Tensor, " N"]
    """a permutation"""

    @classmethod
    def draw(cls, concentration: float, values: Float[Tensor, "N R D"]) -> Blend:
        """A share from Beta(concentration, concentration), and partners, by torch's generator."""
        beta = torch.distributions.Beta(concentration, concentration)
        return cls(beta.sample().to(values), torch.randperm(len(values)).to(values.device))

    def mix(
        self, values: Float[Tensor, "N R D"], mask: Bool[Tensor, "N R"], boxes: Float[Tensor, "N R 4"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Blended values, with their mask and boxes; raises `UsageError` where images differ in these."""
        if not (bool(mask.all()) and bool((boxes == boxes[:1]).all())):
            raise UsageError(
                "mixup: the images' regions have other boxes; only those of a grid can be blended"
            )
        return torch.lerp(values[self.partners], values, self.share), mask, boxes

    def as_others(self, images: Float[Tensor, "N E"], given: Given) -> tuple[Float[Tensor, "N E"], Given]:
        """The blended images, each in the place of the partner that it shows the rest of.

        What is given of an image itself stays where it is; scores are of the blended ones and move along.
        """
        places = self.partners.argsort()
        return images[places], replace(
            given, scores={name: values[places] for name, values in given.scores.items()}
        )
