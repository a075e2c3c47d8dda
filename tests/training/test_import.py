"""Checkpoints of earlier implementations become runs, and run nothing on the way."""

from __future__ import annotations

import argparse
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")

import yaml
from safetensors.torch import save_file

from sterna.errors import ModelError, SternaError, UsageError
from sterna.files import read_json
from sterna.model import from_reimplementation, from_tern
from sterna.settings import load_settings
from sterna.training import TrainSettings, import_model, read_earlier
from sterna.training._checkpoint import checkpoint_path, load_weights
from sterna.training._learner import new_model
from tests.model.earlier import PaperTern, paper_config, rewrite_config, rewrite_state


def teran(file: Path, *, seed: int = 5, bert: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What TERAN's training writes: weights, optimizer, scheduler, command line and config."""
    config = paper_config(seed, **{"name": "teran", "exclude-stopwords": False} | changes)
    config["training"] |= {"loss-type": "alignment", "alignment-mode": "MrSw", "margin": 0.3}
    torch.manual_seed(seed)
    model = PaperTern(config)
    state = {f"img_txt_enc.{name}": value for name, value in model.state_dict().items()}
    state |= {f"img_txt_enc.txt_enc.bert_model.{name}": value for name, value in (bert or {}).items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 20, gamma=0.1)
    checkpoint = {
        "epoch": 27,
        "model": state,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "opt": argparse.Namespace(num_epochs=30, logger_name="runs/runX", resume="", config="c.yaml"),
        "config": config,
        "Eiters": 70000,
    }
    torch.save(checkpoint, file)
    return checkpoint


def model_of(run: Path) -> torch.nn.Module:
    """The model that a run's settings and best checkpoint make."""
    settings = load_settings(TrainSettings, run / "settings.yaml")
    features = read_json(run / "run.json")["features"]
    model = new_model(
        settings.model,
        image_sources=tuple(features["images"]["sources"]),
        text_sources=(features["captions"]["dim"],),
    )
    load_weights(checkpoint_path(run, "best"), model)
    return model.eval()


def same_vectors(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    mask = torch.arange(6) < torch.tensor([[6], [2], [4]])
    regions, tokens = torch.randn(3, 6, theirs.image.dim), torch.randn(3, 6, theirs.text.dim)
    boxes = torch.rand(3, 6, 4)
    for name, arguments in (("read_images", (regions, mask, boxes)), ("read_texts", (tokens, mask))):
        for one, other in zip(
            getattr(ours, name)(*arguments), getattr(theirs, name)(*arguments), strict=True
        ):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_what_teran_saves_becomes_a_run(tmp_path: Path) -> None:
    checkpoint = teran(tmp_path / "model_best_rsum.pth.tar")
    came = import_model(tmp_path / "model_best_rsum.pth.tar", tmp_path / "run")
    assert (came.kind, came.zero_region, came.tuned, came.left_out) == ("tern", True, 0, ())
    same_vectors(
        model_of(tmp_path / "run"), from_tern(checkpoint["config"], checkpoint["model"], zero_region=True)
    )
    settings = load_settings(TrainSettings, tmp_path / "run" / "settings.yaml")
    assert (settings.features.image, settings.features.text) == ("imported", "imported")
    assert settings.objective.name == "hinge"
    assert settings.objective.params == {"margin": 0.3, "negatives": "hardest", "similarity": "MrSw"}
    assert settings.score == "MrSw"
    assert (settings.model.image.cls_token, settings.model.text.trim) == ("zero", (1, 2))
    facts = read_json(tmp_path / "run" / "run.json")
    assert facts["imported"]["file"] == "model_best_rsum.pth.tar"
    assert (facts["imported"]["epoch"], facts["imported"]["Eiters"]) == (27, 70000)
    assert facts["features"]["images"]["dim"] == came.image_width


def test_what_json_has_no_number_for_is_kept_by_its_name(tmp_path: Path) -> None:
    checkpoint = teran(tmp_path / "model.tar")
    checkpoint["config"]["training"]["grad-clip"] = float("inf")
    torch.save({**checkpoint, "best_rsum": float("nan")}, tmp_path / "model.tar")
    import_model(tmp_path / "model.tar", tmp_path / "run")
    kept = read_json(tmp_path / "run" / "run.json")["imported"]
    assert (kept["config"]["training"]["grad-clip"], kept["best_rsum"]) == ("Infinity", "NaN")


def test_the_run_may_take_regions_that_begin_with_zeros_themselves(tmp_path: Path) -> None:
    checkpoint = teran(tmp_path / "model.tar")
    came = import_model(tmp_path / "model.tar", tmp_path / "run", zero_region=False)
    assert not came.zero_region
    same_vectors(model_of(tmp_path / "run"), from_tern(checkpoint["config"], checkpoint["model"]))


@pytest.mark.parametrize("layout", ["model", "state_dict", "alone"])
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_the_reimplementations_files_need_a_config_beside_them(
    tmp_path: Path, layout: str, suffix: str
) -> None:
    config, file, beside = rewrite_config(7), tmp_path / "TERN_best.pth", tmp_path / f"tern{suffix}"
    state = rewrite_state(config)
    torch.save(state if layout == "alone" else {layout: state, "epoch": 3, "config": None}, file)
    whole = {"settings": {"model": {"name": "TERN", "args": config}}}
    beside.write_text(json.dumps(whole) if suffix == ".json" else yaml.safe_dump(whole))
    with pytest.raises(UsageError, match="TERN_best.pth: holds no config; name the file that does with --co"):
        import_model(file, tmp_path / "run")
    came = import_model(file, tmp_path / "run", config=beside)
    assert (came.kind, came.zero_region) == ("reimplementation", False)
    same_vectors(model_of(tmp_path / "run"), from_reimplementation(config, state))


def test_a_safetensors_file_with_its_config_is_a_model_in_three_lines(tmp_path: Path) -> None:
    config = paper_config(9)
    state = PaperTern(config).state_dict()
    tensors = {f"weights.img_txt_enc.{name}": value for name, value in state.items()}
    save_file(
        tensors | {"in.regions": torch.zeros(1)},
        tmp_path / "golden.safetensors",
        metadata={"config": json.dumps(config)},
    )
    same_vectors(read_earlier(tmp_path / "golden.safetensors").model(), from_tern(config, state))


@pytest.mark.parametrize("name", ["paper_tern_gated", "seed_tern_first_shared"])
def test_golden_files_are_read_as_they_are(shared: Path, name: str) -> None:
    earlier = read_earlier(shared / "golden" / f"{name}.safetensors")
    assert earlier.kind == ("tern" if name.startswith("paper") else "reimplementation")
    earlier.model()


class Evil:
    """What a pickle can be made to do."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("wrap", ["torch", "pickle"])
def test_a_file_that_would_run_something_is_refused_with_a_sentence(tmp_path: Path, wrap: str) -> None:
    file, marker = tmp_path / "model.pth", tmp_path / "owned"
    holding = {"model": {"img_enc.fc.weight": torch.zeros(2)}, "config": Evil(marker)}
    if wrap == "torch":
        torch.save(holding, file)
    else:
        file.write_bytes(pickle.dumps({"config": Evil(marker)}))
    with pytest.raises(ModelError) as caught:
        import_model(file, tmp_path / "run")
    assert not marker.exists()
    assert not (tmp_path / "run").exists()
    if wrap == "torch":
        assert str(caught.value) == (
            f"{file}: asks for {os.system.__module__}.system, which loading would run or make, and is not loaded; "
            "only tensors, plain values and argparse.Namespace are: save its weights and config alone"
        )


def test_an_alignment_without_stop_words_is_told_of(tmp_path: Path) -> None:
    teran(tmp_path / "model.pth", **{"exclude-stopwords": True})
    (told,) = import_model(tmp_path / "model.pth", tmp_path / "run").left_out
    assert told.startswith("exclude-stopwords: the file's model aligned no stop words")


class Own:
    """A class of whoever saved the file."""


def test_nothing_but_the_namespace_is_made(tmp_path: Path) -> None:
    torch.save({"model": {}, "opt": Own()}, tmp_path / "model.pth")
    with pytest.raises(
        ModelError, match=r"model.pth: asks for [\w.]*test_import.Own, which loading would run"
    ):
        read_earlier(tmp_path / "model.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a checkpoint of torch, or a damaged one"),
        (b"PK\x03\x04 and then nothing", "not a checkpoint of torch, or a damaged one"),
        (b"\x80\x02}q\x00.", "holds nothing; a state dict is needed|not a checkpoint of torch"),
        (None, "no such file"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "model.pth"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_earlier(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "weights_only" not in str(caught.value)


def test_what_holds_no_model_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    for holding, message in (
        ([1, 2], "holds a list; a state dict is needed"),
        ({"epoch": 3}, "holds epoch; a state dict is needed, alone or as model, state_dict"),
        (
            {"model": {"fc.weight": torch.ones(1)}, "config": {}},
            r"of neither earlier implementation \(fc.weight\)",
        ),
    ):
        torch.save(holding, file)
        with pytest.raises(ModelError, match=message):
            read_earlier(file)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="model.safetensors: not a safetensors file that can be read"):
        read_earlier(tmp_path / "model.safetensors")


def test_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    teran(tmp_path / "model.pth")
    for text, message in (("[", "not valid YAML or JSON"), ("- 1", "holds a list; a mapping of sections is")):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UsageError, match=f"config.yaml: {message}"):
            read_earlier(tmp_path / "model.pth", config=tmp_path / "config.yaml")
    with pytest.raises(UsageError, match="none.yaml: no such file"):
        read_earlier(tmp_path / "model.pth", config=tmp_path / "none.yaml")
    (tmp_path / "config.yaml").write_text("model: {}")
    with pytest.raises(UsageError, match="model.pth: config: image-model is missing"):
        import_model(tmp_path / "model.pth", tmp_path / "run", config=tmp_path / "config.yaml")


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    teran(tmp_path / "model.pth")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")
    with pytest.raises(SternaError, match="run: already exists"):
        import_model(tmp_path / "model.pth", tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["precious.txt"]


def test_a_torch_with_holes_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teran(tmp_path / "model.pth")
    read_earlier(tmp_path / "model.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(ModelError, match=r"torch 2.9.1\+cpu has holes in weights-only loading"):
        read_earlier(tmp_path / "model.pth")


def test_every_extra_that_brings_torch_asks_for_one_without_holes() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    asked = [
        one for extra in project["optional-dependencies"].values() for one in extra if one[:5] == "torch"
    ]
    assert len(asked) >= 2
    assert set(asked) == {"torch>=2.10"}
    assert not any(one.startswith("torch") for one in project["dependencies"])


def test_bert_goes_into_the_text_backbone_that_is_named(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from sterna.backbones import text_backbone
    from tests.backbones.tiny import WORDS, text_folder

    folder = text_folder(tmp_path / "bert")
    torch.manual_seed(3)  # two of the folder's three layers, trained further
    config = transformers.AutoConfig.from_pretrained(folder, num_hidden_layers=2)
    bert = transformers.BertModel(config).eval()
    teran(tmp_path / "model.pth", seed=6, bert=bert.state_dict(), **{"text-aggregation": "first"})
    checkpoint = torch.load(tmp_path / "model.pth", weights_only=False)  # written three lines above
    checkpoint["config"]["text-model"] |= {"word-dim": 24, "extraction-hidden-layer": 2, "layers": 0}
    model = PaperTern(checkpoint["config"])
    state = {f"img_txt_enc.{name}": value for name, value in model.state_dict().items()}
    kept = {name: value for name, value in checkpoint["model"].items() if ".bert_model." in name}
    torch.save({**checkpoint, "model": {**state, **kept}}, tmp_path / "model.pth")

    left = import_model(tmp_path / "model.pth", tmp_path / "plain")
    assert left.left_out == ("weights of BERT: name its folder as the text backbone to bring them over",)
    came = import_model(tmp_path / "model.pth", tmp_path / "run", text_backbone=f"hf:{folder}")
    assert came.left_out == ()
    assert came.tuned == sum(
        value.numel() for name, value in bert.named_parameters() if not name.startswith("pooler.")
    )
    settings = load_settings(TrainSettings, tmp_path / "run" / "settings.yaml")
    assert (settings.features.text, settings.features.hidden_layer) == (f"hf:{folder}", 2)
    backbone = text_backbone(f"hf:{folder}", trainable_layers=None, hidden_layer=2)
    assert load_weights(
        checkpoint_path(tmp_path / "run", "best"),
        model_of(tmp_path / "run"),
        backbones={"text_backbone": backbone},
        stands_on={"captions": backbone.fingerprint},
    )
    ids = torch.tensor([[2, 4, 5, 3], [2, 5, 3, WORDS.index("[PAD]")]])
    mask = ids != WORDS.index("[PAD]")
    wanted = bert(ids, attention_mask=mask.long()).last_hidden_state * mask[..., None]
    torch.testing.assert_close(backbone(ids, mask).values, wanted, atol=1e-5, rtol=0)

    with pytest.raises(ModelError, match="its weights of BERT are not those of a minilm"):
        import_model(tmp_path / "model.pth", tmp_path / "other", text_backbone="minilm")


def test_a_model_on_backbones_of_ours_is_opened_and_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("transformers")
    import sterna
    from sterna.training import export, load_run
    from tests.backbones.tiny import text_folder, vision_folder

    checkpoint = teran(tmp_path / "model.pth", seed=6)
    config = checkpoint["config"]
    config["image-model"]["feat-dim"] = config["text-model"]["word-dim"] = 24
    config["text-model"]["extraction-hidden-layer"] = 3
    torch.save({**checkpoint, "model": PaperTern(config).state_dict()}, tmp_path / "model.pth")
    names = {
        "image_backbone": f"hf:{vision_folder(tmp_path / 'resnet', 'resnet')}",
        "text_backbone": f"hf:{text_folder(tmp_path / 'bert')}",
    }
    import_model(tmp_path / "model.pth", tmp_path / "run", **names)
    run = load_run(tmp_path / "run")
    export(run, tmp_path / "model", image_weights="float32", text_weights="float32")
    loaded = sterna.load(str(tmp_path / "model"))
    sentences = ["a dog runs in the snow", "two cats"]
    apart = loaded.encode_texts(sentences) - run.encode_texts(sentences)
    assert abs(apart).max() < 1e-4
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- **Data**: coco, not here." in card
    assert "Not measured." in card
    with pytest.raises(UsageError, match="text backbone minilm: its tokens are 384 wide; the model takes 24"):
        import_model(tmp_path / "model.pth", tmp_path / "other", text_backbone="minilm")


def test_an_imported_model_is_measured_on_features_and_trained_further(tmp_path: Path) -> None:
    from sterna.data import read
    from sterna.features import FeatureStore
    from sterna.training import encode_features, train
    from tests.training.toy import SOURCES, WORDS, make_toy, toy_settings

    toy = make_toy(tmp_path / "toy", train=12, dev=4)
    checkpoint = teran(tmp_path / "model.pth", seed=8)
    config = checkpoint["config"]
    config["image-model"]["feat-dim"], config["text-model"]["word-dim"] = sum(SOURCES), WORDS
    torch.save({**checkpoint, "model": PaperTern(config).state_dict()}, tmp_path / "model.pth")
    import_model(tmp_path / "model.pth", tmp_path / "run")
    theirs = read_earlier(tmp_path / "model.pth").model(zero_region=True)
    data = read(toy / "data")
    images, captions = encode_features(tmp_path / "run", data, toy / "features")
    stores = [FeatureStore.open(toy / "features" / kind) for kind in ("images", "captions")]
    for row, name in enumerate(data.image_ids[:3]):
        values, boxes = (
            torch.tensor(stores[0].row(column, stores[0].index_of(name)))
            for column in ("original", "original.boxes")
        )
        real = torch.ones(1, len(values), dtype=torch.bool)
        wanted = theirs.encode_images(values[None].float(), real, boxes[None])
        torch.testing.assert_close(torch.tensor(images[row]), wanted[0].detach(), atol=1e-6, rtol=0)
    assert captions.shape == (len(data.captions), config["model"]["embed-size"])

    begun = load_settings(TrainSettings, tmp_path / "run" / "settings.yaml")
    settings = toy_settings(toy, model=begun.model.model_dump(), epochs=1, init_from=tmp_path / "run")
    train(settings, tmp_path / "further")
