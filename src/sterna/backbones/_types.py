"""What every backbone is: a frozen stem, a tail that may be trained, and a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from sterna.errors import ModelError
from sterna.images import to_square

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image
    from tokenizers import Tokenizer

__all__ = ["ImageBackbone", "Regions", "TextBackbone", "Tokens", "check_wanted", "freeze"]


class Regions(NamedTuple):
    """What an image backbone sees in a batch of images."""

    values: Float[Tensor, "B R D"]
    """float32"""
    boxes: Float[Tensor, "B R 4"]
    """float32: x1 y1 x2 y2, 0..1 of the square image"""
    mask: Bool[Tensor, "B R"]
    """True where there is a region"""


class Tokens(NamedTuple):
    """What a text backbone reads in a batch of sentences."""

    values: Float[Tensor, "B T D"]
    """float32"""
    mask: Bool[Tensor, "B T"]
    """True where there is a token"""


class _AlwaysEvaluating(nn.Module):
    # A frozen network's batch statistics and dropout must not move while the rest trains, and
    # torch.onnx.export puts back the mode that it found: so there is one mode alone.
    def train(self, mode: bool = True) -> _AlwaysEvaluating:
        """Stay in evaluation mode, whatever `mode` says."""
        super().train(False)
        return self

    def tuned(self) -> dict[str, Tensor]:
        """What training changes, by name: parameters that may be trained, and statistics that move.

        Views of the backbone's own tensors; `load_state_dict(..., strict=False)` takes them back.
        """
        moved = {id(buffer) for norm in getattr(self, "moving", ()) for buffer in norm.buffers()}
        trained = {name: one.detach() for name, one in self.named_parameters() if one.requires_grad}
        return {**trained, **{name: one for name, one in self.named_buffers() if id(one) in moved}}


class ImageBackbone(_AlwaysEvaluating):
    """Pixels to regions; always in evaluation mode, but for the batch norms in `moving`.

    `forward(pixels)` is `tail(stem(pixels))`. `stem` is frozen, so its maps can be kept; those parameters of
    the tail that may be trained have `requires_grad`.
    """

    name: str
    """what builds it again: "efficientnet-lite0", "hf:folder" """
    dim: int
    """D, width of a region"""
    size: int
    """side in pixels of the square it takes, or the shorter side of a photograph that keeps its shape"""
    fit: str
    """how a photograph becomes that square: "squeeze", "crop", "letterbox"; "own" where it keeps its shape"""
    regions: int
    """R, the same for every image; of a detector the most there can be"""
    sources: tuple[int, ...]
    """widths of the networks side by side; their sum is `dim`"""
    fingerprint: str
    """hash of the published weights and of all preprocessing"""
    boxes: Float[Tensor, "R 4"]
    """float32, x1 y1 x2 y2 in 0..1, the same for every image; a detector has none"""
    map_shape: tuple[int, ...]
    """[C, H, W] of one image's map between stem and tail"""
    moving: tuple[nn.Module, ...] = ()
    """batch norms of the tail that take and move statistics in training mode; the others never do"""

    def train(self, mode: bool = True) -> ImageBackbone:
        """Stay in evaluation mode, but for the batch norms in `moving`."""
        super().train(False)
        for norm in self.moving:
            norm.train(mode)
        return self

    described: Mapping[str, Any] = {}
    """what else features made with it should say of themselves"""

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """A photograph, upright and RGB, to what `look` takes: a square [S, S, 3] uint8."""
        return to_square(image, self.size, self.fit)

    def look(self, prepared: Sequence[NDArray[Any]]) -> Regions:
        """Photographs that `prepare` made, one or more, to regions."""
        regions: Regions = self(torch.from_numpy(np.stack(prepared)))
        return regions

    def stem(self, pixels: Shaped[Tensor, "B S S 3"]) -> Float[Tensor, "B ..."]:
        """[B, S, S, 3] RGB, uint8 or float of 0 to 255, to maps [B, C, H, W] float32, frozen."""
        raise NotImplementedError

    def tail(self, maps: Float[Tensor, "B ..."]) -> Regions:
        """Maps [B, C, H, W] to regions."""
        raise NotImplementedError

    def classifiers(self) -> list[tuple[Float[Tensor, "K _"], Float[Tensor, " K"]]]:
        """For each network side by side, weights and biases of its last layer over ImageNet's 1,000 classes.

        They take the mean of its regions. Empty where any network comes without.
        """
        return []

    def forward(self, pixels: Shaped[Tensor, "B S S 3"]) -> Regions:
        """[B, S, S, 3] RGB, uint8 or float of 0 to 255, to regions."""
        return self.tail(self.stem(pixels))

    def as_regions(self, values: Float[Tensor, "B R D"]) -> Regions:
        """Put the boxes and the mask, which are the same for every image, beside `values` [B, R, D]."""
        boxes = self.boxes.expand(values.shape[0], -1, -1)
        return Regions(values, boxes, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))


class TextBackbone(_AlwaysEvaluating):
    """Token ids to token vectors; always in evaluation mode.

    `forward(ids, mask)` is `tail(stem(ids, mask), mask)`. Parameters that may be trained have
    `requires_grad`; `stem` is frozen unless the whole backbone is trained.
    """

    name: str
    """what builds it again: "minilm", "hf:folder" """
    dim: int
    """D, width of a token"""
    max_tokens: int
    """longer sentences are cut, special tokens included"""
    fingerprint: str
    """hash of the published weights, the tokenizer, `max_tokens`, and of `hidden_layer` where it is set"""
    hidden_layer: int | None = None
    """whose output the tokens are: 0 the embeddings', K the K-th layer's, `None` the last one's"""
    tokenizer: Tokenizer
    """a fast tokenizer that cuts at `max_tokens` and pads a batch to its longest"""

    def tokenize(self, sentences: Sequence[str]) -> tuple[Int64[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Sentences to ids [B, T] int64 and mask [B, T] bool, T the longest of the batch."""
        encodings = self.tokenizer.encode_batch(list(sentences))
        ids = torch.tensor([encoding.ids for encoding in encodings], dtype=torch.int64)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], dtype=torch.bool)
        return ids, mask

    def stem(self, ids: Int64[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Ids [B, T] int64 and mask [B, T] to hidden vectors [B, T, D]."""
        raise NotImplementedError

    def tail(self, hidden: Float[Tensor, "B T D"], mask: Shaped[Tensor, "B T"]) -> Tokens:
        """Hidden vectors [B, T, D] and mask [B, T] to tokens; masked positions hold zeros."""
        raise NotImplementedError

    def forward(self, ids: Int64[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Tokens:
        """Ids [B, T] int64 and mask [B, T] bool or int64 to tokens."""
        return self.tail(self.stem(ids, mask), mask)


def check_wanted(wanted: int, parts: int, name: str) -> None:
    """Raise `ModelError` where of `parts` as many as `wanted` cannot be trained."""
    if not 0 <= wanted <= parts:
        raise ModelError(f"{name}: {wanted} trainable parts asked for; 0 to {parts} can be trained")


def freeze(backbone: nn.Module, trainable: Sequence[nn.Module], *, wanted: int, name: str) -> None:
    """Leave gradients on in the last `wanted` of `trainable`; raise `ModelError` where there are fewer."""
    check_wanted(wanted, len(trainable), name)
    backbone.requires_grad_(False)
    for module in trainable[len(trainable) - wanted :]:
        module.requires_grad_(True)
    backbone.eval()
