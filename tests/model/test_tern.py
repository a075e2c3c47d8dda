from __future__ import annotations

import io
import json
import re

import pytest

torch = pytest.importorskip("torch")

import numpy as np
from torch import nn

from sterna.errors import UsageError
from sterna.model import POOLINGS, POSITIONS, TERN, Tower, TransformerEncoder, build_model

SMALL = {"embedding": 16, "width": 16, "heads": 4, "feedforward": 32}
SECOND_STAGES = ("none", "own", "shared")
COMMON = {"absolute", "activation", "heads", "layer_norm", "norm", "second_at"}


def batch(seed: int, *, images: int = 6, regions: int = 9, dim: int = 16) -> tuple[torch.Tensor, ...]:
    """Values, masks and boxes of rows of 1 to `regions` items; what stands at padding is not a number."""
    torch.manual_seed(seed)
    lengths = torch.randint(1, regions + 1, (images, 1))
    lengths[0] = regions
    mask = torch.arange(regions) < lengths
    values = torch.randn(images, regions, dim).masked_fill(~mask[..., None], torch.nan)
    corners = torch.rand(images, regions, 2, 2).sort(2).values
    return values, mask, corners.flatten(2).masked_fill(~mask[..., None], torch.nan)


def small_model(
    *,
    pooling: str = "mean",
    positions: str = "none",
    skip: bool = False,
    second: str = "none",
    **options: object,
) -> TERN:
    """Both towers alike, in evaluation mode, with corrections that are not zero."""
    common = {name: value for name, value in options.items() if name in COMMON}
    side = {
        "layers": 1,
        "pooling": pooling,
        "skip": skip,
        "skip_hidden": 24,
        "cls_token": pooling == "first",
        "second_layers": 1 if second == "own" else 0,
        **{name: value for name, value in options.items() if name not in COMMON | {"box_numbers"}},
    }
    boxed = {"box_numbers": options["box_numbers"]} if "box_numbers" in options else {}
    torch.manual_seed(0)
    model = build_model(
        [6, 10],
        [16],
        **SMALL,
        **common,
        shared_layers=1 if second == "shared" else 0,
        image={**side, **boxed, "positions": positions},
        text={**side, "positions": positions if positions in ("learned", "none") else "none"},
    ).eval()
    for tower in (model.image, model.text):
        if tower.items is not None and tower.items.correction is not None:
            nn.init.normal_(tower.items.correction.weight)
    return model


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("second", SECOND_STAGES)
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_an_embedding_does_not_depend_on_its_batch(pooling: str, skip: bool, second: str, norm: str) -> None:
    model = small_model(pooling=pooling, positions="boxes", skip=skip, second=second, norm=norm)
    values, mask, boxes = batch(1)
    together = model.encode_images(values, mask, boxes)
    assert together.isfinite().all()
    for row in range(len(values)):
        real = mask[row]
        alone = model.encode_images(
            values[row : row + 1, real], mask[row : row + 1, real], boxes[row : row + 1, real]
        )
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_an_embedding_does_not_depend_on_its_batch_in_float32_too(pooling: str, norm: str) -> None:
    model = small_model(pooling=pooling, positions="boxes", skip=norm == "pre", second="shared", norm=norm)
    values, mask, boxes = batch(1)
    together = model.encode_images(values, mask, boxes)
    assert together.isfinite().all()
    for row, real in enumerate(mask):
        alone = model.encode_images(values[row, None, real], mask[row, None, real], boxes[row, None, real])
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize("positions", ["learned", "none"])
def test_a_caption_does_not_depend_on_longer_ones(positions: str) -> None:
    model = small_model(pooling="attention", positions=positions, second="shared")
    values, mask, _ = batch(2)
    longer = torch.cat((values, torch.full((6, 5, 16), torch.nan)), dim=1)
    padded = torch.cat((mask, torch.zeros(6, 5, dtype=torch.bool)), dim=1)
    torch.testing.assert_close(
        model.encode_texts(longer, padded), model.encode_texts(values, mask), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("positions", sorted(POSITIONS))
@pytest.mark.parametrize("pooling", sorted(POOLINGS))
@pytest.mark.parametrize("skip", [True, False])
def test_vectors_have_unit_length_and_rows_without_items_are_finite(
    pooling: str, positions: str, skip: bool
) -> None:
    model = small_model(pooling=pooling, positions=positions, skip=skip)
    values, mask, boxes = batch(3)
    mask = mask.clone()
    mask[2] = False
    vectors = model.encode_images(values, mask, boxes)
    assert vectors.shape == (6, 16)
    assert vectors.isfinite().all()
    others = torch.arange(6) != 2
    torch.testing.assert_close(vectors[others].norm(dim=1), torch.ones(5))
    vectors.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("pooling", ["attention", "gpo", "max", "mean", "sum"])
def test_without_positions_the_order_of_regions_does_not_matter(pooling: str) -> None:
    model = small_model(pooling=pooling, skip=True)
    values, mask, _ = batch(4)
    order = torch.randperm(9)
    shuffled = model.encode_images(values[:, order], mask[:, order])  # real items stand among padding
    torch.testing.assert_close(shuffled, model.encode_images(values, mask), atol=1e-6, rtol=0)


@pytest.mark.parametrize("positions", ["boxes", "concat"])
def test_boxes_make_a_difference(positions: str) -> None:
    model = small_model(positions=positions)
    values, mask, boxes = batch(5)
    moved = model.encode_images(values, mask, boxes.flip(0).nan_to_num())
    assert (moved - model.encode_images(values, mask, boxes)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("pooling", "slow"),
    [
        ("first", lambda rows: rows[0]),
        ("sum", sum),
        ("mean", lambda rows: sum(rows) / len(rows)),
        ("max", lambda rows: torch.stack([max(column) for column in torch.stack(rows).T])),
    ],
)
def test_simple_poolings_equal_their_formulas(pooling: str, slow: object) -> None:
    values, mask, _ = batch(6)
    pooled = POOLINGS[pooling](16, 5)(values.nan_to_num(), mask)
    for row in range(6):
        torch.testing.assert_close(
            pooled[row], slow([v for v, real in zip(values[row], mask[row], strict=True) if real])
        )


def test_attention_pooling_is_a_weighted_mean() -> None:
    pool = POOLINGS["attention"](16, 5)
    values, mask, _ = batch(7)
    pooled = pool(values.nan_to_num(), mask)
    for row in range(6):
        real = values[row, mask[row]]
        scores = [pool.score(torch.tanh(pool.hidden(item))).item() for item in real]
        total = sum(np.exp(scores))
        wanted = sum(item * float(np.exp(score) / total) for item, score in zip(real, scores, strict=True))
        torch.testing.assert_close(pooled[row], wanted, atol=1e-6, rtol=1e-5)


def test_generalized_pooling_equals_the_published_code_on_packed_sequences() -> None:
    pool = POOLINGS["gpo"](16, 5)
    values, mask, _ = batch(8)
    gru = nn.GRU(32, 32, batch_first=True, bidirectional=True)
    state = {**pool.forwards.state_dict()}
    state |= {f"{name}_reverse": value for name, value in pool.backwards.state_dict().items()}
    gru.load_state_dict(state)
    lengths = mask.sum(1)
    codes = torch.zeros(9, 32)
    place = torch.arange(9.0)[:, None]
    rates = torch.exp(torch.arange(0, 32, 2) * -(np.log(10000.0) / 32))
    codes[:, 0::2], codes[:, 1::2] = torch.sin(place * rates), torch.cos(place * rates)
    packed = nn.utils.rnn.pack_padded_sequence(
        codes.repeat(6, 1, 1), lengths, batch_first=True, enforce_sorted=False
    )
    out, _ = nn.utils.rnn.pad_packed_sequence(gru(packed)[0], batch_first=True)
    scores = pool.score((out[..., :32] + out[..., 32:]) / 2).masked_fill(~mask[..., None], -10000)
    weights = torch.softmax(scores / 0.1, 1)
    ordered = values.masked_fill(~mask[..., None], -10000).sort(dim=1, descending=True).values
    wanted = (ordered.masked_fill(~mask[..., None], 0) * weights).sum(1)
    torch.testing.assert_close(pool(values.nan_to_num(), mask), wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_the_encoder_equals_torchs_own(norm: str, activation: str) -> None:
    ours = TransformerEncoder(16, 2, heads=4, feedforward=32, norm=norm, activation=activation).eval()
    layer = nn.TransformerEncoderLayer(
        16, 4, dim_feedforward=32, activation=activation, batch_first=True, norm_first=norm == "pre"
    )
    final = nn.LayerNorm(16) if norm == "pre" else None
    theirs = nn.TransformerEncoder(layer, 2, norm=final, enable_nested_tensor=False).eval()
    theirs.load_state_dict({_torchs_name(name): value for name, value in ours.state_dict().items()})
    values, mask, _ = batch(9)
    values = values.nan_to_num()
    real = mask[..., None].float()
    wanted = theirs(values, src_key_padding_mask=~mask)
    torch.testing.assert_close(ours(values, mask) * real, wanted * real, atol=1e-5, rtol=1e-5)


def _torchs_name(name: str) -> str:
    for ours, theirs in (
        ("attention.inputs.", "self_attn.in_proj_"),
        ("attention.output", "self_attn.out_proj"),
        ("expand", "linear1"),
        ("contract", "linear2"),
    ):
        name = name.replace(ours, theirs)
    return name


def test_a_skip_path_without_a_hidden_layer_is_a_linear_map_of_the_normalised_mean() -> None:
    model = build_model([6], [16], **SMALL, image={"skip_hidden": 0}).eval()
    values = torch.randn(3, 4, 6)
    mean = torch.nn.functional.layer_norm(values.mean(1), (6,))
    wanted = mean @ model.image.skip.linear.weight.T + model.image.skip.linear.bias
    came = model.encode_images(values, torch.ones(3, 4, dtype=torch.bool))
    torch.testing.assert_close(came, torch.nn.functional.normalize(wanted, dim=1))
    with pytest.raises(UsageError, match="skip_hidden=-1"):
        build_model([6], [16], **SMALL, image={"skip_hidden": -1})


def test_the_skip_path_equals_its_formula() -> None:
    model = build_model([6, 10], [16], **SMALL, image={"skip_hidden": 24}).eval()
    path = model.image.skip
    assert model.image.items is None
    values, mask, _ = batch(10)
    mean = torch.stack([values[row, mask[row]].mean(0) for row in range(6)])
    normed = torch.cat((path.norm.norms[0](mean[:, :6]), path.norm.norms[1](mean[:, 6:])), dim=1)
    linear1, norm, _, dropout, linear2 = path.hidden
    total = linear2(nn.functional.gelu(norm(linear1(normed)))) + path.linear(normed)
    assert dropout.p == 0.4
    torch.testing.assert_close(model.encode_images(values, mask), total / total.norm(dim=1, keepdim=True))


def test_statistics_are_the_mean_and_the_deviation_of_the_real_items_side_by_side() -> None:
    model = build_model([6, 10], [16], **SMALL, image={"skip_hidden": 0, "skip_pooling": "statistics"}).eval()
    values, mask, _ = batch(17)
    rows = [values[row, mask[row]] for row in range(6)]
    pooled = torch.cat([torch.stack([one.mean(0), one.std(0, correction=0)]) for one in rows], dim=1)
    pooled = pooled.reshape(2, 6, 16).transpose(0, 1)
    sources = (pooled[:, 0, :6], pooled[:, 0, 6:], pooled[:, 1, :6], pooled[:, 1, 6:])
    normed = [nn.functional.layer_norm(one, one.shape[1:]) for one in sources]
    several = mask.sum(1) > 1  # one item alone has no deviation
    wanted = nn.functional.normalize(model.image.skip.linear(torch.cat(normed, dim=1)), dim=1)
    torch.testing.assert_close(
        model.encode_images(values, mask)[several], wanted[several], atol=2e-4, rtol=1e-3
    )


def test_statistics_of_one_item_or_none_can_be_trained() -> None:
    model = build_model([6], [16], **SMALL, image={"skip_pooling": "statistics"})
    values = torch.randn(3, 4, 6, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True, False, False, False], [False] * 4])
    model.encode_images(values, mask).sum().backward()
    assert values.grad.isfinite().all()
    assert all(one.grad.isfinite().all() for one in model.image.parameters())


def test_the_transformer_starts_as_a_correction_of_exactly_zero() -> None:
    torch.manual_seed(0)
    model = build_model([16], [16], **SMALL, shared_layers=1, image={"layers": 1}, text={"layers": 1}).eval()
    values, mask, boxes = batch(11)
    whole = model.encode_images(values, mask, boxes)
    model.image.items = None
    assert torch.equal(model.encode_images(values, mask), whole)


def test_the_correction_learns_although_it_starts_at_zero() -> None:
    torch.manual_seed(0)
    model = build_model([16], [16], **SMALL, image={"layers": 1, "dropout": 0.0, "skip_dropout": 0.0})
    rate = torch.optim.SGD(model.image.items.parameters(), lr=1.0)
    values, mask, boxes = batch(12)
    target = nn.functional.normalize(torch.randn(6, 16), dim=1)
    for _ in range(2):
        rate.zero_grad()
        loss = -(model.encode_images(values, mask, boxes) * target).sum()
        loss.backward()
        rate.step()
    assert model.image.items.correction.weight.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.image.items.encoder.parameters())


def test_a_shared_stage_is_one_set_of_weights_and_an_own_one_is_two() -> None:
    def count(model: nn.Module) -> int:
        return sum(p.numel() for p in model.parameters())

    alone, own, shared = (count(small_model(second=second)) for second in SECOND_STAGES)
    assert own - alone == 2 * (shared - alone) > 0
    model = small_model(second="shared")
    names = list(model.state_dict())
    assert len({value.data_ptr() for value in model.state_dict().values()}) == len(names)
    assert any(name.startswith("shared.") for name in names)


def test_items_are_dropped_in_training_only_and_never_all_of_a_row() -> None:
    torch.manual_seed(0)
    tower = Tower(sources=[16], embedding=16, skip=False, drop_items=0.9, inputs="linear")
    values, mask, _ = batch(13)
    torch.testing.assert_close(tower.eval()(values, mask), tower(values, mask))
    tower.train()
    vectors = [tower(values, mask) for _ in range(50)]
    assert all(v.isfinite().all() for v in vectors)
    assert all((v.norm(dim=1) - 1).abs().max() < 1e-5 for v in vectors)
    assert any((v - vectors[0]).abs().max() > 1e-3 for v in vectors)
    one = torch.arange(9) < 1
    lone = one.expand(6, 9)
    assert all(
        torch.equal(tower(values, lone), tower.eval()(values, lone)) and tower.train() for _ in range(20)
    )


def test_dropping_takes_the_asked_share_and_spares_a_first_token() -> None:
    torch.manual_seed(0)
    mask = torch.ones(200, 100, dtype=torch.bool)
    mask[:, 90:] = False
    kept = Tower(sources=[4], drop_items=0.3)._kept(mask)
    assert not kept[:, 90:].any()
    assert kept[:, :90].float().mean().item() == pytest.approx(0.7, abs=0.02)
    assert Tower(sources=[4], drop_items=0.9, pooling="first")._kept(mask)[:, 0].all()


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_seeds_fix_the_weights_and_the_computing(pooling: str) -> None:
    def make() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        model = small_model(pooling=pooling, positions="boxes", skip=True, second="shared").train()
        values, mask, boxes = batch(14)
        torch.manual_seed(1)
        vectors = model.encode_images(values, mask, boxes)
        vectors.square().sum().backward()
        return vectors, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    (vectors, grads), (again, again_grads) = make(), make()
    assert torch.equal(vectors, again)
    assert all(torch.equal(grads[name], again_grads[name]) for name in grads)


def test_a_config_goes_through_json_and_builds_the_same_model() -> None:
    model = build_model(
        (6, 10), (16,), **SMALL, shared_layers=1, image={"layers": 2, "pooling": "gpo"}, text={"skip": False}
    ).eval()
    again = TERN.from_config(json.loads(json.dumps(model.config()))).eval()
    assert again.config() == model.config()
    again.load_state_dict(model.state_dict())
    values, mask, boxes = batch(15)
    assert torch.equal(again.encode_images(values, mask, boxes), model.encode_images(values, mask, boxes))


def test_what_config_gives_is_a_copy() -> None:
    model = build_model([4], [4], image={"layers": 0})
    model.config()["image"]["layers"] = 7
    assert model.config()["image"]["layers"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image": {"layers": 1, "heads": 5}},
            "model.image: heads=5: the width of 512 must be divisible by the number",
        ),
        (
            {"text": {"pooling": "median"}},
            "model.text: pooling='median' is not known; known: attention, first, gated, gpo, gru, kmax, max",
        ),
        (
            {"image": {"poling": "max"}},
            "model.image: poling is not known; known: activation, box_numbers, cls_token",
        ),
        ({"norm": "batch", "image": {"layers": 1}}, "norm='batch' is not known; known: post, pre"),
        ({"activation": "tanh", "text": {"layers": 1}}, "activation='tanh' is not known; known: gelu, relu"),
        ({"text": {"positions": "boxes"}}, "model.text: positions='boxes' needs boxes, which tokens lack"),
        (
            {"image": {"positions": "sine"}},
            "positions='sine' is not known; known: boxes, concat, learned, none",
        ),
        ({"image": {"drop_items": 1.0}}, "drop_items=1.0: a probability from 0 up to, but not, 1"),
        ({"image": {"layers": -1}}, "layers=-1: a number of layers is 0 or more"),
        (
            {"shared_layers": 1, "text": {"second_layers": 1}},
            "second_layers=1: a second stage is either a tower's own",
        ),
        (
            {"image": {"inputs": "none", "layers": 1}},
            "inputs='none': the width of 512 has to be that of the inputs",
        ),
        ({"shared_layers": 1, "embedding": 30}, "heads=8: the width of 30 must be divisible"),
        (
            {"image": {"positions": "concat"}},
            "model.image: positions='concat' would change nothing: this tower pools its items before all else",
        ),
        ({"text": {"positions": "learned"}}, "model.text: positions='learned' would change nothing"),
        ({"image": {"inputs": "linear"}}, "model.image: inputs='linear' would change nothing"),
        ({"text": {"cls_token": True}}, "model.text: cls_token=True would change nothing"),
        ({"image": {"width": 64}}, "model.image: width=64 would change nothing"),
        (
            {"text": {"layers": 1, "max_items": 9}},
            "model.text: max_items=9 would change nothing: it counts the places of positions='learned'",
        ),
        (
            {"image": {"pooling": "max", "dropout": 0.3}},
            "model.image: dropout=0.3 would change nothing: this tower has no layers of its own",
        ),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        build_model([8], [8], **options)


@pytest.mark.parametrize(
    "image",
    [
        {"layers": 1, "heads": 4, "feedforward": 32, "dropout": 0.0, "norm": "post", "activation": "relu"},
        {"second_layers": 1, "dropout": 0.3},
        {"pooling": "max", "positions": "learned", "max_items": 9, "inputs": "linear", "width": 16},
        {"skip": False, "cls_token": True, "pooling": "first"},
        {"positions": "none", "drop_items": 0.5},
        {"positions": "boxes"},
        {"skip": False, "skip_dropout": 0.1, "skip_pooling": "statistics"},
        {"skip_pooling": "statistics"},
    ],
    ids=str,
)
def test_options_that_change_something_are_taken(image: dict[str, object]) -> None:
    assert build_model([8], [8], image=image).config()["image"] == {"positions": "boxes"} | image


def test_sources_are_checked() -> None:
    for sources in ([], [0], [8, -1]):
        with pytest.raises(UsageError, match="one or more positive widths are needed"):
            build_model(sources, [8])


def test_an_unknown_or_missing_name_in_a_config_is_named() -> None:
    config = build_model([8], [8]).config()
    with pytest.raises(UsageError, match="model: depth is not known; known: absolute, activation, dropout"):
        TERN.from_config({**config, "depth": 3})
    with pytest.raises(UsageError, match=r"model.image: a mapping of options is needed; came 3"):
        TERN.from_config({**config, "image": 3})
    del config["text_sources"]
    with pytest.raises(UsageError, match="model: text_sources is missing"):
        TERN.from_config(config)


def test_inputs_that_do_not_fit_are_named() -> None:
    model = small_model(positions="boxes")
    values, mask, boxes = batch(16)
    with pytest.raises(UsageError, match="values have a width of 5; this tower takes 16"):
        model.encode_images(values[..., :5], mask, boxes)
    with pytest.raises(UsageError, match="positions='boxes' needs boxes"):
        model.encode_images(values, mask)
    longer = torch.zeros(1, 200, 16)
    with pytest.raises(UsageError, match="max_items=128: 200 items came"):
        small_model(positions="learned").encode_texts(longer, torch.ones(1, 200, dtype=torch.bool))


class _Images(nn.Module):
    def __init__(self, model: TERN) -> None:
        super().__init__()
        self.model = model

    def forward(self, values: torch.Tensor, mask: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        return self.model.encode_images(values, mask.bool(), boxes)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", "ignore::UserWarning"
)
@pytest.mark.parametrize(
    ("pooling", "options"),
    [
        ("attention", {"positions": "concat", "box_numbers": "size"}),
        ("first", {"positions": "concat", "cls_token": "zero", "second": "own"}),
        ("gated", {"positions": "boxes", "norm": "post"}),
        ("gpo", {"positions": "concat", "second": "shared"}),
        ("gru", {"positions": "learned", "skip": True}),
        ("kmax", {"positions": "boxes", "box_numbers": "corners", "k": 3}),
        ("max", {"positions": "learned", "cls_token": True, "norm": "post"}),
        ("mean", {"positions": "boxes", "layer_norm": "deviation", "second_at": "width", "second": "shared"}),
        ("sum", {"positions": "boxes", "cls_token": "pair", "layer_norm": "deviation"}),
        ("sum-network", {"positions": "none", "projection": "network", "absolute": True}),
    ],
)
def test_every_pooling_exports_to_onnx_with_any_batch_and_length(
    pooling: str, options: dict[str, object]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = small_model(pooling=pooling, **options)

    def inputs(images: int, regions: int) -> tuple[torch.Tensor, ...]:
        values, mask, boxes = batch(images, images=images, regions=regions)
        return values.nan_to_num(), mask.long(), boxes.nan_to_num()

    file = io.BytesIO()
    names = ["values", "mask", "boxes"]
    torch.onnx.export(
        _Images(model).eval(),
        inputs(3, 7),
        file,
        dynamo=False,
        opset_version=17,
        input_names=names,
        output_names=["vectors"],
        dynamic_axes={name: {0: "N", 1: "R"} for name in names} | {"vectors": {0: "N"}},
    )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    taken = {item.name for item in session.get_inputs()}  # boxes are left out where nothing reads them
    for images, regions in ((1, 1), (4, 12), (3, 7), (2, 30)):
        arguments = inputs(images, regions)
        feeds = {name: value.numpy() for name, value in zip(names, arguments, strict=True) if name in taken}
        wanted = _Images(model)(*arguments).detach().numpy()
        np.testing.assert_allclose(session.run(None, feeds)[0], wanted, atol=1e-5)


def test_layers_drop_attention_weights_and_what_the_feed_forward_part_makes() -> None:
    shapes: list[tuple[int, ...]] = []
    encoder = TransformerEncoder(16, 1, heads=4, feedforward=32, dropout=0.5).train()
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            assert module.p == 0.5
            module.register_forward_hook(lambda _, given, __: shapes.append(tuple(given[0].shape)))
    encoder(torch.randn(2, 3, 16), torch.ones(2, 3, dtype=torch.bool))
    assert shapes == [(2, 4, 3, 3), (2, 3, 16), (2, 3, 32), (2, 3, 16)]
