"""Poolings: items [B, R, E] and their mask [B, R] become one vector [B, E], zero where there are no items.

Real items may stand anywhere among padding; their order is that of their places. A new pooling is one class
here and one line in `POOLINGS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sterna.errors import UsageError

__all__ = ["POOLINGS", "masked_mean", "masked_softmax", "masked_statistics"]

_TINY = 1e-6


def masked_softmax(scores: Tensor, mask: Tensor, *, dim: int) -> Tensor:
    """Softmax over the real ones; uniform, not NaN, where there are none."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real items of [B, R, E]; zero where there are none."""
    total = x.masked_fill(~mask[..., None], 0.0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp_min(1).to(x.dtype)


def masked_statistics(x: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation over the real items of [B, R, E], side by side: [B, 2 E].

    The deviation is next to zero where there are fewer than two; its square root is kept off zero, where it
    has no gradient.
    """
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean[:, None]).square(), mask)
    return torch.cat((mean, (variance + _TINY).sqrt()), dim=-1)


class FirstPooling(nn.Module):
    """The first item: a sentence's [CLS], or the item that `cls_token` puts before the others."""

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        return x[:, 0].masked_fill(~mask[:, :1], 0.0)


class SumPooling(nn.Module):
    """The sum of the items."""

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        return x.masked_fill(~mask[..., None], 0.0).sum(1)


class MeanPooling(nn.Module):
    """The mean of the items."""

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        return masked_mean(x, mask)


class MaxPooling(nn.Module):
    """Each dimension's greatest value."""

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        highest = x.masked_fill(~mask[..., None], torch.finfo(x.dtype).min).amax(1)
        return highest.masked_fill(~mask.any(1, keepdim=True), 0.0)


class KMaxPooling(nn.Module):
    """The mean of each dimension's `k` greatest values, or of all where there are fewer.

    Kalchbrenner et al., "A Convolutional Neural Network for Modelling Sentences", ACL 2014, averaged as in
    Chen et al., CVPR 2021, table 1.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise UsageError(f"k={k}: the number of greatest values is 1 or more")
        self.k = k

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        ordered, ranks, counts = downwards(x, mask)
        return masked_mean(ordered, ranks < counts.clamp_max(self.k))


class AttentionPooling(nn.Module):
    """A weighted mean; a small network, linear(tanh(linear)), says how much each item counts.

    Lin et al., "A Structured Self-Attentive Sentence Embedding", ICLR 2017, equation 5, with one row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        weights = masked_softmax(self.score(torch.tanh(self.hidden(x))), mask[..., None], dim=1)
        return (x.masked_fill(~mask[..., None], 0.0) * weights).sum(1)


class GatedPooling(nn.Module):
    """A sum of what one small network makes of each item, times a gate in 0..1 from another.

    Li et al., "Gated Graph Sequence Neural Networks", ICLR 2016, equation 7; the gated aggregation of TERN.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.node = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        parts: Tensor = torch.sigmoid(self.gate(x)) * self.node(x)
        return parts.masked_fill(~mask[..., None], 0.0).sum(1)


class SumNetworkPooling(nn.Module):
    """The sum of the items through linear-ReLU-linear; TERN's "sum-and-map"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        mapped: Tensor = self.network(x.masked_fill(~mask[..., None], 0.0).sum(1))
        return mapped.masked_fill(~mask.any(1, keepdim=True), 0.0)


class RecurrentPooling(nn.Module):
    """What a GRU remembers after the last item, as in VSE++'s text side and TERN's "gru"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        counts = mask.sum(1)
        # Real items move to the front, in their order, so that the GRU meets no padding before the last one.
        rank = (mask.long().cumsum(1) - 1).masked_fill(~mask, mask.shape[1])
        place = rank[..., None].expand(-1, -1, x.shape[2])
        room = x.new_zeros(x.shape[0], x.shape[1] + 1, x.shape[2])
        together = room.scatter(1, place, x)[:, :-1]
        states, _ = self.gru(together)
        last = (counts - 1).clamp_min(0)[:, None, None].expand(-1, 1, x.shape[2])
        return states.gather(1, last)[:, 0].masked_fill(counts[:, None] == 0, 0.0)  # type: ignore[no-any-return]


class GeneralizedPooling(nn.Module):
    """GPO: a weighted sum of each dimension's values, sorted downwards; a BiGRU makes the weights from the
    ranks.

    Chen et al., "Learning the Best Pooling Strategy for Visual Semantic Embedding", CVPR 2021, section 4:
    sinusoidal positions of 32 dimensions, 32 hidden units a direction, temperature 0.1. The weights depend on
    how many items are real, never on where the padding stands. The backward direction is a GRU of its own
    that begins at the last real rank, which is what packing would do, and is exported without it.
    """

    CODE, HIDDEN, TEMPERATURE = 32, 32, 0.1

    def __init__(self) -> None:
        super().__init__()
        self.forwards = nn.GRU(self.CODE, self.HIDDEN, batch_first=True)
        self.backwards = nn.GRU(self.CODE, self.HIDDEN, batch_first=True)
        self.score = nn.Linear(self.HIDDEN, 1, bias=False)
        rates = torch.exp(torch.arange(0, self.CODE, 2) * (-math.log(10000.0) / self.CODE))
        self.register_buffer("rates", rates, persistent=False)
        self.rates: Tensor

    def forward(self, x: Float[Tensor, "B R E"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        ordered, ranks, counts = downwards(x, mask)
        real = ranks < counts
        weights = self._weights(ranks, counts, real)
        return (ordered.masked_fill(~real[..., None], 0.0) * weights).sum(1)

    def _weights(self, ranks: Tensor, counts: Tensor, real: Tensor) -> Tensor:
        mirrored = (counts - 1 - ranks).clamp_min(0)
        down, _ = self.forwards(self._codes(ranks))
        up, _ = self.backwards(self._codes(mirrored))
        up = up.gather(1, mirrored[..., None].expand(-1, -1, self.HIDDEN))
        return masked_softmax(self.score((down + up) / 2) / self.TEMPERATURE, real[..., None], dim=1)

    def _codes(self, ranks: Tensor) -> Tensor:
        angles = ranks[..., None].to(self.rates.dtype) * self.rates
        return torch.stack((angles.sin(), angles.cos()), dim=3).flatten(2)


def downwards(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each dimension's real values, sorted [B, R, E]; ranks [B, R]; how many are real [B, 1]."""
    ranks = mask.new_ones(mask.shape).long().cumsum(1) - 1  # 0 .. R - 1 in every row, at whatever R
    lowest = torch.finfo(x.dtype).min
    ordered = x.masked_fill(~mask[..., None], lowest).sort(dim=1, descending=True).values
    return ordered, ranks, mask.sum(1, keepdim=True)


POOLINGS: dict[str, Callable[[int, int], nn.Module]] = {  # by width and k
    "attention": lambda width, k: AttentionPooling(width),
    "first": lambda width, k: FirstPooling(),
    "gated": lambda width, k: GatedPooling(width),
    "gpo": lambda width, k: GeneralizedPooling(),
    "gru": lambda width, k: RecurrentPooling(width),
    "kmax": lambda width, k: KMaxPooling(k),
    "max": lambda width, k: MaxPooling(),
    "mean": lambda width, k: MeanPooling(),
    "sum": lambda width, k: SumPooling(),
    "sum-network": lambda width, k: SumNetworkPooling(width),
}
