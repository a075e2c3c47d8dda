"""Tails that may be trained: a step of training moves them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from sterna.backbones import ImageBackbone, TextBackbone, image_backbone, text_backbone
from sterna.errors import ModelError
from tests.backbones.tiny import pixels, text_folder, vision_folder

Backbone = ImageBackbone | TextBackbone


def lites(_: Path, parts: int) -> ImageBackbone:
    pytest.importorskip("efficientnet_lite_pytorch")
    return image_backbone("efficientnet-lite0+efficientnet-lite2", size=32, cells=1, trainable_tail=parts)


def vision(kind: str) -> Callable[[Path, int], ImageBackbone]:
    return lambda folder, parts: image_backbone(
        f"hf:{vision_folder(folder, kind)}", cells=2, trainable_tail=parts
    )


def bert(folder: Path, parts: int) -> TextBackbone:
    return text_backbone(f"hf:{text_folder(folder)}", trainable_layers=parts)


BUILDERS: dict[str, tuple[Callable[[Path, int], Backbone], tuple[str, ...]]] = {
    "efficientnets": (
        lites,
        tuple(
            f"parts.{part}.{place}"
            for part, blocks in ((0, 5 + 6), (1, 6 + 8))
            for place in ("head.", *(f"last_blocks.{block}." for block in range(blocks)))
        ),
    ),
    "vit": (vision("vit"), ("last.",)),
    "clip": (vision("clip"), ("last.",)),
    "resnet": (vision("resnet"), ("last.",)),
    "bert": (bert, ("last_layers.",)),
}


def batch(backbone: Backbone) -> tuple[torch.Tensor, ...]:
    if isinstance(backbone, ImageBackbone):
        return (pixels(2, backbone.size),)
    return backbone.tokenize(["a dog", "two dogs in the snow"])


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_a_step_of_training_moves_the_tail_and_nothing_else(tmp_path: Path, kind: str) -> None:
    build, tail = BUILDERS[kind]
    backbone = build(tmp_path, 2)
    backbone.train()
    trained = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    expected = {name for name, _ in backbone.named_parameters() if name.startswith(tail)}
    assert trained == expected
    assert all(any(name.startswith(place) for name in trained) for place in tail)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    inputs = batch(backbone)
    stem = backbone.stem(*inputs)
    assert not stem.requires_grad
    optimizer = torch.optim.SGD(backbone.parameters(), lr=1.0)
    values = backbone(*inputs).values
    (values * torch.linspace(-1, 1, values.shape[-1])).sum().backward()  # a norm would take out a plain sum
    assert {name for name, parameter in backbone.named_parameters() if parameter.grad is not None} == trained
    optimizer.step()
    moved = {name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved <= trained  # statistics of batch norms are buffers
    assert len(moved) > 0.9 * len(trained)  # keys' biases, which attention does not feel, stay
    assert torch.equal(backbone.stem(*inputs), stem)
    assert not torch.equal(backbone(*inputs).values, values)


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_a_frozen_backbone_asks_for_no_gradient(tmp_path: Path, kind: str) -> None:
    backbone = BUILDERS[kind][0](tmp_path, 0)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not backbone(*batch(backbone)).values.requires_grad


def test_more_layers_than_there_are_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="3 trainable parts asked for; 0 to 2 can be trained"):
        text_backbone(f"hf:{text_folder(tmp_path, 'distilbert')}", trainable_layers=3)
