"""What a tower gives of each region and word."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sterna.errors import UsageError
from sterna.model import TERN, build_model

SMALL = {"embedding": 16, "width": 16, "heads": 4, "feedforward": 32}


def rows(seed: int, *, items: int = 7, dim: int = 6) -> tuple[torch.Tensor, ...]:
    """Rows of 7, 4, 1 and no real items; what stands at padding is not a number."""
    torch.manual_seed(seed)
    mask = torch.arange(items) < torch.tensor([[items], [4], [1], [0]])
    corners = torch.rand(4, items, 2, 2).sort(2).values.flatten(2)
    return torch.randn(4, items, dim).masked_fill(~mask[..., None], torch.nan), mask, corners


def model_of(**image: object) -> TERN:
    torch.manual_seed(0)
    side = {"layers": 1, "skip": False} | image
    return build_model([6], [6], **SMALL, image=side, text={"layers": 1, **image}).eval()


@pytest.mark.parametrize("cls_token", [False, True, "pair", "zero"])
def test_items_are_unit_vectors_and_zeros_where_there_are_none(cls_token: object) -> None:
    model = model_of(cls_token=cls_token)
    values, mask, boxes = rows(1)
    for read in (model.read_images(values, mask, boxes), model.read_texts(values, mask)):
        assert read.items.shape == (4, 7, 16)
        assert torch.equal(read.mask, mask)
        torch.testing.assert_close(read.items.norm(dim=2), mask.float())
    assert torch.equal(
        model.read_images(values, mask, boxes).vectors, model.encode_images(values, mask, boxes)
    )
    assert torch.equal(model.read_texts(values, mask).vectors, model.encode_texts(values, mask))


def test_items_are_what_is_pooled() -> None:
    model = model_of(pooling="sum", positions="none")
    values, mask, _ = rows(2)
    x = model.image.items.inputs(values.nan_to_num(), None)
    x = model.image.items.projection(model.image.items.encoder(x, mask))
    read = model.read_images(values, mask)
    for row, count in enumerate(mask.sum(1).tolist()):
        real = x[row, :count]
        torch.testing.assert_close(read.items[row, :count], real / real.norm(dim=1, keepdim=True))
        total = real.sum(0)
        torch.testing.assert_close(read.vectors[row], total / total.norm().clamp_min(1e-12))


def test_items_do_not_depend_on_their_batch() -> None:
    model = model_of(cls_token=True, pooling="first", trim=(1, 1))
    values, mask, boxes = rows(3)
    together = model.read_images(values, mask, boxes)
    for row, count in enumerate(mask.sum(1).tolist()):
        one = slice(row, row + 1)
        alone = model.read_images(values[one, :count], mask[one, :count], boxes[one, :count])
        torch.testing.assert_close(together.items[one, :count], alone.items, atol=1e-6, rtol=0)
        assert torch.equal(together.mask[one, :count], alone.mask)


def test_trim_leaves_out_real_items_at_either_end_and_changes_no_vector() -> None:
    whole, trimmed = model_of(), model_of(trim=(1, 2))
    values, mask, boxes = rows(4)
    mask = mask.roll(2, 1)  # padding stands before real items, too
    values, boxes = values.roll(2, 1), boxes.roll(2, 1)
    read, all_items = trimmed.read_images(values, mask, boxes), whole.read_images(values, mask, boxes)
    wanted = torch.zeros_like(mask)
    for row in range(4):
        real = mask[row].nonzero()[:, 0].tolist()
        wanted[row, real[1:-2]] = True
    assert torch.equal(read.mask, wanted)
    assert torch.equal(read.items, all_items.items.masked_fill(~wanted[..., None], 0.0))
    assert torch.equal(read.vectors, all_items.vectors)


def test_dropped_items_are_left_out() -> None:
    model = model_of(drop_items=0.5, trim=(1, 0)).train()
    values, mask, boxes = rows(5)
    masks = [model.read_images(values, mask, boxes).mask for _ in range(40)]
    assert not any((one & ~mask).any() or one[:, 0].any() for one in masks)
    assert len({one.sum().item() for one in masks}) > 2


def test_a_tower_that_sees_means_alone_has_no_items() -> None:
    model = build_model([6], [6], **SMALL, image={"layers": 1})
    values, mask, boxes = rows(6)
    model.read_images(values, mask, boxes)
    with pytest.raises(UsageError, match="model.text: this tower pools its items before all else and has no"):
        model.read_texts(values, mask)
    with pytest.raises(UsageError, match=r"model.text: trim=\(1, 1\) would change nothing"):
        build_model([6], [6], **SMALL, text={"trim": (1, 1)})
    with pytest.raises(UsageError, match=r"model.image: trim=\[1\]: two numbers of items are needed"):
        build_model([6], [6], **SMALL, image={"layers": 1, "trim": [1]})
