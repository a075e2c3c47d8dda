"""A run on the regions of a detector, of which an image has as many as were found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("transformers")

from sterna.encoders import load
from sterna.errors import ModelError
from sterna.features import FeatureStore, extract
from sterna.training import TrainSettings, export, load_run, train
from tests.backbones.tiny import detector_folder, text_folder
from tests.conftest import draw_photo

CAPTIONS = ["a dog", "two dogs in the snow", "the cat runs", "people"]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with captions, a tiny detector, a tiny BERT."""
    folder = tmp_path_factory.mktemp("ground")
    detector_folder(folder / "detr")
    text_folder(folder / "bert")
    (folder / "data").mkdir()
    for number in range(16):
        size = [(120, 90), (90, 120)][number % 2]
        draw_photo(number, size=size).save(folder / "data" / f"{number:02}.png")
        (folder / "data" / f"{number:02}.txt").write_text(CAPTIONS[number % 4])
    return folder


def settings_on(ground: Path, *, layers: int) -> TrainSettings:
    return TrainSettings.model_validate({
        "data": {"path": ground / "data", "holdout": 0.4},
        "features": {
            "path": ground / "features",
            "image": f"detector:{ground / 'detr'},top=10,threshold=0.65",
            "text": f"hf:{ground / 'bert'}",
            "max_tokens": 16,
            "hidden_layer": 2,
            "dtype": "float32",
        },
        "model": {
            "embedding": 16, "width": 16, "heads": 2, "feedforward": 16,
            "image": {"layers": layers, "skip_hidden": 24}, "text": {"skip_hidden": 24},
        },
        "batch_images": 4, "epochs": 2, "threads": 1, "tensorboard": False,
    })  # fmt: skip


@pytest.mark.parametrize("layers", [pytest.param(0, marks=pytest.mark.long), 1])
def test_a_run_reads_regions_and_encodes_photographs_as_it_was_trained(ground: Path, layers: int) -> None:
    run = ground / f"run{layers}"
    train(settings_on(ground, layers=layers), run)
    store = FeatureStore.open(ground / "features" / "images")
    lengths = store.lengths("original", range(len(store)))
    assert len(set(lengths.tolist())) > 1
    assert FeatureStore.open(ground / "features" / "captions").meta["hidden_layer"] == 2
    loaded = load_run(run)
    assert (loaded.size, loaded.fit, loaded.text_backbone.hidden_layer) == (64, "own", 2)
    values, mask = store.rows("original", range(len(store)))
    boxes, _ = store.rows("original.boxes", range(len(store)))
    with torch.inference_mode():
        expected = loaded.model.encode_images(*(torch.from_numpy(one) for one in (values, mask, boxes)))
    vectors = load(run).encode_images([ground / "data" / name for name in store.ids])
    assert np.allclose(vectors, expected.numpy(), atol=1e-5)
    assert loaded.encode_texts(CAPTIONS).shape == (4, 16)


def test_a_run_on_regions_is_not_exported(ground: Path, tmp_path: Path) -> None:
    if not (ground / "run0").exists():
        train(settings_on(ground, layers=0), ground / "run0")
    with pytest.raises(
        ModelError, match="detr.*: a detector is not written as an ONNX graph; use the training run"
    ):
        export(ground / "run0", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_was_extracted_before_is_trained_on_without_the_detector(ground: Path, tmp_path: Path) -> None:
    from sterna.data import read

    settings = settings_on(ground, layers=0)
    extract(
        read(ground / "data"),
        tmp_path / "features",
        image_backbone=f"detector:{ground / 'detr'}",
        text_backbone=settings.features.text,
        max_tokens=16,
        hidden_layer=2,
        dtype="float32",
    )
    features = settings.features.model_copy(
        update={"path": tmp_path / "features", "image": f"detector:{ground / 'detr'}"}
    )
    hidden = ground / "detr" / "hidden.safetensors"
    (ground / "detr" / "model.safetensors").rename(hidden)
    try:
        train(settings.model_copy(update={"features": features}), tmp_path / "run")
    finally:
        hidden.rename(ground / "detr" / "model.safetensors")
