"""Tiny random CLIP and SigLIP models, saved as `save_pretrained` does, behind `hf:`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sterna.encoders import load
from sterna.errors import MissingExtraError, ModelError, PhotoError, UsageError
from tests.conftest import draw_photo

WORDS = ["<pad>", "<unk>", "<s>", "</s>", "a", "the", "dog", "cat", "beach", "snow", "two", "people"]
TEXT = {
    "vocab_size": 12,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZE = 32


def make_tokenizer(length: int, *, begins: bool):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>" if begins else "$A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_max_length=length,
        model_input_names=["input_ids", "attention_mask"] if begins else ["input_ids"],
    )


def save(folder: Path, model, tokenizer, processor) -> Path:
    for part in (model, tokenizer, processor):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    special = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    config = transformers.CLIPConfig(
        text_config={**TEXT, "max_position_embeddings": 20, "projection_dim": 24, **special},
        vision_config={**VISION, "image_size": SIZE, "patch_size": 8, "projection_dim": 24},
        projection_dim=24,
    )
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    )
    folder = tmp_path_factory.mktemp("hf") / "tiny-clip"
    return save(folder, transformers.CLIPModel(config), make_tokenizer(20, begins=True), processor)


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    config = transformers.SiglipConfig(
        text_config={
            **TEXT,
            "max_position_embeddings": 16,
            "pad_token_id": 0,
            "eos_token_id": 3,
            "bos_token_id": 2,
        },
        vision_config={**VISION, "image_size": SIZE, "patch_size": 8},
    )
    processor = transformers.SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    folder = tmp_path_factory.mktemp("hf") / "tiny-siglip"
    return save(folder, transformers.SiglipModel(config), make_tokenizer(16, begins=False), processor)


@pytest.fixture(params=["clip", "siglip"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_photographs_and_sentences_become_unit_vectors_of_one_space(folder: Path, photos: Path) -> None:
    model = load(f"hf:{folder}")
    paths = sorted(photos.glob("*.jpg"))
    images = model.encode_images(paths)
    texts = model.encode_texts(["a dog", "two people the beach", ""])
    assert model.name == f"hf:{folder}"
    assert images.shape == (len(paths), model.dim)
    assert texts.shape == (3, model.dim)
    for vectors in (images, texts):
        assert vectors.dtype == np.float32
        assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert model.encode_images([]).shape == model.encode_texts([]).shape == (0, model.dim)


def test_vectors_are_those_that_transformers_gives(folder: Path) -> None:
    """The slow and obvious way: one at a time, as the models' own documentation does it."""
    image = draw_photo(2, size=(70, 50))  # small enough not to be reduced on the way
    sentence = "two people the beach"
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padding = "max_length" if "siglip" in str(folder) else True
    with torch.no_grad():
        pixels = processor(images=image, return_tensors="pt")
        one = model.get_image_features(**pixels).pooler_output[0]
        tokens = tokenizer([sentence], padding=padding, return_tensors="pt")
        two = model.get_text_features(**tokens).pooler_output[0]
    ours = load(f"hf:{folder}")
    assert np.abs(ours.encode_images(image)[0] - (one / one.norm()).numpy()).max() < 1e-5
    assert np.abs(ours.encode_texts(sentence)[0] - (two / two.norm()).numpy()).max() < 1e-5


def test_an_embedding_does_not_depend_on_its_batch(folder: Path, photos: Path) -> None:
    model = load(f"hf:{folder}", threads=torch.get_num_threads())
    sentences = ["dog", "a cat the snow two people", "beach " * 50, "\ud800 dog", "zebra"]
    together = model.encode_texts(sentences)
    alone = np.concatenate([model.encode_texts(sentence) for sentence in sentences])
    assert np.abs(together - alone).max() < 1e-5
    paths = sorted(photos.glob("*.jpg"))
    alone = np.concatenate([model.encode_images(path) for path in paths])
    assert np.abs(model.encode_images(paths) - alone).max() < 1e-5


def test_a_bad_photograph_spoils_no_other(clip: Path, photos: Path) -> None:
    model = load(f"hf:{clip}")
    paths = sorted(photos.glob("*.jpg"))
    expected = model.encode_images(paths)
    answers = list(model.stream_images([paths[0], b"", paths[1]]))
    assert [answer.error is None for answer in answers] == [True, False, True]
    assert answers[2].vector is not None
    assert np.abs(answers[2].vector - expected[1]).max() < 1e-5
    with pytest.raises(PhotoError, match="photograph 2 of 2: the file is empty"):
        model.encode_images([paths[0], b""])


@pytest.mark.parametrize("size", [(3000, 20), (20, 3000), (40_000, 1), (1, 40_000)])
def test_a_thin_photograph_takes_no_more_memory_than_others(
    folder: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And gets the vector that its processor would have given it, had there been the memory."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    model = load(f"hf:{folder}")
    bare = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    whole = None
    if min(size) > 1:
        with torch.no_grad():
            whole = bare.get_image_features(**processor(images=image, return_tensors="pt")).pooler_output[0]
    largest = 0
    resize = Image.Image.resize

    def watched(self: Image.Image, size: tuple[int, int], *arguments: object, **options: object) -> object:
        nonlocal largest
        # Pillow resizes the width first, for all rows
        largest = max(largest, size[0] * size[1], size[0] * self.height)
        return resize(self, size, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    vector = model.encode_images(image)[0]
    assert 0 < largest <= 32 * 32 * 16
    if whole is not None:
        assert np.abs(vector - (whole / whole.norm()).numpy()).max() < 0.02


def test_a_thin_photograph_is_refused_where_nothing_can_be_cut_off_it(clip: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(clip, tmp_path / "whole"))
    settings = json.loads((copied / "preprocessor_config.json").read_text(encoding="utf-8"))
    settings["do_center_crop"] = False
    (copied / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    Image.new("RGB", (900, 100)).save(tmp_path / "thin.png")
    with pytest.raises(PhotoError) as caught:
        load(f"hf:{copied}").encode_images(tmp_path / "thin.png")
    reason = "900 x 100 pixels: too long and thin for this model, which takes up to 8 to 1"
    assert str(caught.value) == f"{tmp_path / 'thin.png'}: {reason}"


def test_the_fingerprint_follows_weights_and_preprocessing(clip: Path, siglip: Path, tmp_path: Path) -> None:
    prints = [load(f"hf:{path}").fingerprint for path in (clip, clip, siglip)]
    assert prints[0] == prints[1] != prints[2]
    copied = Path(shutil.copytree(clip, tmp_path / "renamed"))
    assert load(f"hf:{copied}").fingerprint == prints[0]
    settings = json.loads((copied / "preprocessor_config.json").read_text(encoding="utf-8"))
    settings["image_mean"] = [0.1, 0.2, 0.3]
    (copied / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert load(f"hf:{copied}").fingerprint != prints[0]


def test_pickled_weights_are_refused(clip: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(clip, tmp_path / "pickled"))
    (copied / "model.safetensors").unlink()
    torch.save({}, copied / "pytorch_model.bin")
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load(f"hf:{copied}")


def test_damaged_weights_and_models_of_another_kind_are_one_sentence(clip: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(clip, tmp_path / "damaged"))
    (copied / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="transformers cannot load it") as caught:
        load(f"hf:{copied}")
    assert "\n" not in str(caught.value)
    config = transformers.BertConfig(
        vocab_size=12, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(copied)
    with pytest.raises(
        ModelError, match="a BertModel does not encode both images and text; CLIP and SigLIP do"
    ):
        load(f"hf:{copied}")


def test_a_name_that_cannot_be_found_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/nothing", str(tmp_path / "gone"), "a b"):
        with pytest.raises(ModelError) as caught:
            load(f"hf:{name}")
        assert str(caught.value).startswith(f"hf:{name}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="names no model"):
        load("hf:")


def test_without_transformers_the_extra_is_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers.utils", None)
    with pytest.raises(
        MissingExtraError, match=r"A model of Hugging Face needs an extra part: pip install 'sterna\[hf\]'"
    ):
        load(f"hf:{clip}")


def test_loading_says_nothing_on_the_terminal(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(f"hf:{clip}").encode_texts("a dog")
    assert capfd.readouterr() == ("", "")
