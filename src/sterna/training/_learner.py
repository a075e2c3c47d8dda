"""A batch, and the model with its objective as one module: what a step differentiates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from sterna.backbones import ImageBackbone, TextBackbone
from sterna.model import TERN, Tower, build_model
from sterna.objectives import Given, Objective
from sterna.training._augment import Augment
from sterna.training._mixup import Blend
from sterna.training._scores import compute_scores, encode_images, encode_texts, score_names
from sterna.training._settings import ModelSettings

if TYPE_CHECKING:
    from sterna.training._teachers import Teachers

__all__ = ["Batch", "Learner", "kept_tensors", "new_model", "takes_means"]

_LIKE = 64  # captions of like length that a trained text backbone reads together on the CPU
_MANY = 1024  # elsewhere, where more at once are faster


class Batch(NamedTuple):
    """N images with C captions; R and T are the longest of the batch, masks are False at padding.

    R or T is 0 where nothing looks at what the frozen backbones made.
    """

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
    maps: Shaped[Tensor, "N P Q"] | None = None
    """as stored, the last axes as one: what enters those stages of the image backbone that are trained, or
    uint8 photographs"""
    ids: Int64[Tensor, "C L"] | None = None
    """token ids, where the text backbone is trained"""
    ids_mask: Bool[Tensor, "C L"] | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(*(None if value is None else value.to(device) for value in self))  # type: ignore[arg-type]


class Learner(nn.Module):
    """The loss of a batch, in float32 whatever the features are stored in and the model computes in.

    Arguments:
        model: takes what the backbones make.
        objective: takes what the model makes.
        image_backbone, text_backbone: those of which a part is trained; `None` for what is frozen, whose
            features are read.
        stands_on: fingerprints of the backbones as they are published.
        teachers: give other models' similarities of a batch, where the objective learns from them.
        augment: in training mode photographs are changed so; where it is given, `maps` of a batch are their
            pixels.
        mixup: in training mode images are blended by shares from Beta(mixup, mixup); 0 leaves them alone.
    """

    def __init__(
        self,
        model: TERN,
        objective: Objective,
        *,
        image_backbone: ImageBackbone | None = None,
        text_backbone: TextBackbone | None = None,
        stands_on: Mapping[str, str] | None = None,
        teachers: Teachers | None = None,
        augment: Augment | None = None,
        mixup: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.image_backbone = image_backbone
        self.text_backbone = text_backbone
        self.stands_on = dict(stands_on or {})
        self.teachers = teachers
        self.augment = augment
        self.mixup = mixup
        self.frozen = frozenset(
            name
            for part, backbone in (("image_backbone", image_backbone), ("text_backbone", text_backbone))
            if backbone is not None
            for name in _frozen(backbone, part)
        )
        """names of parameters and buffers that training never changes"""

    def forward(self, batch: Batch) -> Float[Tensor, ""]:
        """The loss. Raises `UsageError` where images are to be blended whose regions have other boxes."""
        names = score_names(self.objective)
        seen = self.see(batch.regions, batch.regions_mask, batch.boxes, maps=batch.maps)
        read = self.read(batch.tokens, batch.tokens_mask, ids=batch.ids, ids_mask=batch.ids_mask)
        blend = Blend.draw(self.mixup, seen[0]) if self.mixup and self.training else None
        images = encode_images(self.model, *(seen if blend is None else blend.mix(*seen)), names=names)
        captions = encode_texts(self.model, *read, names=names)
        # similarities and their exponentials want more digits than bfloat16 has
        with torch.autocast(images.vectors.device.type, enabled=False):
            given = self._given(batch, compute_scores(names, images, captions))
            vectors, others = images.vectors.float(), captions.vectors.float()
            loss: Tensor = self.objective(vectors, others, batch.owners, given=given)
            if blend is not None:
                vectors, given = blend.as_others(vectors, given)
                second = self.objective(vectors, others, batch.owners, given=given)
                loss = torch.lerp(second, loss, blend.share)
        return loss

    def see(
        self,
        regions: Shaped[Tensor, "N R D"],
        mask: Bool[Tensor, "N R"],
        boxes: Float[Tensor, "N R 4"],
        *,
        maps: Shaped[Tensor, "N P Q"] | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values, mask and boxes for the model's image tower: as stored, or by the trained backbone."""
        if self.image_backbone is None or maps is None:
            return regions.float(), mask, boxes
        if self.augment is None:
            seen = self.image_backbone.tail(maps.float().reshape(len(maps), *self.image_backbone.map_shape))
        else:
            squares = maps.reshape(len(maps), maps.shape[1], maps.shape[1], 3)
            seen = self.image_backbone(self.augment(squares) if self.training else squares)
        return seen.values.float(), seen.mask, seen.boxes

    def read(
        self,
        tokens: Shaped[Tensor, "C T W"],
        mask: Bool[Tensor, "C T"],
        *,
        ids: Int64[Tensor, "C L"] | None,
        ids_mask: Bool[Tensor, "C L"] | None,
    ) -> tuple[Tensor, Tensor]:
        """Values and mask for the model's text tower: as stored, or by the trained backbone."""
        if self.text_backbone is None or ids is None or ids_mask is None:
            return tokens.float(), mask
        return _by_length(self.text_backbone, ids, ids_mask), ids_mask

    def _given(self, batch: Batch, scores: Mapping[str, Tensor]) -> Given:
        needs = self.objective.needs
        return Given(
            scores=scores,
            targets=_mean(batch.tokens, batch.tokens_mask) if "targets" in needs else None,
            image_targets=_mean(batch.regions, batch.regions_mask) if "image_targets" in needs else None,
            teacher=self.teachers.similarities(batch) if self.teachers and "teacher" in needs else None,
            places=batch.places,
            epoch=float(batch.epoch),
        )


def _by_length(
    backbone: TextBackbone, ids: Int64[Tensor, "C L"], mask: Bool[Tensor, "C L"]
) -> Float[Tensor, "C L D"]:
    """What a backbone makes of captions, those of like length together, so that little is padded."""
    lengths = mask.sum(1)
    order = lengths.argsort(stable=True)
    together = _LIKE if ids.device.type == "cpu" else _MANY
    pieces = []
    for start in range(0, len(order), together):
        chosen = order[start : start + together]
        longest = int(lengths[chosen[-1]])
        values = backbone(ids[chosen, :longest], mask[chosen, :longest]).values.float()
        pieces.append(nn.functional.pad(values, (0, 0, 0, ids.shape[1] - longest)))
    return torch.cat(pieces)[order.argsort()]


def _frozen(backbone: nn.Module, part: str) -> list[str]:
    assert isinstance(backbone, ImageBackbone | TextBackbone)
    tuned = backbone.tuned()
    return [f"{part}.{name}" for name in _tensors(backbone) if name not in tuned]


def kept_tensors(module: nn.Module, *, buffers: bool = True) -> dict[str, Tensor]:
    """Parameters and buffers by name, without those of a learner that training never changes."""
    frozen = module.frozen if isinstance(module, Learner) else frozenset()
    return {name: value for name, value in _tensors(module, buffers=buffers).items() if name not in frozen}


def _tensors(module: nn.Module, *, buffers: bool = True) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = dict(module.named_parameters())
    return {**tensors, **dict(module.named_buffers())} if buffers else tensors


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
    return tower.items is None and not tower.drop_items and not (tower.skip and tower.skip.statistics)
