"""What every objective is, and what several need."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError

__all__ = [
    "NOTHING",
    "Given",
    "Objective",
    "asked_for",
    "check_above",
    "is_mapping",
    "is_number",
    "positives",
    "ready",
]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What an objective may ask for beyond the vectors of a batch (`Objective.needs`)."""

    scores: Mapping[str, Float[Tensor, "N C"]] = field(default_factory=dict)
    """similarities by their names in `sterna.scoring.SCORES`, other than the dot product"""
    targets: Float[Tensor, "C D"] | None = None
    """what a frozen text model makes of the captions, of any length but zero"""
    image_targets: Float[Tensor, "N D2"] | None = None
    """what a frozen image model makes of the images, of any length but zero"""
    teacher: Float[Tensor, "N C"] | None = None
    """the similarities of another model"""
    places: Int64[Tensor, " N"] | None = None
    """the place of each image among all that are trained on"""
    epoch: float = 0.0
    """epochs gone"""


NOTHING = Given()


class Objective(nn.Module, ABC):
    """A loss over one batch of images and their captions. It may have parameters of its own (a temperature).

    `needs` names what `forward` must be given: "targets", "image_targets", "teacher", "places", and
    "score:NAME" for an entry of `Given.scores`.
    """

    needs: frozenset[str] = frozenset()

    @abstractmethod
    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """Compute the loss, both ways; all captions of an image in the batch are its positives.

        | name | shape | dtype | |
        | --- | --- | --- | --- |
        | images | [N, E] | float | unit vectors; those of half precision are computed with in float32 |
        | captions | [C, E] | float | unit vectors |
        | owners | [C] | int64 | the row of `images` that a caption describes |
        | given | | `Given` | what `needs` names |
        | returns | [] | float | |
        """


def ready(images: Tensor, captions: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors in float32 or more; `UsageError` where the batch's shapes do not fit together."""
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
    dtype = torch.promote_types(torch.promote_types(images.dtype, captions.dtype), torch.float32)
    return images.to(dtype), captions.to(dtype)


def asked_for(given: Given, name: str, what: str, shape: tuple[int, ...]) -> Tensor:
    """The field `name` of `given`; `UsageError` saying `what` it is where it lacks or does not fit `shape`.

    Sizes that may be any are -1.
    """
    value: Tensor | None = getattr(given, name)
    if value is None:
        raise UsageError(f"{name}: {what} are needed")
    fits = value.dim() == len(shape) and all(
        wanted in (-1, came) for wanted, came in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise UsageError(f"{name}: {what} are needed; came {list(value.shape)} for a batch of {list(shape)}")
    return value


def check_above(least: float, /, *, strictly: bool = False, **values: float) -> None:
    """Raise `UsageError` naming the values below `least`, or not above it where `strictly`."""
    wrong = {name: value for name, value in values.items() if value < least or (strictly and value == least)}
    if wrong:
        named = ", ".join(f"{name}={value}" for name, value in wrong.items())
        raise UsageError(f"{named}: must be {f'above {least:g}' if strictly else f'{least:g} or more'}")


def is_number(value: object) -> bool:
    """Whether `value` is a finite number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number past the greatest float
        return False


def is_mapping(value: object) -> bool:
    """Whether `value` is a mapping from text, as parameters are."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def positives(owners: Int64[Tensor, " C"], images: int) -> Bool[Tensor, "N C"]:
    """True where a caption is an image's own."""
    return torch.arange(images, device=owners.device)[:, None] == owners
