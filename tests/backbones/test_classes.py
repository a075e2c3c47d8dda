"""ImageNet's classes, by the layers that the networks were published with and by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite_pytorch")

from sterna.backbones import classes_of, image_backbone, text_backbone
from sterna.errors import UsageError
from sterna.images import open_photo
from sterna.model import build_model
from tests.backbones.test_efficientnet import published
from tests.backbones.tiny import pixels, vision_folder


def test_classes_follow_from_the_mean_of_the_regions_as_in_the_published_network() -> None:
    squares = pixels(2, 96)
    backbone = image_backbone("efficientnet-lite1", size=96, cells=None)
    ((weight, bias),) = backbone.classifiers()
    with torch.inference_mode():
        found = backbone(squares).values.mean(1) @ weight.T + bias
        expected = published(1, size=96)((squares.permute(0, 3, 1, 2).float() - 127) / 128)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_networks_side_by_side_have_a_classifier_each() -> None:
    both = image_backbone("efficientnet-lite0+efficientnet-lite1", size=96, cells=3)
    assert [tuple(weight.shape) for weight, _ in both.classifiers()] == [(1000, 1280)] * 2


def test_a_network_without_classes_is_refused_with_those_that_have_them(tmp_path: Path) -> None:
    nameless = image_backbone(f"hf:{vision_folder(tmp_path / 'vit', 'vit')}", cells=2)
    with pytest.raises(UsageError, match=r"comes without a classifier .* efficientnet-lite0, 1 and 2"):
        classes_of(nameless, text_backbone("minilm"))


@pytest.mark.long
def test_names_tell_photographs_apart_without_any_training(shared: Path) -> None:
    from sterna.data import read

    images, texts = image_backbone("efficientnet-lite0", size=224), text_backbone("minilm")
    classes = classes_of(images, texts)
    model = build_model(images.sources, [texts.dim], embedding=512, names=1e9)
    assert model.names is not None
    model.names.learn(classes.classifiers, classes.names)
    data = read(shared / "data" / "flickr8k").split("dev").take(range(60))
    model.train()  # the means; nothing learns
    with torch.inference_mode():
        squares = [images.prepare(open_photo(path, at_least=224).image) for path in data.paths]
        regions = images.look(squares)
        tokens = texts(*texts.tokenize(list(data.captions)))
        for _ in range(2):
            seen = model.encode_images(regions.values, regions.mask, regions.boxes)
            said = model.encode_texts(tokens.values, tokens.mask)
            model.eval()
    scores = said @ seen.T
    own = scores[torch.arange(len(scores)), torch.as_tensor(data.owners)]
    found = float(((scores > own[:, None]).sum(1) < 10).float().mean())
    assert found > 0.35  # of 60; chance is 0.17
