"""Several image backbones as one: their regions' values side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from sterna.backbones._types import ImageBackbone, Regions
from sterna.errors import ModelError
from sterna.files import hash_json

__all__ = ["SideBySide"]


class SideBySide(ImageBackbone):
    """Backbones that look at the same square and see the same regions; `sources` holds each one's width.

    Raises `ModelError` where their sizes, grids of regions, or stem maps do not match.
    """

    def __init__(self, parts: Sequence[ImageBackbone]) -> None:
        super().__init__()
        first = parts[0]
        for part in parts[1:]:
            if (part.size, part.fit) != (first.size, first.fit) or not torch.equal(part.boxes, first.boxes):
                raise ModelError(
                    f"{part.name} sees {part.regions} regions of {part.size} pixels, "
                    f"{first.name} sees {first.regions} of {first.size}; "
                    "side by side they need the same: give one size and one number of cells"
                )
            if part.map_shape[1:] != first.map_shape[1:] or len(part.map_shape) != 3:
                raise ModelError(
                    f"{part.name} keeps a map of {list(part.map_shape)}, {first.name} "
                    f"one of {list(first.map_shape)}; side by side the maps need the same height and width"
                )
        self.parts = nn.ModuleList(parts)
        self.name = "+".join(part.name for part in parts)
        self.size, self.fit, self.regions = first.size, first.fit, first.regions
        self.sources = tuple(width for part in parts for width in part.sources)
        self.dim = sum(self.sources)
        self.register_buffer("boxes", first.boxes.clone(), persistent=False)
        self._channels = [part.map_shape[0] for part in parts]
        self.map_shape = (sum(self._channels), *first.map_shape[1:])
        self.moving = tuple(norm for part in parts for norm in part.moving)
        self.fingerprint = hash_json([part.fingerprint for part in parts])
        self.eval()

    def stem(self, pixels: Shaped[Tensor, "B S S 3"]) -> Float[Tensor, "B ..."]:
        """The parts' stem maps, one after the other on the channels: [B, sum of C, H, W]."""
        return torch.cat([part.stem(pixels) for part in self._parts()], dim=1)

    def tail(self, maps: Float[Tensor, "B ..."]) -> Regions:
        """The parts' regions, one after the other on D."""
        pieces = torch.split(maps, self._channels, dim=1)
        values = [part.tail(piece).values for part, piece in zip(self._parts(), pieces, strict=True)]
        return self.as_regions(torch.cat(values, dim=-1))

    def classifiers(self) -> list[tuple[Float[Tensor, "K _"], Float[Tensor, " K"]]]:
        """Those of all parts, or none."""
        found = [part.classifiers() for part in self._parts()]
        return [one for several in found for one in several] if all(found) else []

    def _parts(self) -> list[ImageBackbone]:
        return [part for part in self.parts if isinstance(part, ImageBackbone)]
