"""A batch, and the model with its objective as one module: what a step differentiates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sterna.model import TERN, Tower, build_model
from sterna.objectives import Objective
from sterna.training._settings import ModelSettings

__all__ = ["Batch", "Learner", "new_model", "takes_means"]


class Batch(NamedTuple):
    """N images with C captions; R and T are the longest of the batch, padding is False in the masks."""

    regions: Tensor
    """[N, R, D] as stored"""
    regions_mask: Tensor
    """[N, R] bool"""
    boxes: Tensor
    """[N, R, 4] float32"""
    tokens: Tensor
    """[C, T, D] as stored"""
    tokens_mask: Tensor
    """[C, T] bool"""
    owners: Tensor
    """[C] int64, positions among the N images"""

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(*(value.to(device) for value in self))


class Learner(nn.Module):
    """The loss of a batch, in float32 whatever the features are stored in."""

    def __init__(self, model: TERN, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Batch) -> Tensor:
        """A scalar."""
        images = self.model.encode_images(batch.regions.float(), batch.regions_mask, batch.boxes)
        tokens = batch.tokens.float()
        captions = self.model.encode_texts(tokens, batch.tokens_mask)
        targets = None
        if self.objective.needs_targets:
            real = batch.tokens_mask[..., None]
            targets = (tokens * real).sum(1) / real.sum(1).clamp_min(1)
        loss: Tensor = self.objective(images, captions, batch.owners, targets=targets)
        return loss


def new_model(
    settings: ModelSettings, *, image_sources: tuple[int, ...], text_sources: tuple[int, ...]
) -> TERN:
    """The TERN that settings describe, with new weights from torch's generator."""
    values = settings.model_dump()
    sides = {
        side: {key: value for key, value in values.pop(side).items() if value is not None}
        for side in ("image", "text")
    }
    return build_model(image_sources, text_sources, **values, **sides)


def takes_means(tower: Tower) -> bool:
    """Whether a tower sees no more of its items than their mean, so that means can be kept in their place."""
    return tower.items is None and not tower.drop_items
