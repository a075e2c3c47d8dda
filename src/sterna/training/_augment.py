"""Photographs changed anew in every step: cropped, mirrored, in other colours, where the model computes."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

__all__ = ["Augment"]

_ASPECT = 4 / 3
_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in brightness (ITU-R BT.601)


class Augment(NamedTuple):
    """How photographs are changed; see `AugmentSettings`."""

    crop: float
    flip: bool
    colour: float

    def __call__(self, pixels: UInt8[Tensor, "B S S 3"]) -> Float[Tensor, "B S S 3"]:
        """Squares to float32 squares of 0..255, each changed in its own way, by torch's CPU generator."""
        with torch.autocast(pixels.device.type, enabled=False):  # half precision would shift them by pixels
            planes = pixels.permute(0, 3, 1, 2).float()
            if self.crop < 1 or self.flip:
                places = _places(len(planes), least=self.crop, flip=self.flip).to(planes)
                grid = F.affine_grid(places, list(planes.shape), align_corners=False)
                planes = F.grid_sample(planes, grid, padding_mode="border", align_corners=False)
            if self.colour:
                planes = _in_other_colours(planes, self.colour)
            return planes.permute(0, 2, 3, 1)


def _places(count: int, *, least: float, flip: bool) -> Float[Tensor, "B 2 3"]:
    """Where in the square, of -1 to 1, each new square lies: as matrices of `affine_grid`."""
    area = torch.empty(count).uniform_(least, 1)
    # a side is at most 1, whatever the shape
    bound = torch.minimum(torch.tensor(math.log(_ASPECT) / 2), -area.log() / 2)
    stretch = (bound * torch.empty(count).uniform_(-1, 1)).exp()
    width, height = area.sqrt() * stretch, area.sqrt() / stretch
    right, down = (torch.empty(count).uniform_(-1, 1) * (1 - side) for side in (width, height))
    mirrored = torch.rand(count) < (0.5 if flip else 0)
    places = torch.zeros(count, 2, 3)
    places[:, 0, 0], places[:, 0, 2] = torch.where(mirrored, -width, width), right
    places[:, 1, 1], places[:, 1, 2] = height, down
    return places


def _in_other_colours(planes: Float[Tensor, "B 3 S S"], strength: float) -> Float[Tensor, "B 3 S S"]:
    brightness, contrast, saturation = (
        1 + strength * torch.empty(3, len(planes), 1, 1, 1).uniform_(-1, 1)
    ).to(planes)
    planes = (planes * brightness).clamp(0, 255)
    planes = torch.lerp(_grey(planes).mean((2, 3), keepdim=True), planes, contrast).clamp(0, 255)
    return torch.lerp(_grey(planes), planes, saturation).clamp(0, 255)


def _grey(planes: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 1 S S"]:
    weights = planes.new_tensor(_LUMA).reshape(3, 1, 1)
    return (planes * weights).sum(1, keepdim=True)
