"""Transformer layers: attention over the real items alone, in matrix products; two kinds of layer norm."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn, ones, zeros

from sterna.errors import UsageError, check_known
from sterna.model._pooling import masked_softmax

__all__ = ["ACTIVATIONS", "LAYER_NORMS", "NORMS", "TransformerEncoder"]


class DeviationNorm(nn.Module):
    """A layer norm by the unbiased standard deviation, to which 1e-6 is added.

    As the Transformer is written out in Rush, "The Annotated Transformer", 2018; torch's own adds 1e-5 to the
    biased variance, and gives other vectors for the same weights.
    """

    EPSILON = 1e-6

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 2:
            raise UsageError(f"layer_norm='deviation': a width of 2 or more is needed; came {width}")
        self.weight = nn.Parameter(ones(width))
        self.bias = nn.Parameter(zeros(width))

    def forward(self, x: Float[Tensor, "*B M"]) -> Float[Tensor, "*B M"]:
        deviation = x.std(dim=-1, keepdim=True, unbiased=True)
        return self.weight * (x - x.mean(-1, keepdim=True)) / (deviation + self.EPSILON) + self.bias


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}
LAYER_NORMS: dict[str, Callable[[int], nn.Module]] = {"deviation": DeviationNorm, "variance": nn.LayerNorm}
NORMS = ("post", "pre")


class SelfAttention(nn.Module):
    """Multi-head self-attention over the real items (Vaswani et al. 2017, section 3.2), in matrix products.

    Written out because torch's own takes a fast path whose results, and whose export, depend on the batch.
    """

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise UsageError(f"heads={heads}: the width of {width} must be divisible by the number of heads")
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B R M"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B R M"]:
        # q, k, v: [B, heads, R, M / heads]
        q, k, v = self.inputs(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        weights = self.dropout(masked_softmax(scores, mask[:, None, None, :], dim=3))
        return self.output((weights @ v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class TransformerLayer(nn.Module):
    """Attention and feed-forward with residuals; normalised before each ("pre") or after each ("post")."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        feedforward: int,
        dropout: float,
        norm: str,
        activation: str,
        layer_norm: str,
    ) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.activation = ACTIVATIONS[activation]
        self.attention = SelfAttention(width, heads, dropout=dropout)
        self.expand = nn.Linear(width, feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.norm1 = LAYER_NORMS[layer_norm](width)
        self.norm2 = LAYER_NORMS[layer_norm](width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B R M"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B R M"]:
        if self.pre:
            x = x + self.dropout(self.attention(self.norm1(x), mask))
            return x + self._feed(self.norm2(x))
        x = self.norm1(x + self.dropout(self.attention(x, mask)))
        return self.norm2(x + self._feed(x))  # type: ignore[no-any-return]

    def _feed(self, x: Tensor) -> Tensor:
        return self.dropout(self.contract(self.dropout(self.activation(self.expand(x)))))  # type: ignore[no-any-return]


class TransformerEncoder(nn.Module):
    """Any number of layers, none included; with pre-norm, one more layer norm at the end.

    Arguments:
        width: M, divisible by `heads`.
        layers, heads, feedforward: how many layers and heads, and the inner width of the feed-forward part.
        dropout: on attention weights, inside and after the feed-forward part.
        norm: "pre" or "post"; activation: "gelu" or "relu".
        layer_norm: "variance", torch's, or "deviation"; see `DeviationNorm`.
    Raises `UsageError` where these do not fit together.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        *,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
        norm: str = "pre",
        activation: str = "gelu",
        layer_norm: str = "variance",
    ) -> None:
        super().__init__()
        check_known("norm", norm, NORMS)
        check_known("activation", activation, ACTIVATIONS)
        check_known("layer_norm", layer_norm, LAYER_NORMS)
        if layers < 0:
            raise UsageError(f"layers={layers}: a number of layers is 0 or more")
        self.layers = nn.ModuleList(
            TransformerLayer(
                width,
                heads,
                feedforward=feedforward,
                dropout=dropout,
                norm=norm,
                activation=activation,
                layer_norm=layer_norm,
            )
            for _ in range(layers)
        )
        self.norm = LAYER_NORMS[layer_norm](width) if layers and norm == "pre" else nn.Identity()

    def forward(self, x: Float[Tensor, "B R M"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B R M"]:
        """Let the real items look at each other; what stands at padding is meaningless but finite."""
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)  # type: ignore[no-any-return]
