"""A run's vectors of captioned images, from features in place of photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from sterna.data import CaptionedImages
from sterna.errors import RunError
from sterna.features import FeatureStore
from sterna.files import read_json
from sterna.settings import load_settings
from sterna.training._checkpoint import checkpoint_path, load_weights
from sterna.training._learner import new_model
from sterna.training._readers import Reader
from sterna.training._settings import TrainSettings

__all__ = ["encode_features"]

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
    run, features = Path(run), Path(features)
    checkpoint = checkpoint_path(run, "best")
    if not ((run / "settings.yaml").is_file() and checkpoint.is_file()):
        raise RunError(f"{run}: not a training run with a best checkpoint")
    settings = load_settings(TrainSettings, run / "settings.yaml")
    if settings.finetune.image.tuned or settings.finetune.text.tuned:
        raise RunError(f"{run}: trained its backbones too; measure it on photographs, without features")
    images, captions = FeatureStore.open(features / "images"), FeatureStore.open(features / "captions")
    trained_on = read_json(run / "run.json", error=RunError)["features"]
    for store, kind in ((images, "images"), (captions, "captions")):
        came, wanted = str(store.meta.get("fingerprint")), trained_on[kind]["fingerprint"]
        if came != wanted:
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

    def see(rows: NDArray[np.int64]) -> Tensor:
        values, mask, boxes = reader.regions(rows, np.zeros(len(rows), dtype=np.int64))
        return model.encode_images(values.float(), mask, boxes)

    def read(rows: NDArray[np.int64]) -> Tensor:
        values, mask = reader.tokens(rows)
        return model.encode_texts(values.float(), mask)

    width = settings.model.embedding
    return (
        _encode(images, "original", data.image_ids, see, width=width),
        _encode(captions, "values", data.caption_ids, read, width=width),
    )


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
    missing = set(store.missing(column, ids))
    there = np.array([place for place, one in enumerate(ids) if one not in missing], dtype=np.int64)
    rows = store.indices_of(ids[place] for place in there)
    vectors = np.full((len(ids), width), np.nan, dtype=np.float32)
    for start in range(0, len(there), _BLOCK):
        vectors[there[start : start + _BLOCK]] = encode(rows[start : start + _BLOCK]).numpy()
    return vectors
