"""A data set whose features can be matched by learning a linear map, made in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sterna.features import ColumnSpec, FeatureStore
from sterna.training import TrainSettings

SOURCES, WORDS = (10, 6), 12


def make_toy(
    folder: Path,
    *,
    train: int = 48,
    dev: int = 16,
    regions: int = 4,
    seed: int = 0,
    own_boxes: bool = False,
) -> Path:
    """`folder/data` in Flickr's layout and `folder/features`; image i has 1 to 5 captions."""
    rng = np.random.default_rng(seed)
    images = folder / "data" / "images"
    images.mkdir(parents=True)
    names = [f"{number:03}.jpg" for number in range(train + dev)]
    Image.new("RGB", (8, 8)).save(images / "one.jpg")
    for name in names:
        (images / name).write_bytes((images / "one.jpg").read_bytes())
    (images / "one.jpg").unlink()
    lines = [f"{name}#{k}\tcaption {k} of {name}" for i, name in enumerate(names) for k in range(1 + i % 5)]
    (folder / "data" / "captions.token.txt").write_text("\n".join(lines) + "\n")
    (folder / "data" / "trainImages.txt").write_text("\n".join(names[:train]) + "\n")
    (folder / "data" / "devImages.txt").write_text("\n".join(names[train:]) + "\n")
    make_stores(folder, regions=regions, rng=rng, own_boxes=own_boxes)
    return folder


def make_stores(
    folder: Path, *, regions: int = 4, rng: np.random.Generator | None = None, own_boxes: bool = False
) -> None:
    """`folder/features` of whatever lies in `folder/data`; all images have the same boxes, or their own."""
    from sterna.data import read

    rng = rng or np.random.default_rng(0)
    data = read(folder / "data")
    meaning = rng.normal(size=(len(data), 8))
    seen, said = rng.normal(size=(8, sum(SOURCES))), rng.normal(size=(8, WORDS))

    def noisy(items: int, vector: np.ndarray) -> np.ndarray:
        return vector + 0.3 * rng.normal(size=(items, len(vector)))

    shared = {"fingerprint": "toy", "dtype": "float16"}
    columns = {}
    for view in ("original", "flip"):
        columns |= {view: ColumnSpec("float16", sum(SOURCES)), f"{view}.boxes": ColumnSpec("float32", 4)}
    store = FeatureStore.create(
        folder / "features" / "images",
        columns,
        meta=shared
        | {"backbone": "toy", "size": 8, "fit": "squeeze", "regions": regions, "sources": list(SOURCES)},
    )
    boxes = [rng.uniform(size=(regions, 4)).astype(np.float32)] * len(data)
    if own_boxes:
        boxes = [rng.uniform(size=(regions, 4)).astype(np.float32) for _ in boxes]
    store.append(
        data.image_ids,
        {
            name: boxes if spec.width == 4 else [noisy(regions, row @ seen) for row in meaning]
            for name, spec in columns.items()
        },
    )
    store = FeatureStore.create(
        folder / "features" / "captions",
        {"values": ColumnSpec("float16", WORDS)},
        meta=shared | {"backbone": "toy", "max_tokens": 16, "dim": WORDS},
    )
    store.append(
        data.caption_ids,
        {"values": [noisy(int(rng.integers(3, 9)), meaning[owner] @ said) for owner in data.owners]},
    )


def toy_settings(folder: Path, **changes: object) -> TrainSettings:
    """Settings of a run of seconds; `changes` replace whole sections or single values."""
    values = {
        "data": {"path": folder / "data"},
        "features": {"path": folder / "features", "image": "toy", "text": "toy", "size": 8, "cells": 2}
        | {"max_tokens": 16},
        "model": {
            "embedding": 16,
            "width": 16,
            "heads": 2,
            "feedforward": 32,
            "image": {"skip_hidden": 32},
            "text": {"skip_hidden": 32},
        },
        "optimizer": {"rate": 0.01, "weight_decay": 0.1},
        "batch_images": 12,
        "epochs": 4,
        "threads": 1,
        "tensorboard": False,
        "checkpoint_every": 3,
        "log_every": 3,
    }  # fmt: skip
    return TrainSettings.model_validate(values | changes)
