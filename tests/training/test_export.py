from __future__ import annotations

import copy
import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
transformers = pytest.importorskip("transformers")

from onnx import numpy_helper
from safetensors.torch import load_file

import sterna
from sterna.cli import main
from sterna.encoders import fingerprint_folder
from sterna.errors import DiskError, ModelError, RunError, SternaError
from sterna.images import to_square
from sterna.training import TrainSettings, export, load_run, train
from sterna.training._card import card as write_card
from sterna.training._weights import shrink_graph
from tests.conftest import draw_photo

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "photo", "of", "number", *map(str, range(24))]


def make_backbones(folder):
    """A ViT and a ResNet side by side, and a BERT, as `transformers` saves them; a few thousand weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    vision = transformers.ViTConfig(**small, image_size=32, patch_size=8)
    transformers.ViTModel(vision, add_pooling_layer=False).save_pretrained(folder / "vit")
    resnet = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"
    )
    network = transformers.ResNetModel(resnet)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    network.save_pretrained(folder / "resnet")
    transformers.BertModel(transformers.BertConfig(vocab_size=len(WORDS), **small)).save_pretrained(
        folder / "bert"
    )
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "bert" / "tokenizer.json"))
    return f"hf:{folder / 'vit'}+hf:{folder / 'resnet'}", f"hf:{folder / 'bert'}"


def make_photographs(folder):
    (folder / "images").mkdir(parents=True)
    lines = ["image,caption,split"]
    for number in range(24):
        draw_photo(number, size=(64, 48)).save(folder / "images" / f"{number}.png")
        split = "train" if number < 16 else "val"
        lines += [f"{number}.png,a photo of number {number},{split}", f"{number}.png,number {number},{split}"]
    (folder / "captions.csv").write_text("\n".join(lines) + "\n")
    return folder / "captions.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run from photographs to the last epoch, with a transformer and what it shares."""
    folder = tmp_path_factory.mktemp("miniature")
    image, text = make_backbones(folder)
    settings = TrainSettings.model_validate(
        {
            "data": {"path": make_photographs(folder / "data"), "terms": "Drawn; free for all."},
            "features": {"image": image, "text": text, "size": 32, "cells": 2, "max_tokens": 16},
            "model": {
                "embedding": 32,
                "width": 32,
                "heads": 2,
                "feedforward": 64,
                "shared_layers": 1,
                "image": {"layers": 1, "skip_hidden": 48},
                "text": {"layers": 1, "skip_hidden": 48},
            },
            "batch_images": 8,
            "epochs": 2,
            "tensorboard": False,
            "threads": 1,
            "ema": 0.9,
        }
    )
    train(settings, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def opened(run):
    return load_run(run)


@pytest.fixture(scope="module")
def model(opened, tmp_path_factory):
    results = {"rsum": 431.25, "images": 5}
    results |= {
        way: {"hits": {"1": first, "5": 0.75, "10": 1}} for way, first in (("i2t", 0.5), ("t2i", 0.25))
    }
    out = tmp_path_factory.mktemp("exported") / "model"
    return export(opened, out, name="drawn", results={"test": results}, torch_weights=True)


def test_photographs_become_a_model_that_sterna_loads(opened, model):
    encoder = sterna.load(model)
    assert (encoder.name, encoder.dim) == ("drawn", 32)
    photos = [draw_photo(number, size=(90, 60)) for number in range(30, 35)]
    squares = np.stack([to_square(photo, opened.size, opened.fit) for photo in photos])
    # The run has its weights in float32; half precision moves a vector by less than this.
    assert np.abs(encoder.encode_images(photos) - opened.encode_images(squares)).max() < 2e-3
    sentences = ["a photo of number 3", "number 7", "something never seen", ""]
    assert np.abs(encoder.encode_texts(sentences) - opened.encode_texts(sentences)).max() < 2e-3
    config = json.loads((model / "config.json").read_text())
    assert encoder.fingerprint == config["fingerprint"] == fingerprint_folder(model)
    assert config["results"]["val"]["images"] == 8
    assert config["data"]["splits"]["train"] == {"images": 16, "captions": 32}
    assert {file.name for file in model.iterdir()} == {
        "README.md", "config.json", "image.onnx", "model.safetensors", "text.onnx", "tokenizer.json",
    }  # fmt: skip


def test_float32_weights_give_the_vectors_of_torch(opened, tmp_path):
    out = export(opened, tmp_path / "model", image_weights="float32", text_weights="float32")
    encoder = sterna.load(out)
    photos = [draw_photo(number, size=(90, 60)) for number in range(40, 44)]
    squares = np.stack([to_square(photo, opened.size, opened.fit) for photo in photos])
    assert np.abs(encoder.encode_images(photos) - opened.encode_images(squares)).max() < 1e-4
    sentences = ["a photo of number 3", "number"]
    assert np.abs(encoder.encode_texts(sentences) - opened.encode_texts(sentences)).max() < 1e-4


def test_int8_makes_the_text_tower_smaller_still(opened, model, tmp_path):
    small = export(opened, tmp_path / "small", text_weights="int8")
    assert (small / "image.onnx").read_bytes() == (model / "image.onnx").read_bytes()
    assert (small / "text.onnx").stat().st_size < (model / "text.onnx").stat().st_size
    sentences = ["a photo of number 3", "number 7"]
    vectors = [sterna.load(folder).encode_texts(sentences) for folder in (model, small)]
    assert (vectors[0] * vectors[1]).sum(1).min() > 0.99


def test_the_card_says_what_a_reader_must_know(model):
    card = (model / "README.md").read_text()
    for sentence in (
        "# drawn\n",
        "| test | 5 | 50.0 / 75.0 / 100.0 | 25.0 / 75.0 / 100.0 | 431.2 |",
        "train: 16 images with 32 captions; val: 8 images with 16 captions; weights chosen by val",
        "**Terms of the data**: Drawn; free for all.",
        "squeezed to a square without regard to its shape, and resized to 32 x 32 pixels",
        "Sentences are cut after 16 tokens.",
        "Trained on 16 photographs",
    ):
        assert sentence in card


@pytest.fixture
def config(model):
    return json.loads((model / "config.json").read_text())


def card_of(config, *, image: str, text: str) -> str:
    changed = {"image_backbone": image, "text_backbone": text}
    return write_card(config | {"architecture": config["architecture"] | changed})


def test_the_card_says_of_every_backbone_what_it_has_seen(config):
    card = card_of(config, image="efficientnet-lite0+hf:openai/clip+efficientnet-lite1", text="minilm")
    assert "- **efficientnet-lite0 and efficientnet-lite1, side by side**: EfficientNet-Lite (Apache" in card
    assert "- **hf:openai/clip**: see its own card." in card
    assert "Among them are the captions of Flickr30k and COCO" in card


def test_the_card_gives_a_licence_to_what_it_knows_alone(config):
    known = card_of(config, image="efficientnet-lite0", text="minilm")
    assert "license: apache-2.0\n" in known
    assert "Weights and code: Apache-2.0, as the backbones. The data that it was trained on has" in known
    other = card_of(config, image="efficientnet-lite0+hf:vit", text="hf:bert")
    assert "license: other\n" in other
    assert (
        "Code and the towers' weights: Apache-2.0. hf:vit and hf:bert: under licences of their own." in other
    )


def test_the_runs_own_figures_are_said_to_be_of_its_float32_weights(opened, model, config):
    assert config["results"]["val"]["weights"] == "float32"
    assert "weights" not in config["results"]["test"]
    card = (model / "README.md").read_text()
    assert "| val* | 8 |" in card
    note = (
        "\\* Measured in training, with float32 weights; here they are stored as float16 (images) and float16"
    )
    assert note in card
    config["architecture"]["weights"] = {"image": "float32", "text": "float32"}
    assert "val*" not in write_card(config)


def test_a_model_does_not_tell_where_its_backbones_lay(model, config):
    assert config["architecture"]["image_backbone"] == "hf:vit+hf:resnet"
    assert config["training"]["features"]["text"] == "hf:bert"
    for file in ("config.json", "README.md"):
        assert "/miniature" not in (model / file).read_text()


def test_the_command_takes_the_figures_that_eval_prints(run, tmp_path, capsys):
    way = {"hits": {"1": 0.5, "5": 0.75, "10": 1.0}, "recall": {"1": 0.5}, "mrr": 0.6}
    report = {"schema": 1, "model": "small", "data": "drawn", "split": "val", "images": 8, "captions": 16}
    report |= {"rsum": 450.0, "i2t": way, "t2i": way, "intervals": {"rsum": [440.0, 460.0]}}
    (tmp_path / "val.json").write_text(json.dumps(report))
    (tmp_path / "all.json").write_text(json.dumps(report | {"split": None}))
    files = [str(tmp_path / name) for name in ("val.json", "all.json")]
    out = tmp_path / "model"
    options = ["--text-weights", "int8", "--results", files[0], "--results", files[1]]
    assert main(["export", str(run), "--out", str(out), *options]) == 0
    card = (out / "README.md").read_text()
    for split in ("val", "drawn"):
        assert f"| {split} | 8 | 50.0 / 75.0 / 100.0 | 50.0 / 75.0 / 100.0 | 450.0 |" in card
    results = json.loads((out / "config.json").read_text())["results"]
    assert set(results) == {"val", "drawn"}
    assert "weights" not in results["val"]
    (tmp_path / "other.json").write_text("[1]")
    capsys.readouterr()
    other = ["--results", str(tmp_path / "other.json")]
    assert main(["export", str(run), "--out", str(tmp_path / "second"), *other]) == 2
    assert "other.json: not a report; write one with sterna eval --format json" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_run_is_opened_with_its_averaged_weights(run, which):
    last = load_file(run / "checkpoints" / "last.safetensors")
    best = load_file(run / "checkpoints" / "best.safetensors")
    moved = 0.0
    for name, value in load_run(run, which=which).model.named_parameters():
        wanted = last[f"average/model.{name}"] if which == "last" else best[f"weights/model.{name}"]
        assert torch.equal(value, wanted), name
        moved = max(moved, float((value - last[f"weights/model.{name}"]).abs().max()))
    assert moved > 1e-4


def test_export_leaves_nothing_where_the_graph_differs_from_torch(opened, tmp_path, monkeypatch):
    def spoil(path, precision):
        shrink_graph(path, precision)
        graph = onnx.load(str(path))
        first = next(one for one in graph.graph.initializer if one.name.endswith(".stored"))
        first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first) * 0, first.name))
        path.write_bytes(graph.SerializeToString())

    monkeypatch.setattr("sterna.training._networks.shrink_graph", spoil)
    with pytest.raises(
        ModelError, match=r"ONNX Runtime's vectors differ from torch's by .*, more than 1e-04"
    ):
        export(opened, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_export_without_the_photographs_uses_a_drawn_one(opened, tmp_path):
    facts = copy.deepcopy(dict(opened.facts))
    facts["samples"]["photographs"] = [str(tmp_path / "gone.jpg")]
    moved = dataclasses.replace(opened, facts=facts)
    assert (export(moved, tmp_path / "model") / "image.onnx").is_file()


def test_what_cannot_be_exported_is_named(run, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(SternaError, match="already exists"):
        export(run, tmp_path / "there")
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot be written"):  # found out before the run is looked at
        export(tmp_path / "no run", tmp_path / "file" / "model")
    with pytest.raises(RunError, match="not a training run"):
        load_run(tmp_path)
    with pytest.raises(RunError, match="a run has the checkpoints best and last"):
        load_run(run, which="first")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished, ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(RunError, match="has no best checkpoint yet; train it further with --resume"):
        load_run(unfinished)


def test_a_damaged_checkpoint_and_other_backbones_are_named(run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    file = broken / "checkpoints" / "best.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"best\.safetensors: not a checkpoint that can be read"):
        load_run(broken)
    other = tmp_path / "other"
    shutil.copytree(run, other)
    facts = json.loads((other / "run.json").read_text())
    facts["features"]["captions"]["fingerprint"] = "0" * 64
    (other / "run.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="not the backbone that the run's features were made with"):
        load_run(other)


def test_a_run_encodes_by_itself(run, opened):
    squares = np.stack(
        [np.asarray(Image.new("RGB", (32, 32), colour)) for colour in ("red", "green", "blue")]
    )
    vectors = opened.encode_images(squares)
    assert vectors.shape == (3, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:1], opened.encode_images(squares[:1]), atol=1e-6)
    assert opened.name == "run"
    assert opened.fingerprint == load_run(run).fingerprint
