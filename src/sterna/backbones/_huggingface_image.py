"""Vision models of `transformers` as image backbones: patches or feature maps become regions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from sterna.backbones._cut import LastLayers, cut
from sterna.backbones._grid import check_cells, grid_boxes, grid_values
from sterna.backbones._huggingface import hash_weights, load_network, trying
from sterna.backbones._tuning import batch_norms
from sterna.backbones._types import ImageBackbone, Regions, freeze
from sterna.errors import ModelError
from sterna.files import hash_json

__all__ = ["HuggingFaceImage", "load_image"]

# of ImageNet, for a model that says nothing
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIDE = 224


def load_image(
    name: str,
    *,
    size: int | None,
    cells: int | None,
    fit: str,
    trainable_tail: int,
    batch_norm: str = "frozen",
    checkpointing: bool = False,
) -> HuggingFaceImage:
    """A vision model, or the image side of a dual encoder, by hub name or folder.

    Raises `ModelError` where it is not there or gives no square map of the image.
    """
    network = load_network(name)
    return HuggingFaceImage(
        f"hf:{name}",
        network,
        normal=_normalisation(name),
        size=size,
        cells=cells,
        fit=fit,
        trainable_tail=trainable_tail,
        batch_norm=batch_norm,
        checkpointing=checkpointing,
    )


class HuggingFaceImage(ImageBackbone):
    """A vision model of `transformers`: its last hidden state, without class or register tokens, as regions.

    Arguments:
        name: what builds it again.
        network: the loaded model.
        normal: (mean, deviation) of pixels in 0..1, three values each.
        size: side of the square input; `None` takes the model's own, others work where its positions stretch.
        cells: the map is averaged over `cells` x `cells` regions; `None` keeps it.
        fit: recorded for whoever makes the squares.
        trainable_tail: how many layers (of a transformer) or stages (of a convolutional one) may be trained.
        batch_norm: "frozen", or "moving": those among what is trained move in training mode.
        checkpointing: run those layers again for their gradients instead of remembering them.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        normal: tuple[tuple[float, ...], tuple[float, ...]],
        size: int | None = None,
        cells: int | None = 6,
        fit: str = "squeeze",
        trainable_tail: int = 0,
        batch_norm: str = "frozen",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        config: Any = getattr(network.config, "vision_config", network.config)
        own = _own_size(config)
        self.name, self.fit, self.size = name, fit, size or own
        weights = hash_weights(network)
        self.network: nn.Module = getattr(network, "vision_model", network)
        self.network.eval()
        self._options = self._forward_options(stretched=self.size != own)
        self.register_buffer("mean", torch.tensor(normal[0]).reshape(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor(normal[1]).reshape(1, 3, 1, 1) * 255, persistent=False)
        probe = self._probe()
        self._prefix, self._side, self.dim = _layout(probe, self.size, config, name)
        self.sources = (self.dim,)
        self.cells = check_cells(cells, self._side)
        self.regions = self.cells * self.cells
        self.register_buffer("boxes", grid_boxes(self.cells), persistent=False)
        self.last: LastLayers | None = None
        self.map_shape = (self.dim, self._side, self._side)
        if trainable_tail:
            self.last = cut(self.network, trainable_tail, run=self._probe, name=name)
            self.map_shape = tuple(self._probe().shape[1:])
            self.last.checkpointing = checkpointing
            self.moving = batch_norms([self.last]) if batch_norm == "moving" else ()
        freeze(self, [self.last] if self.last else [], wanted=int(self.last is not None), name=name)
        self.fingerprint = hash_json(
            {
                "weights": weights,
                "size": self.size,
                "cells": self.cells,
                "fit": fit,
                "normal": [list(v) for v in normal],
            }
        )

    def stem(self, pixels: Shaped[Tensor, "B S S 3"]) -> Float[Tensor, "B ..."]:
        """[B, S, S, 3] RGB of 0 to 255 to a map [B, D, H, H], or to what enters layers that are trained."""
        planes = (pixels.permute(0, 3, 1, 2).to(torch.float32) - self.mean) / self.deviation
        hidden: Tensor = self.network(pixel_values=planes, **self._options).last_hidden_state
        return self._as_map(hidden) if self.last is None else hidden

    def tail(self, maps: Float[Tensor, "B ..."]) -> Regions:
        """The layers that may be trained, where there are some; then regions [B, cells * cells, D]."""
        if self.last is not None:
            maps = self._as_map(self.last(maps))
        return self.as_regions(grid_values(maps, self.cells))

    def _as_map(self, hidden: Tensor) -> Tensor:
        if hidden.ndim == 4:
            return hidden
        patches = hidden[:, self._prefix :].transpose(1, 2)
        return patches.reshape(-1, self.dim, self._side, self._side)

    def _forward_options(self, *, stretched: bool) -> dict[str, bool]:
        # some models stretch their positions by themselves, some when asked, some never (and say so)
        asked = "interpolate_pos_encoding" in inspect.signature(self.network.forward).parameters
        return {"interpolate_pos_encoding": True} if stretched and asked else {}

    def _probe(self) -> Tensor:
        pixels = torch.zeros((1, 3, self.size, self.size))
        pixels[..., self.size // 2 :, :] = 1.0
        with torch.inference_mode(), trying(self.name, f"run on {self.size} pixels"):
            hidden: Tensor = self.network(pixel_values=pixels, **self._options).last_hidden_state
        return hidden


def _own_size(config: object) -> int:
    size: int | list[int] = getattr(config, "image_size", None) or _SIDE
    return size if isinstance(size, int) else max(size)


def _layout(hidden: Tensor, size: int, config: object, name: str) -> tuple[int, int, int]:
    """How many tokens stand before the patches, how many patches a side, and how wide they are."""
    if hidden.ndim == 4 and hidden.shape[-1] == hidden.shape[-2]:
        return 0, int(hidden.shape[-1]), int(hidden.shape[1])
    if hidden.ndim == 3:
        tokens, dim = int(hidden.shape[1]), int(hidden.shape[2])
        patch = getattr(config, "patch_size", None)
        side = size // patch if isinstance(patch, int) else math.isqrt(tokens)
        if side * side > tokens:  # later stages merged patches
            side = math.isqrt(tokens)
        if side >= 1 and tokens - side * side <= 16:
            return tokens - side * side, side, dim
    raise ModelError(f"{name}: gives {list(hidden.shape)} for one image, which is no square map of it")


def _normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from transformers.image_processing_base import ImageProcessingMixin

    local = Path(name)
    if local.is_dir() and not any(
        (local / file).is_file() for file in ("preprocessor_config.json", "processor_config.json")
    ):
        return _MEAN, _DEVIATION
    with trying(f"hf:{name}"):
        settings: Mapping[str, Any] = ImageProcessingMixin.get_image_processor_dict(name)[0]
    if not settings.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean, deviation = settings.get("image_mean", _MEAN), settings.get("image_std", _DEVIATION)
    if len(mean) != 3 or len(deviation) != 3:
        raise ModelError(
            f"hf:{name}: its preprocessing is for {len(mean)} channels; three colours are needed"
        )
    return tuple(mean), tuple(deviation)
