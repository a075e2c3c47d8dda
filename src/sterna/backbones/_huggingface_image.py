"""Vision models of `transformers` as image backbones: patches or feature maps become regions."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sterna.backbones._grid import check_cells, grid_boxes, grid_values
from sterna.backbones._huggingface import hash_weights, load_network, trying
from sterna.backbones._types import ImageBackbone, Regions, freeze
from sterna.errors import ModelError
from sterna.files import hash_json

__all__ = ["HuggingFaceImage", "load_image"]

# of ImageNet, for a model that says nothing
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIDE = 224
_CLOSE = 1e-4


def load_image(
    name: str, *, size: int | None, cells: int | None, fit: str, trainable_tail: int
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
        self.last_layers = nn.ModuleList()
        self.norm: nn.Module = nn.Identity()
        self.map_shape = (self.dim, self._side, self._side)
        if trainable_tail:
            self._split(trainable_tail, probe)
        freeze(self, [*self.last_layers], wanted=len(self.last_layers), name=name)
        self.norm.requires_grad_(bool(self.last_layers))
        self.fingerprint = hash_json(
            {
                "weights": weights,
                "size": self.size,
                "cells": self.cells,
                "fit": fit,
                "normal": [list(v) for v in normal],
            }
        )

    def stem(self, pixels: Tensor) -> Tensor:
        """[B, S, S, 3] uint8 RGB to a map [B, D, H, H], or to what enters the layers that may be trained."""
        planes = (pixels.permute(0, 3, 1, 2).to(torch.float32) - self.mean) / self.deviation
        hidden: Tensor = self.network(pixel_values=planes, **self._options).last_hidden_state
        return hidden if self.last_layers else self._as_map(hidden)

    def tail(self, maps: Tensor) -> Regions:
        """The layers that may be trained, where there are some; then regions [B, cells * cells, D]."""
        if self.last_layers:
            maps = self._as_map(self._through(maps))
        return self.as_regions(grid_values(maps, self.cells))

    def _as_map(self, hidden: Tensor) -> Tensor:
        if hidden.ndim == 4:
            return hidden
        patches = hidden[:, self._prefix :].transpose(1, 2)
        return patches.reshape(-1, self.dim, self._side, self._side)

    def _through(self, hidden: Tensor) -> Tensor:
        for layer in self.last_layers:
            masked = "attention_mask" in inspect.signature(layer.forward).parameters
            out = layer(hidden, attention_mask=None) if masked else layer(hidden)
            hidden = out[0] if isinstance(out, tuple) else out
        normed: Tensor = self.norm(hidden)
        return normed

    def _forward_options(self, *, stretched: bool) -> dict[str, bool]:
        # some models stretch their positions by themselves, some when asked, some never (and say so)
        asked = "interpolate_pos_encoding" in inspect.signature(self.network.forward).parameters
        return {"interpolate_pos_encoding": True} if stretched and asked else {}

    def _probe(self) -> Tensor:
        pixels = torch.zeros((1, 3, self.size, self.size))
        pixels[..., self.size // 2 :, :] = 1.0
        with torch.inference_mode(), trying(self.name.removeprefix("hf:")):
            hidden: Tensor = self.network(pixel_values=pixels, **self._options).last_hidden_state
        return hidden

    def _split(self, wanted: int, expected: Tensor) -> None:
        holder, attribute = _layers(self.network, self.name)
        layers = list(getattr(holder, attribute))
        if wanted > len(layers):
            raise ModelError(f"{self.name}: {wanted} trainable parts asked for; there are {len(layers)}")
        setattr(holder, attribute, nn.ModuleList(layers[: len(layers) - wanted]))
        self.last_layers = nn.ModuleList(layers[len(layers) - wanted :])
        for norm in ("layernorm", "norm"):
            last = getattr(self.network, norm, None)
            if isinstance(last, nn.Module) and expected.ndim == 3:
                self.norm = last
                setattr(self.network, norm, nn.Identity())
        hidden = self._probe()
        with torch.inference_mode():
            again = self._through(hidden)
        if again.shape != expected.shape or not torch.allclose(again, expected, atol=_CLOSE, rtol=_CLOSE):
            raise ModelError(f"{self.name}: its last layers cannot be trained apart; use trainable_tail=0")
        self.map_shape = tuple(hidden.shape[1:])


def _layers(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    for holder in (network, getattr(network, "encoder", None), getattr(network, "model", None)):
        for attribute in ("layers", "layer", "stages"):
            if isinstance(holder, nn.Module) and isinstance(getattr(holder, attribute, None), nn.ModuleList):
                return holder, attribute
    raise ModelError(f"{name}: its layers were not found, so none can be trained; use trainable_tail=0")


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
    with trying(name):
        settings: Mapping[str, Any] = ImageProcessingMixin.get_image_processor_dict(name)[0]
    if not settings.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean, deviation = settings.get("image_mean", _MEAN), settings.get("image_std", _DEVIATION)
    if len(mean) != 3 or len(deviation) != 3:
        raise ModelError(
            f"hf:{name}: its preprocessing is for {len(mean)} channels; three colours are needed"
        )
    return tuple(mean), tuple(deviation)
