"""A batch, and the model with its objective as one module: what a step differentiates."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from sterna.model import TERN, Tower, build_model
from sterna.objectives import Given, Objective
from sterna.training._settings import ModelSettings

__all__ = ["Batch", "Learner", "new_model", "takes_means"]


class Batch(NamedTuple):
    """N images with C captions; R and T are the longest of the batch, masks are False at padding."""

    regions: Shaped[Tensor, "N R D"]
    """as stored, float16 or float32"""
    regions_mask: Bool[Tensor, "N R"]
    boxes: Float[Tensor, "N R 4"]
    tokens: Shaped[Tensor, "C T W"]
    """as stored"""
    tokens_mask: Bool[Tensor, "C T"]
    owners: Int64[Tensor, " C"]
    """positions among the N images"""
    places: Int64[Tensor, " N"]
    """positions of the images in the whole training split"""
    epoch: Float[Tensor, ""]
    """float64: epochs gone before the step"""

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(*(value.to(device) for value in self))


class Learner(nn.Module):
    """The loss of a batch, in float32 whatever the features are stored in and the model computes in."""

    def __init__(self, model: TERN, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Batch) -> Float[Tensor, ""]:
        """The loss."""
        images = self.model.encode_images(batch.regions.float(), batch.regions_mask, batch.boxes)
        captions = self.model.encode_texts(batch.tokens.float(), batch.tokens_mask)
        # similarities and their exponentials want more digits than bfloat16 has
        with torch.autocast(images.device.type, enabled=False):
            loss: Tensor = self.objective(
                images.float(), captions.float(), batch.owners, given=self._given(batch)
            )
        return loss

    def _given(self, batch: Batch) -> Given:
        needs = self.objective.needs
        return Given(
            targets=_mean(batch.tokens, batch.tokens_mask) if "targets" in needs else None,
            image_targets=_mean(batch.regions, batch.regions_mask) if "image_targets" in needs else None,
            places=batch.places,
            epoch=float(batch.epoch),
        )


def _mean(values: Shaped[Tensor, "B R D"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B D"]:
    real = mask[..., None]
    return (values.float() * real).sum(1) / real.sum(1).clamp_min(1)


def new_model(
    settings: ModelSettings, *, image_sources: tuple[int, ...], text_sources: tuple[int, ...]
) -> TERN:
    """The TERN that settings describe, with new weights from torch's generator."""
    values: dict[str, Any] = settings.model_dump()
    sides: dict[str, Any] = {
        side: {key: value for key, value in values.pop(side).items() if value is not None}
        for side in ("image", "text")
    }
    return build_model(image_sources, text_sources, **values, **sides)


def takes_means(tower: Tower) -> bool:
    """Whether a tower sees no more of its items than their mean, so that means can be kept in their place."""
    return tower.items is None and not tower.drop_items
