"""The backbones of a run: frozen, or trained in part along with the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sterna.backbones import ImageBackbone, TextBackbone, image_backbone, text_backbone
from sterna.errors import ModelError, RunError
from sterna.files import hash_bytes, hash_json
from sterna.training._settings import FeatureSettings, FinetuneSettings

__all__ = [
    "IMPORTED",
    "check_backbone",
    "load_image_backbone",
    "load_text_backbone",
    "tuned_backbones",
    "tuned_fingerprint",
]

IMPORTED = "imported"  # in the place of a backbone's name: features that somebody else made


def load_image_backbone(
    features: FeatureSettings, finetune: FinetuneSettings, *, size: int | None
) -> ImageBackbone:
    """The image backbone that settings name, what is to be trained of it with gradients.

    Raises `RunError` for imported features, which none here can make.
    """
    _refuse_imported(features.image, "photographs")
    return image_backbone(
        features.image,
        size=size,
        cells=features.cells,
        fit=features.fit,
        trainable_tail=finetune.image.stages,
        batch_norm=finetune.image.batch_norm,
        checkpointing=finetune.checkpointing,
    )


def load_text_backbone(features: FeatureSettings, finetune: FinetuneSettings) -> TextBackbone:
    """The text backbone that settings name, what is to be trained of it with gradients.

    Raises `RunError` for imported features, which none here can make.
    """
    _refuse_imported(features.text, "sentences")
    layers = finetune.text.layers
    return text_backbone(
        features.text,
        max_tokens=features.max_tokens,
        trainable_layers=None if layers == "all" else layers,
        low_rank=finetune.text.low_rank,
        hidden_layer=features.hidden_layer,
        checkpointing=finetune.checkpointing,
    )


def _refuse_imported(name: str, of: str) -> None:
    if name == IMPORTED:
        raise RunError(
            f"the run was trained on imported features, and nothing here makes such of {of}; measure it on "
            "features (sterna eval --features DIR)"
        )


def tuned_backbones(
    features: FeatureSettings, finetune: FinetuneSettings, trained_on: Mapping[str, Any]
) -> tuple[ImageBackbone | None, TextBackbone | None]:
    """Those backbones of which a part is trained, `None` for what is frozen.

    Arguments:
        trained_on: what the stores of images and captions say of themselves (`run.json`'s "features").

    Raises `ModelError` where a backbone is not what the features were made with, or cannot be trained so.
    """
    images = texts = None
    if finetune.image.tuned:
        images = load_image_backbone(features, finetune, size=trained_on["images"]["size"])
        check_backbone(images, trained_on["images"])
    if finetune.text.tuned:
        texts = load_text_backbone(features, finetune)
        check_backbone(texts, trained_on["captions"])
    return images, texts


def check_backbone(backbone: ImageBackbone | TextBackbone, trained_on: Mapping[str, Any]) -> None:
    """Raise `ModelError` where features were not made with `backbone`."""
    wanted = trained_on["fingerprint"]
    if backbone.fingerprint != wanted:
        raise ModelError(
            f"{backbone.name}: not the backbone that the run's features were made with "
            f"(fingerprint {backbone.fingerprint[:12]}, wanted {wanted[:12]}); "
            "install the version of its weights that run.json names"
        )


def tuned_fingerprint(backbone: ImageBackbone | TextBackbone) -> str:
    """The fingerprint of a backbone with its trained parts; its own where nothing of it is trained."""
    weights = {name: _hash(value) for name, value in backbone.tuned().items()}
    return hash_json({"of": backbone.fingerprint, "weights": weights}) if weights else backbone.fingerprint


def _hash(value: Tensor) -> str:
    return hash_bytes(value.detach().cpu().contiguous().numpy().tobytes())
