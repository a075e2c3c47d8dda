"""A run's vectors of captioned images, from features in place of photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from sterna.data import CaptionedImages
from sterna.errors import RunError
from sterna.features import FeatureStore
from sterna.files import read_json
from sterna.model import TERN, Encoded
from sterna.scoring import Items as Padded
from sterna.settings import load_settings
from sterna.training._checkpoint import best_checkpoint, load_weights
from sterna.training._learner import new_model
from sterna.training._readers import Reader
from sterna.training._scores import ragged
from sterna.training._settings import TrainSettings

__all__ = ["encode_feature_items", "encode_features"]

Items = NDArray[np.float32] | None

_BLOCK = 128


def encode_features(
    run: str | Path, data: CaptionedImages, features: str | Path
) -> tuple[Float32[np.ndarray, "N E"], Float32[np.ndarray, "C E"]]:
    """Unit vectors of a data set by a run's best model, from features alone; no backbone is built.

    Arguments:
        run: a run's folder.
        data: whose images and captions are looked for by their ids.
        features: holds the stores `images` and `captions`, made by the backbones that the run was trained on.

    Returns float32 vectors of all images [N, E] and of all captions [C, E], in the data's order; those that
    the stores lack are NaN. Raises `RunError` where `run` is no run with a best checkpoint, was trained on
    other features, or trained its backbones; `StoreError` where a store cannot be read.
    """
    stores = _open(Path(run), Path(features))

    def see(rows: NDArray[np.int64]) -> Tensor:
        return stores.model.encode_images(*stores.seen(rows))

    def read(rows: NDArray[np.int64]) -> Tensor:
        return stores.model.encode_texts(*stores.read(rows))

    return (
        _encode(stores.reader.images, "original", data.image_ids, see, width=stores.width),
        _encode(stores.reader.captions, "values", data.caption_ids, read, width=stores.width),
    )


def encode_feature_items(
    run: str | Path, data: CaptionedImages, features: str | Path
) -> tuple[list[Items], list[Items]]:
    """Unit vectors of regions and words by a run's best model; arguments and errors as `encode_features`.

    Returns of each image float32 [R, E] and of each caption [T, E]; `None` for those that the stores lack.
    """
    stores = _open(Path(run), Path(features))

    def see(rows: NDArray[np.int64]) -> Encoded:
        return stores.model.read_images(*stores.seen(rows))

    def read(rows: NDArray[np.int64]) -> Encoded:
        return stores.model.read_texts(*stores.read(rows))

    return (
        _encode_items(stores.reader.images, "original", data.image_ids, see),
        _encode_items(stores.reader.captions, "values", data.caption_ids, read),
    )


class _Stores(NamedTuple):
    """A run's best model, and the stores that it looks at."""

    model: TERN
    reader: Reader
    width: int

    def seen(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        values, mask, boxes = self.reader.regions(rows, np.zeros(len(rows), dtype=np.int64))
        return values.float(), mask, boxes

    def read(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        values, mask = self.reader.tokens(rows)
        return values.float(), mask


def _open(run: Path, features: Path) -> _Stores:
    checkpoint = best_checkpoint(run)
    if checkpoint is None:
        raise RunError(f"{run}: not a training run with a best checkpoint")
    settings = load_settings(TrainSettings, run / "settings.yaml")
    if settings.finetune.image.tuned or settings.finetune.text.tuned:
        raise RunError(f"{run}: trained its backbones too; measure it on photographs, without features")
    images, captions = FeatureStore.open(features / "images"), FeatureStore.open(features / "captions")
    trained_on = read_json(run / "run.json", error=RunError)["features"]
    for store, kind, column in ((images, "images", "original"), (captions, "captions", "values")):
        came, wanted = str(store.meta.get("fingerprint")), trained_on[kind]["fingerprint"]
        if wanted is None:  # an imported model, which says no more than how wide they are
            _check_width(store, column, trained_on[kind]["dim"])
        elif came != wanted:
            raise RunError(
                f"{store.path}: holds other features (fingerprint {came[:12]}) than the run {run} was "
                f"trained on ({wanted[:12]}); name a folder with those"
            )
    with torch.random.fork_rng(devices=[]):
        model = new_model(
            settings.model,
            image_sources=tuple(trained_on["images"]["sources"]),
            text_sources=(trained_on["captions"]["dim"],),
        )
    load_weights(checkpoint, model, stands_on={kind: one["fingerprint"] for kind, one in trained_on.items()})
    model.requires_grad_(False).eval()
    reader = Reader(features, views=("original",), image_means=False, text_means=False)
    return _Stores(model, reader, settings.model.embedding)


def _check_width(store: FeatureStore, column: str, wanted: int) -> None:
    came = store.columns[column].width if column in store.columns else None
    if came != wanted:
        raise RunError(f"{store.path}: holds features of width {came}; the run takes {wanted}")


@torch.inference_mode()
def _encode(
    store: FeatureStore,
    column: str,
    ids: Sequence[str],
    encode: Callable[[NDArray[np.int64]], Tensor],
    *,
    width: int,
) -> NDArray[np.float32]:
    """Vectors [N, E] of items, a block at a time; NaN for those without the column."""
    there, rows = _there(store, column, ids)
    vectors = np.full((len(ids), width), np.nan, dtype=np.float32)
    for start in range(0, len(there), _BLOCK):
        vectors[there[start : start + _BLOCK]] = encode(rows[start : start + _BLOCK]).numpy()
    return vectors


@torch.inference_mode()
def _encode_items(
    store: FeatureStore, column: str, ids: Sequence[str], encode: Callable[[NDArray[np.int64]], Encoded]
) -> list[Items]:
    """What a model makes of each one's items, a block at a time; `None` for those without the column."""
    there, rows = _there(store, column, ids)
    found: list[Items] = [None] * len(ids)
    for start in range(0, len(there), _BLOCK):
        read = encode(rows[start : start + _BLOCK])
        items = ragged(Padded(read.items, read.mask))
        for place, one in zip(there[start : start + _BLOCK], items, strict=True):
            found[place] = one
    return found


def _there(
    store: FeatureStore, column: str, ids: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the ids that have the column, and their rows in the store."""
    missing = set(store.missing(column, ids))
    there = np.array([place for place, one in enumerate(ids) if one not in missing], dtype=np.int64)
    return there, store.indices_of(ids[place] for place in there)
