"""Vision models of `transformers` as image backbones."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from sterna.backbones import image_backbone
from sterna.errors import ModelError
from tests.backbones.tiny import VISION, pixels, vision_folder

LAYOUT = {  # size, places a side, width
    "vit": (32, 4, 24), "deit": (32, 4, 24), "dinov2": (32, 4, 24),
    "registers": (32, 4, 24), "clip": (32, 4, 24),
    "siglip": (32, 4, 24),
    "resnet": (224, 7, 24), "convnext": (128, 4, 24), "swin": (32, 4, 24),
}  # fmt: skip
TRAINABLE = sorted(set(LAYOUT) - {"swin"})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vision")
    return {kind: vision_folder(root / kind, kind) for kind in VISION}


@pytest.mark.parametrize("kind", sorted(LAYOUT))
def test_patches_and_maps_become_regions_with_boxes(folders: dict[str, Path], kind: str) -> None:
    backbone = image_backbone(f"hf:{folders[kind]}", cells=None)
    size, side, dim = LAYOUT[kind]
    assert (backbone.size, backbone.regions, backbone.dim) == (size, side * side, dim)
    squares = pixels(2, size)
    with torch.inference_mode():
        values, boxes, mask = backbone(squares)
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        planes = ((squares / 255 - mean) / deviation).permute(0, 3, 1, 2)
        network = transformers.AutoModel.from_pretrained(folders[kind]).eval()
        expected = getattr(network, "vision_model", network)(pixel_values=planes).last_hidden_state
    if expected.ndim == 4:
        expected = expected.flatten(2).transpose(1, 2)
    assert torch.allclose(values, expected[:, -side * side :], atol=1e-5)
    assert boxes.shape == (2, side * side, 4)
    assert mask.all()


@pytest.mark.parametrize("kind", TRAINABLE)
def test_layers_at_the_end_may_be_trained(folders: dict[str, Path], kind: str) -> None:
    frozen = image_backbone(f"hf:{folders[kind]}", cells=2)
    backbone = image_backbone(f"hf:{folders[kind]}", cells=2, trainable_tail=1)
    squares = pixels(2, backbone.size)
    values = backbone(squares).values
    assert torch.allclose(values, frozen(squares).values, atol=1e-5)
    assert tuple(backbone.stem(squares).shape[1:]) == backbone.map_shape
    values.square().sum().backward()
    moved = {
        name.split(".")[0] for name, parameter in backbone.named_parameters() if parameter.grad is not None
    }
    assert moved == {"last"}
    assert backbone.fingerprint == frozen.fingerprint


def test_more_trainable_layers_than_there_are_is_an_error(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="4 trainable parts asked for; 0 to 3 can be trained"):
        image_backbone(f"hf:{folders['vit']}", cells=2, trainable_tail=4)


def test_a_size_that_a_network_cannot_take_is_an_error(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="cannot be run on 4 pixels"):
        image_backbone(f"hf:{folders['vit']}", size=4, cells=1)


def test_a_network_whose_layers_do_not_come_apart_says_so(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="use trainable_tail=0"):
        image_backbone(f"hf:{folders['swin']}", cells=2, trainable_tail=1)


def test_its_own_preprocessing_is_used(folders: dict[str, Path], tmp_path: Path) -> None:
    network = transformers.ViTModel.from_pretrained(folders["vit"])
    network.save_pretrained(tmp_path)
    transformers.ViTImageProcessor(image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(tmp_path)
    backbone = image_backbone(f"hf:{tmp_path}", cells=None)
    squares = pixels(1, 32)
    with torch.inference_mode():
        expected = network.eval()(
            pixel_values=((squares / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)
        ).last_hidden_state
        assert torch.allclose(backbone(squares).values, expected[:, 1:], atol=1e-5)
    assert backbone.fingerprint != image_backbone(f"hf:{folders['vit']}", cells=None).fingerprint


@pytest.mark.parametrize("kind", ["vit", "dinov2", "clip"])
def test_positions_stretch_to_another_size(folders: dict[str, Path], kind: str) -> None:
    backbone = image_backbone(f"hf:{folders[kind]}", size=48, cells=3)
    with torch.inference_mode():
        assert backbone(pixels(1, 48)).values.shape == (1, 9, 24)


def test_different_networks_stand_side_by_side(folders: dict[str, Path]) -> None:
    names = [f"hf:{folders['vit']}", f"hf:{folders['dinov2']}"]
    both = image_backbone("+".join(names), cells=2)
    squares = pixels(2, 32)
    with torch.inference_mode():
        expected = torch.cat([image_backbone(name, cells=2)(squares).values for name in names], dim=-1)
        assert torch.equal(both(squares).values, expected)
    assert both.sources == (24, 24)


def test_networks_that_see_other_squares_do_not_stand_side_by_side(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match=r"sees 4 regions of 224 pixels, .* sees 4 of 32"):
        image_backbone(f"hf:{folders['vit']}+hf:{folders['resnet']}", cells=2)


def test_what_cannot_be_loaded_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in (str(tmp_path), "nobody/nothing"):
        with pytest.raises(ModelError, match="cannot be loaded") as caught:
            image_backbone(f"hf:{name}")
        assert str(caught.value).startswith(f"hf:{name}: ")
        assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folders["vit"] / "config.json").read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        image_backbone(f"hf:{tmp_path}")
