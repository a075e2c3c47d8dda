"""Completing the feature stores of a run: what is missing is extracted, what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sterna.data import CaptionedImages
from sterna.errors import StoreError
from sterna.features import ExtractProgress, FeatureStore, extract
from sterna.training._readers import TOKENS, image_columns
from sterna.training._settings import FeatureSettings, FinetuneSettings
from sterna.training._tuning import load_image_backbone, load_text_backbone

__all__ = ["complete", "failed_photographs"]

# what a manifest's meta must say
_OF_IMAGES = ("backbone", "fingerprint", "fit", "dtype", "size", "regions", "sources")
_OF_CAPTIONS = ("backbone", "fingerprint", "dtype", "max_tokens", "dim")


def complete(
    folder: Path,
    features: FeatureSettings,
    finetune: FinetuneSettings,
    splits: tuple[CaptionedImages, CaptionedImages],
    *,
    threads: int | None,
    progress: Callable[[ExtractProgress], None] | None,
) -> None:
    """Extract what is missing: every view of the training split, and the original one of the other.

    Of backbones that are trained in part, what enters that part is extracted too; where that is wanted of
    features that cannot have it, raises `StoreError`.
    """
    if _lacks(folder, features, finetune, splits):
        _extract(folder, features, finetune, splits, threads=threads, progress=progress)
    captions = FeatureStore.open(folder / "captions")
    sentences = [one for split in splits for one in split.caption_ids]
    if finetune.text.tuned and (TOKENS not in captions.columns or captions.missing(TOKENS, sentences)):
        raise StoreError(
            f"{captions.path}: lacks token ids of captions, which training the text backbone reads; extract "
            "the captions to another folder (features.path), or leave finetune.text out"
        )


def _extract(
    folder: Path,
    features: FeatureSettings,
    finetune: FinetuneSettings,
    splits: tuple[CaptionedImages, CaptionedImages],
    *,
    threads: int | None,
    progress: Callable[[ExtractProgress], None] | None,
) -> None:
    images = load_image_backbone(features, finetune, size=features.size)
    texts = load_text_backbone(features, FinetuneSettings())
    for split, views in zip(splits, (features.views, ("original",)), strict=True):
        extract(
            split,
            folder,
            image_backbone=images,
            text_backbone=texts,
            views=views,
            dtype=features.dtype,
            batch_size=features.batch_size,
            threads=threads,
            progress=progress,
            maps=finetune.image.stages or None,
        )


def _lacks(
    folder: Path,
    features: FeatureSettings,
    finetune: FinetuneSettings,
    splits: tuple[CaptionedImages, CaptionedImages],
) -> bool:
    """Whether to extract: something is missing, or what is there may not be what was asked for.

    In the second case extraction builds the backbones, compares fingerprints, and says what differs.
    """
    if not all((folder / name / "manifest.json").is_file() for name in ("images", "captions")):
        return True
    images, captions = FeatureStore.open(folder / "images"), FeatureStore.open(folder / "captions")
    for store, needed in ((images, _OF_IMAGES), (captions, _OF_CAPTIONS)):
        if unsaid := [key for key in needed if key not in store.meta]:
            raise StoreError(
                f"{store.path}: its manifest's meta does not say {', '.join(unsaid)}; "
                "train on features that `sterna extract` made, or add what they were made with"
            )
    there, read_with = images.meta, captions.meta
    own = features.image.startswith("detector:")  # photographs keep their shape, regions are as many as found
    same = (
        (there["backbone"], there["dtype"]) == (features.image, features.dtype)
        and (own or (there["fit"], there["regions"]) == (features.fit, features.cells**2))
        and features.size in (None, there["size"])
        and (read_with["backbone"], read_with["max_tokens"]) == (features.text, features.max_tokens)
        and read_with.get("hidden_layer") == (None if features.hidden_layer == -1 else features.hidden_layer)
    )
    train, validation = splits
    stages = finetune.image.stages
    wanted = [
        *((column, train.image_ids) for column in image_columns(features.views, stages)),
        *((column, validation.image_ids) for column in image_columns(("original",), stages)),
    ]
    return (
        not same
        or any(column not in images.columns for column, _ in wanted)
        or any(set(images.missing(column, ids)) - set(failed_photographs(folder)) for column, ids in wanted)
        or any(captions.missing("values", split.caption_ids) for split in splits)
    )


def failed_photographs(folder: Path) -> dict[str, str]:
    """Photographs that an extraction could not read, by id, and why."""
    file = folder / "images" / "failed.jsonl"
    if not file.is_file():
        return {}
    failures = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {one["id"]: f"{one['path']}: {one['reason']}" for one in failures}
