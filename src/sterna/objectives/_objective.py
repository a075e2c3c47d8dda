"""What every objective is, and what several need."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError

__all__ = ["Objective", "check_batch", "is_number", "positives"]


class Objective(nn.Module, ABC):
    """A loss over one batch of images and their captions. It may have parameters of its own (a temperature).

    `needs_targets` says whether `forward` must be given `targets`.
    """

    needs_targets: bool = False

    @abstractmethod
    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        targets: Float[Tensor, "C D"] | None = None,
    ) -> Float[Tensor, ""]:
        """Compute the loss, both ways; all captions of an image in the batch are its positives.

        | name | shape | dtype | |
        | --- | --- | --- | --- |
        | images | [N, E] | float | unit vectors |
        | captions | [C, E] | float | unit vectors |
        | owners | [C] | int64 | the row of `images` that a caption describes |
        | targets | [C, D] | float | what a frozen text model makes of the captions, of any length but zero |
        | returns | [] | float | |
        """


def check_batch(images: Tensor, captions: Tensor, owners: Tensor) -> None:
    """Raise `UsageError` where the batch's shapes do not fit together."""
    if owners.shape != captions.shape[:1] or images.shape[1:] != captions.shape[1:]:
        raise UsageError(
            f"images [N, E], captions [C, E] and owners [C] are needed; came {tuple(images.shape)},"
            f" {tuple(captions.shape)} and {tuple(owners.shape)}"
        )
    if not len(owners):
        raise UsageError("captions: a batch without captions has no loss")
    if int(owners.min()) < 0 or int(owners.max()) >= len(images):
        raise UsageError(
            f"owners: from {int(owners.min())} to {int(owners.max())}; rows of {len(images)} images"
        )


def is_number(value: object) -> bool:
    """Whether `value` is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def positives(owners: Int64[Tensor, " C"], images: int) -> Bool[Tensor, "N C"]:
    """True where a caption is an image's own."""
    return torch.arange(images, device=owners.device)[:, None] == owners
