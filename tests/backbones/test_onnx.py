"""Backbones as ONNX graphs: ONNX Runtime's values are torch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from sterna.backbones import (
    export_image_backbone,
    export_onnx,
    export_text_backbone,
    fold_batch_norm,
    image_backbone,
    text_backbone,
)
from tests.backbones.tiny import pixels, text_folder, vision_folder


def run(path: Path, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.mark.long
def test_efficientnets_side_by_side_export(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    backbone = image_backbone("efficientnet-lite0+efficientnet-lite2", size=96, cells=3)
    export_image_backbone(backbone, tmp_path / "image.onnx")
    for count in (1, 3):
        squares = pixels(count, 96)
        with torch.inference_mode():
            expected = backbone(squares).values.numpy()
        assert np.abs(run(tmp_path / "image.onnx", pixels=squares.numpy()) - expected).max() < 1e-3
    import onnx

    kinds = {node.op_type for node in onnx.load(tmp_path / "image.onnx").graph.node}
    assert "BatchNormalization" not in kinds


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_vision_models_export(tmp_path: Path, kind: str) -> None:
    backbone = image_backbone(f"hf:{vision_folder(tmp_path / kind, kind)}", cells=3)  # 4 and 7 places: shares
    export_image_backbone(backbone, tmp_path / "image.onnx")
    squares = pixels(3, backbone.size)
    with torch.inference_mode():
        expected = backbone(squares).values.numpy()
    assert np.abs(run(tmp_path / "image.onnx", pixels=squares.numpy()) - expected).max() < 1e-4


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_text_encoders_export_with_their_mask(tmp_path: Path, kind: str) -> None:
    backbone = text_backbone(f"hf:{text_folder(tmp_path / kind, kind)}")
    export_text_backbone(backbone, tmp_path / "text.onnx")
    for sentences in (["a dog"], ["two dogs in the snow", "a cat", "the"], ["a " * 20, "dog"]):
        ids, mask = backbone.tokenize(sentences)
        with torch.inference_mode():
            expected = backbone(ids, mask).values.numpy()
        values = run(tmp_path / "text.onnx", ids=ids.numpy(), mask=mask.numpy().astype(np.int64))
        assert np.abs(values - expected).max() < 1e-5


def test_an_export_leaves_no_network_in_training_mode(tmp_path: Path) -> None:
    inner = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5))
    assert inner.training
    export_onnx(
        inner, {"x": torch.randn(2, 3, 4, 4)}, tmp_path / "net.onnx", outputs=["y"], dynamic={"x": {0: "n"}}
    )
    assert not any(module.training for module in inner.modules())


def test_folded_batch_norms_give_the_same_values() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
    )
    network(torch.randn(8, 3, 9, 9) * 3 + 1)  # moves the running statistics
    network.eval()
    folded = fold_batch_norm(network)
    x = torch.randn(2, 3, 9, 9)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert isinstance(network[1], torch.nn.BatchNorm2d)
    assert torch.allclose(folded(x), network(x), atol=1e-5)
