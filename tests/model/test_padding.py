"""Padding is masked: an embedding depends on its own items, whatever stands beside or between them."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.model import BOX_NUMBERS, POOLINGS, POSITIONS, TERN, build_model


@st.composite
def configs(draw: st.DrawFn, pooling: str, norm: str) -> dict[str, Any]:
    """Models of one pooling and norm, and anything else: depths, widths, positions, stages, paths."""
    shared = draw(st.integers(0, 2))
    side: dict[str, Any] = {
        "pooling": pooling,
        "layers": draw(st.integers(0, 2)),
        "second_layers": 0 if shared else draw(st.integers(0, 1)),
        "projection": draw(st.sampled_from(["linear", "network"])),
        "skip": draw(st.booleans()),
        "skip_hidden": draw(st.sampled_from([0, 7])),
        "skip_pooling": draw(st.sampled_from(["mean", "statistics"])),
        "cls_token": draw(st.sampled_from([False, True, "pair", "zero"])),
        "inputs": draw(st.sampled_from(["norm", "linear"])),
    }
    if pooling == "kmax":
        side["k"] = draw(st.integers(1, 6))
    image = {"positions": draw(st.sampled_from(POSITIONS))}
    if image["positions"] in ("boxes", "concat"):
        image["box_numbers"] = draw(st.sampled_from(sorted(BOX_NUMBERS)))
    text = {"positions": draw(st.sampled_from(["learned", "none"]))}
    with_items = side["layers"] or side["second_layers"] or shared or pooling != "mean" or not side["skip"]
    if not with_items:
        side = {name: side[name] for name in ("skip_hidden", "skip_pooling")}
        image, text = {}, {}
    return {
        "embedding": 4 * draw(st.integers(1, 4)),
        "width": 4 * draw(st.integers(1, 4)),
        "heads": draw(st.sampled_from([1, 2, 4])),
        "feedforward": draw(st.sampled_from([3, 16])),
        "norm": norm,
        "activation": draw(st.sampled_from(["gelu", "relu"])),
        "layer_norm": draw(st.sampled_from(["variance", "deviation"])),
        "shared_layers": shared,
        "second_at": draw(st.sampled_from(["embedding", "width"])),
        "absolute": draw(st.booleans()),
        "image": side | image,
        "text": side | text,
    }


def model_of(config: dict[str, Any]) -> TERN:
    """A model with weights of chance; corrections are not zero."""
    model = build_model([3, 5], [6], **config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def spread(values: torch.Tensor, place: torch.Tensor, length: int, filler: float) -> torch.Tensor:
    """[R, D] to [length, D]: rows at `place`, `filler` elsewhere."""
    room = torch.full((length, values.shape[1]), filler, dtype=values.dtype)
    room[place] = values
    return room


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("pooling", sorted(POOLINGS))
@given(data=st.data())
@settings(max_examples=4, deadline=None, derandomize=True)
@torch.no_grad()
def test_an_embedding_does_not_depend_on_its_batch(pooling: str, norm: str, data: st.DataObject) -> None:
    config, seed = data.draw(configs(pooling, norm)), data.draw(st.integers(0, 1000))
    counts = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    longest = max(counts) + data.draw(st.integers(0, 4))
    filler = data.draw(st.sampled_from([float("nan"), float("inf"), 1e30, -5.0]))
    torch.manual_seed(seed)
    model = model_of(config).double()  # so that a leak is no rounding, whatever was drawn
    for tower, width, boxed in ((model.image, 8, True), (model.text, 6, False)):
        # Where places matter items stand at the front; else they may stand anywhere.
        front = (tower.items is not None and hasattr(tower.items.inputs, "learned")) or tower.keep_first
        rows, alone = [], []
        for count in counts:
            values, boxes = (
                draw(count, size, dtype=torch.float64)
                for draw, size in ((torch.randn, width), (torch.rand, 4))
            )
            place = torch.arange(count) if front else torch.randperm(longest)[:count].sort().values
            mask = torch.zeros(longest, dtype=torch.bool)
            mask[place] = True
            rows.append((spread(values, place, longest, filler), mask, spread(boxes, place, longest, filler)))
            real = torch.ones(1, count, dtype=torch.bool)
            arguments = (values[None], real, boxes[None] if boxed else None)
            alone.append(tower(*arguments, shared=model.shared)[0])
        values, mask, boxes = (torch.stack(column) for column in zip(*rows, strict=True))
        together = tower(values, mask, boxes if boxed else None, shared=model.shared)
        torch.testing.assert_close(together, torch.stack(alone), atol=1e-10, rtol=0)
