"""Configs and weights of both earlier implementations become models that compute the same."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from sterna.errors import ModelError, SternaError, UsageError
from sterna.model import from_reimplementation, from_tern
from tests.model.earlier import PaperTern, Rewrite, paper_config, rewrite_config, rewrite_state

SEEDS = range(16)
ONE_SIDED = (
    {"image-aggregation": None, "text-aggregation": "first", "shared-transformer": True},
    {"image-aggregation": "gated", "text-aggregation": None, "shared-transformer": True},
    {"image-aggregation": "gru", "text-aggregation": None, "shared-transformer": False},
    {"image-aggregation": None, "text-aggregation": "sum-and-map", "shared-transformer": False},
)


def padded_rows(*widths: int, lengths: tuple[int, ...] = (7, 3, 1, 5)) -> tuple[torch.Tensor, ...]:
    """A mask, and random rows of each width; what stands at padding is not a number."""
    mask = torch.arange(max(lengths) + 2) < torch.tensor(lengths)[:, None]
    rows = [torch.rand(*mask.shape, width) for width in widths]
    return mask, *(one.masked_fill(~mask[..., None], torch.nan) for one in rows)


def one_by_one(mask: torch.Tensor, encode: Callable[..., torch.Tensor], *rows: torch.Tensor) -> torch.Tensor:
    return torch.stack([encode(*(one[row, mask[row]] for one in rows)) for row in range(len(mask))])


@pytest.mark.parametrize(
    ("seed", "changes"), [*((seed, {}) for seed in SEEDS), *enumerate(ONE_SIDED, start=100)]
)
@torch.no_grad()
def test_any_of_the_papers_models_computes_the_same(seed: int, changes: dict[str, Any]) -> None:
    torch.manual_seed(seed)
    config = paper_config(seed, **changes)
    theirs = PaperTern(config).eval()
    ours = from_tern(config, theirs.state_dict())
    mask, regions, boxes, tokens = padded_rows(
        config["image-model"]["feat-dim"], 4, config["text-model"]["word-dim"]
    )
    images, texts = one_by_one(mask, theirs.image, regions, boxes), one_by_one(mask, theirs.text, tokens)
    torch.testing.assert_close(ours.encode_images(regions, mask, boxes), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.encode_texts(tokens, mask), texts, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_any_of_the_reimplementations_models_computes_the_same(seed: int) -> None:
    torch.manual_seed(seed)
    config = rewrite_config(seed)
    theirs = Rewrite(config, rewrite_state(config))
    ours = from_reimplementation(config, theirs.state)
    mask, regions, places, tokens = padded_rows(10, 5, config["d_model"])
    images, texts = one_by_one(mask, theirs.image, regions, places), one_by_one(mask, theirs.text, tokens)
    torch.testing.assert_close(ours.encode_images(regions, mask, places), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.encode_texts(tokens, mask), texts, atol=1e-5, rtol=0)
    corners = places[..., :4].sort(-1).values
    area = (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])
    whole = torch.cat((corners, area[..., None]), dim=-1)
    same = ours.encode_images(regions, mask, corners) - ours.encode_images(regions, mask, whole)
    assert same.abs().max() < 1e-6


def test_a_region_of_zeros_is_put_before_the_others_where_it_is_asked_for() -> None:
    config = paper_config(3, **{"image-aggregation": "first"})
    state = PaperTern(config).state_dict()
    mask, regions, boxes = padded_rows(config["image-model"]["feat-dim"], 4)
    wanted = from_tern(config, state).read_images(
        torch.cat((torch.zeros_like(regions[:, :1]), regions), 1),
        torch.cat((torch.ones(4, 1, dtype=torch.bool), mask), 1),
        torch.cat((torch.zeros(4, 1, 4), boxes), 1),
    )
    read = from_tern(config, state, zero_region=True).read_images(regions, mask, boxes)
    torch.testing.assert_close(read.vectors, wanted.vectors, atol=1e-6, rtol=0)
    torch.testing.assert_close(read.items, wanted.items[:, 1:], atol=1e-6, rtol=0)
    assert torch.equal(read.mask, mask)
    assert torch.equal(wanted.mask[:, 1:], mask)
    assert not wanted.mask[:, 0].any()


@pytest.mark.parametrize("prefix", ["img_txt_enc.", "module.img_txt_enc.", "img_txt_enc.module."])
def test_names_may_begin_with_what_wrapped_the_model_and_bert_is_passed_over(prefix: str) -> None:
    config = paper_config(1)
    state = PaperTern(config).state_dict()
    wrapped = {f"{prefix}{name}": value.half() for name, value in state.items()}
    wrapped[f"{prefix}txt_enc.bert_model.embeddings.position_ids"] = torch.arange(3)
    wrapped[f"{prefix}txt_enc.word_embeddings.weight"] = torch.randn(3, 2)
    ours, plain = from_tern(config, wrapped), from_tern(config, state)
    for name, value in plain.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value.half().float())
    config = rewrite_config(1)
    rewritten = rewrite_state(config)
    outer = {"settings": {"model": {"name": "TERN", "args": config}, "trainloader": {}}}
    again = from_reimplementation(outer, {f"module.{name}": value for name, value in rewritten.items()})
    assert again.config() == from_reimplementation(config, rewritten).config()


def test_an_imported_model_is_built_again_from_its_config() -> None:
    for model in (
        from_tern(paper_config(2), PaperTern(paper_config(2)).state_dict()),
        from_reimplementation(rewrite_config(2), rewrite_state(rewrite_config(2))),
    ):
        again = type(model).from_config(model.config())
        again.load_state_dict(model.state_dict())
        assert not model.training


def changed(config: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    new = copy.deepcopy(config)
    *sections, key = place.split("/")
    inner = new
    for section in sections:
        inner = inner[section]
    if value is None:
        del inner[key]
    else:
        inner[key] = value
    return new


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("image-model", None, "config: image-model is missing"),
        ("model/embed-size", None, "config: model.embed-size is missing"),
        ("model/text-aggregation", None, "config: model.text-aggregation is missing"),
        ("text-model/layers", "two", "config: text-model.layers is a whole number; came 'two'"),
        ("model/dropout", "much", "config: model.dropout is a share from 0 up to, but not, 1; came 'much'"),
        ("image-model/dropout", 1.0, "config: image-model.dropout is a share from 0 up to, but not, 1; came"),
        ("training", "fast", "config: training is a section of values; came 'fast'"),
        ("image-model", [1], "config: image-model is a section of values; came [1]"),
        ("text-model/name", "gru", "config: text-model.name is 'gru'; only 'bert' can be brought over"),
        ("image-model/name", "cnn", "config: image-model.name is 'cnn'; only 'bottomup' can be brought over"),
        (
            "image-model/pos-encoding",
            "sine",
            "image-model.pos-encoding='sine' is not known; known: null, con",
        ),
        ("image-model/pos-encoding", ["sine"], "image-model.pos-encoding=['sine'] is not known; known: null"),
        ("model/image-aggregation", "median", "model.image-aggregation='median' is not known; known: first"),
        ("model/text-aggregation", ["sum"], "model.text-aggregation=\"['sum']\" is not known; known: first"),
        ("model/embed-size", -1, "model.image: embedding=-1: a width of 1 or more is needed"),
        (
            "image-model/transformer-layers",
            9,
            "weights: 72 are missing (img_enc.transformer_encoder.layers.3.self_attn.in_proj_weight, ",
        ),
        (
            "image-model/transformer-layers",
            1,
            "weights: 24 are not known (img_enc.transformer_encoder.layers.1.self_attn.in_proj_weight, ",
        ),
        (
            "model/embed-size",
            40,
            "weights: what becomes image.items.projection.weight is of shape (12, 20), and by the config "
            "(40, 20) is needed; is the config that of these weights?",
        ),
    ],
)
def test_what_is_wrong_with_one_of_the_papers_models_is_named(
    place: str, value: object, message: str
) -> None:
    config = paper_config(
        4, **{"image-aggregation": "sum", "text-aggregation": "sum", "shared-transformer": True}
    )
    config["image-model"]["transformer-layers"] = 3
    config["model"]["embed-size"] = 12
    state = PaperTern(config).state_dict()
    with pytest.raises(SternaError, match=re.escape(message)):
        from_tern(changed(config, place, value), state)


def test_what_is_wrong_with_one_of_the_reimplementations_models_is_named() -> None:
    config = rewrite_config(0)
    state = rewrite_state(config)
    with pytest.raises(UsageError, match="config: num_sw_layers is a whole number; came 'two'"):
        from_reimplementation({**config, "num_sw_layers": "two"}, state)
    with pytest.raises(UsageError, match="config: d_ff is missing"):
        from_reimplementation(changed(config, "d_ff", None), state)
    with pytest.raises(UsageError, match="config: aggregation='gated' is not known; known: first, max, mean"):
        from_reimplementation({**config, "aggregation": "gated"}, state)
    with pytest.raises(UsageError, match="config: model.name is 'SGRAF'; only 'TERN' can be brought over"):
        from_reimplementation({"model": {"name": "SGRAF", "args": {}}}, state)
    less = {"extra": torch.ones(1)} | state
    del less["encoder_v.cls_token2"]
    with pytest.raises(ModelError, match=r"1 are missing \(encoder_v.cls_token2\) and 1 are not known \(ext"):
        from_reimplementation(config, less)
    state["encoder_v.loc_embed.linear.weight"] = torch.ones(config["d_model"], 6)
    with pytest.raises(UsageError, match="encoder_v.loc_embed reads 6 numbers a region; known: 4, 5, 7"):
        from_reimplementation(config, state)
