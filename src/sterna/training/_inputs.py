"""From settings to what a run reads: the splits of the data, as places in feature stores."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sterna.data import CaptionedImages, read
from sterna.errors import DataError, RunError, UsageError
from sterna.features import ExtractProgress, FeatureStore
from sterna.files import hash_json
from sterna.training._completing import complete, failed_photographs
from sterna.training._panels import Shown
from sterna.training._readers import image_columns
from sterna.training._settings import DataSettings, FeatureSettings, FinetuneSettings
from sterna.training._split import Split
from sterna.training._tuning import IMPORTED

__all__ = ["Inputs", "check_data", "find_inputs", "training_split"]

_SAMPLES = 8  # validation images and captions that an export is checked with
_LEFT_OUT = 50  # sentences of what was left out that are written down


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a run reads.

    Fields:
        folder: holds the stores `images` and `captions`.
        train_ids, validation_ids: of their images in the store; caption_ids: of both splits' captions.
        shown: the validation split as people see it.
        left_out: rows of the data and photographs that could not be read, one sentence each.
        facts: what to write down about data and features; "inputs" is the hash of all that decides a batch.
    """

    folder: Path
    train: Split
    validation: Split
    train_ids: tuple[str, ...]
    validation_ids: tuple[str, ...]
    caption_ids: tuple[str, ...]
    image_sources: tuple[int, ...]
    text_sources: tuple[int, ...]
    shown: Shown
    left_out: tuple[str, ...]
    facts: Mapping[str, Any]

    @property
    def stands_on(self) -> dict[str, str]:
        """Fingerprints of the backbones that made the features, by the kind of store."""
        return {kind: meta["fingerprint"] for kind, meta in self.facts["features"].items()}

    def caption_lengths(self) -> tuple[int, ...]:
        """How many tokens the longest caption of each training image has."""
        captions = FeatureStore.open(self.folder / "captions")
        lengths = captions.lengths("values", self.train.caption_rows)
        return tuple(np.maximum.reduceat(lengths, self.train.starts[:-1]).tolist())


class _Placed(NamedTuple):
    """A split, and the ids of its images and captions in the stores."""

    split: Split
    shown: Shown
    image_ids: tuple[str, ...]
    caption_ids: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many images and captions it has."""
        return {"images": len(self.image_ids), "captions": len(self.caption_ids)}


def find_inputs(
    data: DataSettings,
    features: FeatureSettings,
    *,
    finetune: FinetuneSettings,
    folder: Path,
    threads: int | None,
    progress: Callable[[ExtractProgress], None] | None,
) -> Inputs:
    """Read the data, extract what `folder` lacks of it, and find both splits there.

    Of backbones that are trained in part, what enters that part is extracted too.

    Raises `DataError` where the data or a split cannot be read, `StoreError` where the folder holds the
    features of other backbones or does not say of which, `RunError` where no data is named or a split has no
    captioned image, `UsageError` where both splits are one.
    """
    whole = _read(data, photographs=features.image != IMPORTED)
    train, validation, names = _splits(whole, data)
    complete(folder, features, finetune, (train, validation), threads=threads, progress=progress)
    images, captions = FeatureStore.open(folder / "images"), FeatureStore.open(folder / "captions")
    seen, looked_at = (image_columns(views, finetune.image) for views in (features.views, ("original",)))
    placed = (
        _place(train, images, captions, columns=seen, name=names[0], captioned=True),
        _place(validation, images, captions, columns=looked_at, name=names[1], captioned=False),
    )
    left_out = (*whole.problems, *_unreadable(folder, (*train.image_ids, *validation.image_ids)))
    return Inputs(
        folder=folder,
        train=placed[0].split,
        validation=placed[1].split,
        train_ids=placed[0].image_ids,
        validation_ids=placed[1].image_ids,
        caption_ids=(*placed[0].caption_ids, *placed[1].caption_ids),
        image_sources=tuple(images.meta["sources"]),
        text_sources=(captions.meta["dim"],),
        shown=placed[1].shown,
        left_out=left_out,
        facts={
            "data": {
                "name": whole.name,
                "format": whole.format,
                "terms": data.terms,
                "splits": dict(zip(names, (one.counts() for one in placed), strict=True)),
                "validation": names[1],
            },
            "left_out": {"count": len(left_out), "first": list(left_out[:_LEFT_OUT])},
            **_facts(validation, placed, images, captions, views=features.views),
        },
    )


def training_split(data: DataSettings) -> CaptionedImages:
    """The captioned images that a run with these settings is trained on; raises as `find_inputs`."""
    return _splits(_read(data, photographs=True), data)[0]


def check_data(data: DataSettings) -> Path:
    """Where the data is; raises `RunError` where none is named, `DataError` where it is not there."""
    if data.path is None:
        raise RunError("data.path: no data is named; give the folder or file of captioned images")
    for place in (data.path, data.images):
        if place is not None and not place.expanduser().exists():
            raise DataError(f"{place}: no such file or folder")
    return data.path


def _read(data: DataSettings, *, photographs: bool) -> CaptionedImages:
    path = check_data(data)
    return read(
        path,
        format=data.format,
        restval=data.restval,
        images=data.images,
        columns=data.columns,
        photographs=photographs,
    )


def _splits(
    whole: CaptionedImages, data: DataSettings
) -> tuple[CaptionedImages, CaptionedImages, tuple[str, str]]:
    if not whole.split_names:
        return _hold_out(whole, data.holdout)
    validation = data.validation
    if validation is None:
        validation = next((name for name in ("val", "dev", "validation") if name in whole.split_names), None)
    if validation is None:
        raise DataError(
            f"{data.path}: no split to validate on; "
            f"name one of {', '.join(whole.split_names)} as data.validation"
        )
    if validation == data.train:
        raise UsageError(
            f"data.validation={validation!r}: is what the model is trained on; name another of the splits "
            f"{', '.join(whole.split_names)}"
        )
    return whole.split(data.train), whole.split(validation), (data.train, validation)


def _hold_out(
    whole: CaptionedImages, share: float
) -> tuple[CaptionedImages, CaptionedImages, tuple[str, str]]:
    """Split data that has no splits by a hash of the images' ids: new images never move the old ones."""
    limit = share * 2**64
    named_bytes = (name.encode(errors="surrogateescape") for name in whole.image_ids)  # may be no UTF-8
    kept = [int.from_bytes(hashlib.sha256(name).digest()[:8], "big") < limit for name in named_bytes]
    names = ("train", "held-out")
    named = dataclasses.replace(whole, splits=tuple(names[one] for one in kept))
    return named.split(names[0]), named.split(names[1]), names


def _unreadable(folder: Path, image_ids: Iterable[str]) -> list[str]:
    failed = failed_photographs(folder)
    return [failed[one] for one in image_ids if one in failed]


def _facts(
    validation: CaptionedImages,
    placed: Sequence[_Placed],
    images: FeatureStore,
    captions: FeatureStore,
    *,
    views: tuple[str, ...],
) -> dict[str, Any]:
    meta = {"images": dict(images.meta), "captions": dict(captions.meta)}
    ids = [[one.image_ids, one.caption_ids, one.split.starts.tolist()] for one in placed]
    return {
        "features": meta,
        "samples": {
            "photographs": [str(path) for path in validation.paths[:_SAMPLES]],
            "captions": list(validation.captions[: _SAMPLES * 2]),
        },
        "inputs": hash_json({"ids": ids, **meta, "views": views}),
    }


def _place(
    data: CaptionedImages,
    images: FeatureStore,
    captions: FeatureStore,
    *,
    columns: tuple[str, ...],
    name: str,
    captioned: bool,
) -> _Placed:
    """A split's images that could be read, in the data's order; for training, those that have captions."""
    missing = {one for column in columns for one in images.missing(column, data.image_ids)}
    order = np.argsort(data.owners, kind="stable")
    ends = np.searchsorted(data.owners[order], np.arange(len(data) + 1))
    kept = [
        image
        for image, identity in enumerate(data.image_ids)
        if identity not in missing and (ends[image + 1] > ends[image] or not captioned)
    ]
    described = sum(int(ends[image + 1] > ends[image]) for image in kept)
    if described < 2:
        raise RunError(
            f"{data.root}: split {name!r} has {described} images with captions; at least 2 are needed"
        )
    image_ids = tuple(data.image_ids[image] for image in kept)
    owned = [order[ends[image] : ends[image + 1]] for image in kept]
    caption_ids = tuple(data.caption_ids[caption] for group in owned for caption in group)
    shown = Shown(
        paths=tuple(data.paths[image] for image in kept),
        captions=tuple(data.captions[caption] for group in owned for caption in group),
    )
    split = Split(
        image_rows=images.indices_of(image_ids),
        caption_rows=captions.indices_of(caption_ids),
        starts=np.cumsum([0, *(len(group) for group in owned)]),
    )
    return _Placed(split, shown, image_ids, caption_ids)
