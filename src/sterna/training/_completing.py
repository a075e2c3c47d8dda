"""Completing the feature stores of a run: what is missing is extracted, what does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sterna.data import CaptionedImages
from sterna.errors import StoreError, UsageError
from sterna.features import ExtractProgress, FeatureStore, extract
from sterna.training._readers import TOKENS, image_columns
from sterna.training._settings import FeatureSettings, FinetuneSettings
from sterna.training._tuning import IMPORTED, kept_maps, load_image_backbone, load_text_backbone

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

    Of backbones that are trained in part, what enters that part is extracted too. Where another run trained
    the backbone and the maps are there that it was trained on, features are made of these. Of imported
    features nothing is. Raises `StoreError` where a store is not what settings say or lacks what cannot be
    extracted, and `UsageError` where backbones that are not there are to be trained.
    """
    wanted = _Wanted.of(features, finetune, splits)
    for side, name, tuned in (
        ("image", features.image, finetune.image.tuned),
        ("text", features.text, finetune.text.tuned),
    ):
        if name == IMPORTED and tuned:
            raise UsageError(
                f"finetune.{side}: of imported features there is no backbone to train; leave it out"
            )
    if finetune.text.tuned:
        load_text_backbone(features, finetune)  # what cannot be trained is refused before hours of extraction
    lacking = [
        _lacks_images(folder, features, wanted.images),
        _lacks_captions(folder, features, wanted.captions),
    ]
    if any(lacking):
        _extract(folder, features, finetune, splits, threads=threads, progress=progress)
    captions = FeatureStore.open(folder / "captions")
    sentences = [one for _, ids in wanted.captions for one in ids]
    if finetune.text.tuned and (TOKENS not in captions.columns or captions.missing(TOKENS, sentences)):
        raise StoreError(
            f"{captions.path}: lacks token ids of captions, which training the text backbone reads; extract "
            "the captions to another folder (features.path), or leave finetune.text out"
        )


class _Wanted(NamedTuple):
    """Which columns of which items there must be."""

    images: list[tuple[str, Sequence[str]]]
    captions: list[tuple[str, Sequence[str]]]

    @classmethod
    def of(
        cls,
        features: FeatureSettings,
        finetune: FinetuneSettings,
        splits: tuple[CaptionedImages, CaptionedImages],
    ) -> _Wanted:
        views = (features.views, ("original",))
        return cls(
            images=[
                (column, split.image_ids)
                for split, names in zip(splits, views, strict=True)
                for column in image_columns(names, finetune.image)
            ],
            captions=[("values", split.caption_ids) for split in splits],
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
    images = texts = None
    if features.image != IMPORTED:
        images = load_image_backbone(features, finetune, size=features.size)
    if features.text != IMPORTED:
        texts = load_text_backbone(features, FinetuneSettings())
    kept = kept_maps(features.image)
    for split, views in zip(splits, (features.views, ("original",)), strict=True):
        extract(
            split,
            folder,
            image_backbone=images,
            text_backbone=texts,
            views=views,
            dtype=features.dtype,
            batch_size=features.batch_size,
            maps=None if finetune.image.augment else finetune.image.stages or None,
            pixels=finetune.image.augment is not None,
            kept=kept,
            threads=threads,
            progress=progress,
        )


# Both say whether to extract: something is missing, or what is there may not be what was asked for. In the
# second case extraction builds the backbones, compares fingerprints, and says what differs.


def _lacks_images(
    folder: Path, features: FeatureSettings, wanted: Sequence[tuple[str, Sequence[str]]]
) -> bool:
    store = _open(folder / "images", needed=_OF_IMAGES, imported=features.image == IMPORTED)
    if features.image == IMPORTED:
        _check_imported(store, wanted, setting="features.image")
        return False
    if store is None:
        return True
    there = store.meta
    own = features.image.startswith("detector:")  # photographs keep their shape, regions are as many as found
    same = (
        (there["backbone"], there["dtype"]) == (features.image, features.dtype)
        and (own or (there["fit"], there["regions"]) == (features.fit, features.cells**2))
        and features.size in (None, there["size"])
    )
    failed = set(failed_photographs(folder))
    return not same or any(
        column not in store.columns or set(store.missing(column, ids)) - failed for column, ids in wanted
    )


def _lacks_captions(
    folder: Path, features: FeatureSettings, wanted: Sequence[tuple[str, Sequence[str]]]
) -> bool:
    store = _open(folder / "captions", needed=_OF_CAPTIONS, imported=features.text == IMPORTED)
    if features.text == IMPORTED:
        _check_imported(store, wanted, setting="features.text")
        return False
    if store is None:
        return True
    there, hidden = store.meta, None if features.hidden_layer == -1 else features.hidden_layer
    same = (there["backbone"], there["max_tokens"]) == (features.text, features.max_tokens)
    return (
        not same
        or there.get("hidden_layer") != hidden
        or any(store.missing(column, ids) for column, ids in wanted)
    )


def _open(path: Path, *, needed: Sequence[str], imported: bool) -> FeatureStore | None:
    """A store, of which it must be known what made it; `None` where it is yet to be extracted."""
    if not (path / "manifest.json").is_file() and not imported:
        return None
    store = FeatureStore.open(path)
    if unsaid := [key for key in needed if key not in store.meta]:
        raise StoreError(
            f"{store.path}: its manifest's meta does not say {', '.join(unsaid)}; "
            "train on features that `sterna extract` made, or add what they were made with"
        )
    return store


def _check_imported(
    store: FeatureStore | None, wanted: Sequence[tuple[str, Sequence[str]]], *, setting: str
) -> None:
    assert store is not None
    if store.meta["backbone"] != IMPORTED:
        raise StoreError(
            f"{store.path}: holds features that {store.meta['backbone']} made, not imported ones; "
            f"name that as {setting}"
        )
    for column, ids in wanted:
        if missing := store.missing(column, ids):
            raise StoreError(
                f"{store.path}: lacks {column!r} of {len(missing)} of the {len(ids)} items of a split, first "
                f"{missing[0]!r}; import them too (sterna features import), or leave them out of the data"
            )


def failed_photographs(folder: Path) -> dict[str, str]:
    """Photographs that an extraction could not read, by id, and why."""
    file = folder / "images" / "failed.jsonl"
    if not file.is_file():
        return {}
    failures = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {one["id"]: f"{one['path']}: {one['reason']}" for one in failures}
