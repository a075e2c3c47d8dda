"""The backbones of a run: frozen, trained in part along with the model, or as another run trained them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from sterna.backbones import Classes, ImageBackbone, TextBackbone, classes_of, image_backbone, text_backbone
from sterna.errors import ModelError, RunError, UsageError
from sterna.features import FeatureStore, KeptMaps
from sterna.files import hash_bytes, hash_json, read_json
from sterna.settings import load_settings
from sterna.training._checkpoint import best_checkpoint, load_weights
from sterna.training._settings import FeatureSettings, FinetuneSettings, TrainSettings

__all__ = [
    "IMPORTED",
    "OF_RUN",
    "backbone_of_run",
    "check_backbone",
    "freeze_tuned",
    "kept_maps",
    "load_image_backbone",
    "load_text_backbone",
    "published",
    "published_classes",
    "tuned_backbones",
    "tuned_fingerprint",
]

IMPORTED = "imported"  # in the place of a backbone's name: features that somebody else made
OF_RUN = "run:"  # and a run's folder, in the place of a name: the backbone as that run trained it


def load_image_backbone(
    features: FeatureSettings, finetune: FinetuneSettings, *, size: int | None
) -> ImageBackbone:
    """The image backbone that settings name, what is to be trained of it with gradients.

    Raises `RunError` for imported features, which none here can make, and as `backbone_of_run`; `UsageError`
    where another run's backbone is to be trained further, or sees other squares than settings name.
    """
    _refuse_imported(features.image, "photographs")
    if features.image.startswith(OF_RUN):
        _refuse_more_training(features.image, tuned=finetune.image.tuned)
        trained = backbone_of_run(features.image, "image")
        assert isinstance(trained, ImageBackbone)
        _check_look(trained, features, size=size)
        return trained
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

    Raises as `load_image_backbone`.
    """
    _refuse_imported(features.text, "sentences")
    if features.text.startswith(OF_RUN):
        _refuse_more_training(features.text, tuned=finetune.text.tuned)
        reading = backbone_of_run(features.text, "text")
        assert isinstance(reading, TextBackbone)
        if reading.max_tokens != features.max_tokens:
            raise UsageError(
                f"features.max_tokens={features.max_tokens}: {features.text} reads {reading.max_tokens}; "
                "name as many"
            )
        return reading
    layers = finetune.text.layers
    return text_backbone(
        features.text,
        max_tokens=features.max_tokens,
        trainable_layers=None if layers == "all" else layers,
        low_rank=finetune.text.low_rank,
        hidden_layer=features.hidden_layer,
        checkpointing=finetune.checkpointing,
    )


def backbone_of_run(name: str, side: Literal["image", "text"]) -> ImageBackbone | TextBackbone:
    """A backbone as a run trained it, frozen; `name` is "run:" and the run's folder.

    Raises `ModelError` where that is no run with a best checkpoint, and as loading a run does.
    """
    run = Path(name.removeprefix(OF_RUN)).expanduser()
    checkpoint = best_checkpoint(run)
    if checkpoint is None:
        raise ModelError(f"{name}: not a training run with a best checkpoint")
    settings = load_settings(TrainSettings, run / "settings.yaml")
    trained_on = read_json(run / "run.json", error=RunError)["features"]
    kind = {"image": "images", "text": "captions"}[side]
    backbone: ImageBackbone | TextBackbone
    if side == "image":
        size = trained_on[kind]["size"]
        backbone = load_image_backbone(settings.features, settings.finetune, size=size)
    else:
        backbone = load_text_backbone(settings.features, settings.finetune)
    check_backbone(backbone, trained_on[kind])
    load_weights(
        checkpoint,
        None,
        backbones={f"{side}_backbone": backbone},
        stands_on={kind: backbone.fingerprint},
    )
    freeze_tuned(backbone)
    backbone.name = f"{OF_RUN}{run.absolute()}"
    return backbone


def kept_maps(name: str) -> KeptMaps | None:
    """The maps that the run of a backbone "run:FOLDER" was trained on; `None` where there are none.

    What comes of them differs from what comes of photographs by the rounding of float16.
    """
    if not name.startswith(OF_RUN):
        return None
    run = Path(name.removeprefix(OF_RUN)).expanduser()
    settings = load_settings(TrainSettings, run / "settings.yaml")
    folder, stages = settings.features.path or run / "features", settings.finetune.image.stages
    if not stages or settings.finetune.image.augment or not (folder / "images" / "manifest.json").is_file():
        return None
    made_with = FeatureStore.open(folder / "images").meta.get("fingerprint")
    trained_on = read_json(run / "run.json", error=RunError)["features"]["images"]["fingerprint"]
    return KeptMaps(folder, stages) if made_with == trained_on else None


def freeze_tuned(backbone: ImageBackbone | TextBackbone) -> None:
    """Let a backbone bear the fingerprint of what was trained of it, and train no more."""
    backbone.fingerprint = tuned_fingerprint(backbone)
    backbone.requires_grad_(False).eval()


def published(
    settings: TrainSettings, side: Literal["image", "text"]
) -> tuple[str, Mapping[str, Any] | None]:
    """The published name of a run's backbone, and how it was trained, by this run or the one it is of."""
    name, tuning = getattr(settings.features, side), getattr(settings.finetune, side)
    if name.startswith(OF_RUN):
        file = Path(name.removeprefix(OF_RUN)).expanduser() / "settings.yaml"
        return published(load_settings(TrainSettings, file), side)
    return name, tuning.model_dump(mode="json") if tuning.tuned else None


def _refuse_more_training(name: str, *, tuned: bool) -> None:
    if tuned:
        raise UsageError(f"{name}: what a run has trained is not trained further; leave finetune out")


def _check_look(backbone: ImageBackbone, features: FeatureSettings, *, size: int | None) -> None:
    came = (backbone.size, backbone.fit, backbone.regions)
    wanted = (size or backbone.size, features.fit, features.cells**2)
    if came != wanted:
        raise UsageError(
            f"{features.image}: sees {came[2]} regions of {came[0]} pixels ({came[1]}), and settings name "
            f"{wanted[2]} of {wanted[0]} ({wanted[1]}); name the same size, cells and fit"
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


def published_classes(features: FeatureSettings, trained_on: Mapping[str, Any]) -> Classes:
    """The classes of the image backbone that settings name, by the names that the text backbone reads.

    Raises as `load_image_backbone`, and `UsageError` where the image backbone comes without classes.
    """
    images = load_image_backbone(features, FinetuneSettings(), size=trained_on["images"]["size"])
    texts = load_text_backbone(features, FinetuneSettings())
    check_backbone(images, trained_on["images"])
    check_backbone(texts, trained_on["captions"])
    return classes_of(images, texts)


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
