"""TERN, whole: two towers of attention layers, a second stage they may share, a skip path from pooled inputs.

Reads from top to bottom: attention, poolings, one tower, both towers. One file, longer than others here, so
that the whole model can be read in one go. After Messina et al., "Transformer Reasoning Network for
Image-Text Matching and Retrieval", ICPR 2020.

Shapes: B batch, R regions or tokens (items) of the longest, D feature width, M model width, E embedding.
A mask is True where an item is real. Padding is masked at every step, so an embedding depends on its own
items alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sterna.errors import UsageError, check_known

__all__ = ["POOLINGS", "POSITIONS", "TERN", "Tower", "TransformerEncoder"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}
NORMS = ("post", "pre")
INPUTS = ("linear", "none", "norm")
POSITIONS = ("boxes", "concat", "learned", "none")


# Attention --------------------------------------------------------------------------------------------------


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
        self, width: int, heads: int, *, feedforward: int, dropout: float, norm: str, activation: str
    ) -> None:
        super().__init__()
        self.pre = norm == "pre"
        self.activation = ACTIVATIONS[activation]
        self.attention = SelfAttention(width, heads, dropout=dropout)
        self.expand = nn.Linear(width, feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
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
    ) -> None:
        super().__init__()
        check_known("norm", norm, NORMS)
        check_known("activation", activation, ACTIVATIONS)
        if layers < 0:
            raise UsageError(f"layers={layers}: a number of layers is 0 or more")
        self.layers = nn.ModuleList(
            TransformerLayer(
                width, heads, feedforward=feedforward, dropout=dropout, norm=norm, activation=activation
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width) if layers and norm == "pre" else nn.Identity()

    def forward(self, x: Float[Tensor, "B R M"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B R M"]:
        """Let the real items look at each other; what stands at padding is meaningless but finite."""
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)  # type: ignore[no-any-return]


# Poolings: items [B, R, E] and their mask [B, R] become one vector [B, E], 0 where there are no items ---


class FirstPooling(nn.Module):
    """The first item: a sentence's [CLS], or the learned token that `cls_token` puts before the items."""

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
        ranks = mask.new_ones(mask.shape).long().cumsum(1) - 1  # 0 .. R - 1 in every row, at whatever R
        counts = mask.sum(1, keepdim=True)
        real = ranks < counts
        weights = self._weights(ranks, counts, real)
        lowest = torch.finfo(x.dtype).min
        ordered = x.masked_fill(~mask[..., None], lowest).sort(dim=1, descending=True).values
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


POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "attention": AttentionPooling,
    "first": lambda width: FirstPooling(),
    "gpo": lambda width: GeneralizedPooling(),
    "max": lambda width: MaxPooling(),
    "mean": lambda width: MeanPooling(),
    "sum": lambda width: SumPooling(),
}


# Towers -----------------------------------------------------------------------------------------------------


class SourceNorm(nn.Module):
    """A layer norm for each of the backbones that stand side by side on D: they differ in scale."""

    def __init__(self, sources: Sequence[int]) -> None:
        super().__init__()
        self.sources = list(sources)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in sources)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        parts = torch.split(x, self.sources, dim=-1)
        return torch.cat([norm(part) for norm, part in zip(self.norms, parts, strict=True)], dim=-1)


class SkipPath(nn.Module):
    """From pooled inputs to an embedding: a linear map of the normalised mean, a hidden layer beside it."""

    def __init__(self, sources: Sequence[int], embedding: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = SourceNorm(sources)
        self.hidden: nn.Module | None = None
        if hidden:
            self.hidden = nn.Sequential(
                nn.Linear(sum(sources), hidden),
                nn.LayerNorm(hidden),
                nn.GELU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, embedding),
            )
        self.linear = nn.Linear(sum(sources), embedding)

    def forward(self, values: Float[Tensor, "B R D"], mask: Bool[Tensor, "B R"]) -> Float[Tensor, "B E"]:
        x = self.norm(masked_mean(values, mask))
        straight: Tensor = self.linear(x)
        return straight if self.hidden is None else self.hidden(x) + straight


class ItemPath(nn.Module):
    """From items to an embedding: inputs with positions, layers, projection to E, second stage, pooling."""

    def __init__(
        self,
        sources: Sequence[int],
        encoder: TransformerEncoder,
        second: TransformerEncoder | None,
        *,
        width: int,
        embedding: int,
        pooling: str,
        inputs: str,
        positions: str,
        max_items: int,
        cls_token: bool,
        correction: bool,
    ) -> None:
        super().__init__()
        dim = sum(sources)
        self.norm = SourceNorm(sources) if inputs == "norm" else nn.Identity()
        self.positions = positions
        self.inputs: nn.Module = nn.Identity() if inputs == "none" else nn.Linear(dim, width)
        if positions == "boxes":
            self.places = nn.Linear(5, width)
        elif positions == "concat":
            self.inputs = nn.Sequential(nn.Linear(dim + 5, width), nn.ReLU(), nn.Linear(width, width))
        elif positions == "learned":
            self.learned = nn.Parameter(torch.randn(max_items, width) * 0.02)
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02) if cls_token else None
        self.encoder = encoder
        self.projection = nn.Linear(width, embedding)
        self.second = second
        self.pooling = POOLINGS[pooling](embedding)
        self.correction = nn.Linear(embedding, embedding) if correction else None
        if self.correction is not None:  # beside a skip path it starts as a correction of exactly zero
            nn.init.zeros_(self.correction.weight)
            nn.init.zeros_(self.correction.bias)

    def forward(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R 4"] | None,
        shared: TransformerEncoder | None,
    ) -> Float[Tensor, "B E"]:
        x = self._place(self.norm(values), boxes)
        if self.cls is not None:
            x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), dim=1)
            mask = torch.cat((torch.ones_like(mask[:, :1]), mask), dim=1)
        x = self.projection(self.encoder(x, mask))
        second = self.second if shared is None else shared
        if second is not None:
            x = second(x, mask)
        pooled: Tensor = self.pooling(x, mask)
        return pooled if self.correction is None else self.correction(pooled)

    def _place(self, values: Tensor, boxes: Tensor | None) -> Tensor:
        if self.positions in ("boxes", "concat"):
            if boxes is None:
                raise UsageError(f"positions={self.positions!r} needs boxes [B, R, 4]; none were given")
            area = (boxes[..., 2:3] - boxes[..., 0:1]) * (boxes[..., 3:4] - boxes[..., 1:2])
            places = torch.cat((boxes, area), dim=-1)
            if self.positions == "concat":
                return self.inputs(torch.cat((values, places), dim=-1))  # type: ignore[no-any-return]
            return self.inputs(values) + self.places(places)  # type: ignore[no-any-return]
        x: Tensor = self.inputs(values)
        if self.positions == "learned":
            if x.shape[1] > self.learned.shape[0]:
                raise UsageError(f"max_items={self.learned.shape[0]}: {x.shape[1]} items came")
            x = x + self.learned[: x.shape[1]]
        return x


class Tower(nn.Module):
    """One modality's half: padded items become unit vectors.

    The sum of up to two paths, brought to unit length. The *skip path* (`skip`) is a small network over the
    mean of the inputs. The *item path* is `linear -> layers -> linear to E -> second stage -> pooling`;
    beside a skip path it ends in a projection that starts at zero. It is left out where it would only repeat
    the skip path: with `skip`, no layers, no second stage, and `pooling="mean"`.

    Arguments:
        sources: widths of the backbones side by side on D; each has its own layer norm.
        width: M; divisible by `heads` where there are layers.
        embedding: E; divisible by `heads` where there is a second stage.
        layers, heads, feedforward, dropout, norm, activation: see `TransformerEncoder`.
        second_layers: layers of a second stage, at width E, of this tower's own.
        shared: a second stage shared with the other tower is given to `forward`.
        pooling: a name of `POOLINGS`.
        inputs: what stands before the layers: "norm" is a layer norm a source and a linear map to M, "linear"
            the map alone, "none" neither (D has to be M, unless `positions="concat"` brings one to the
            other).
        positions: "boxes" adds a linear map of x1 y1 x2 y2 and the area; "concat" appends these to the
            features, before a network of two layers; "learned" adds a vector a place in the sequence; "none"
            adds nothing.
        max_items: how many places "learned" knows.
        cls_token: put a learned item before the others (meant for `pooling="first"` over regions).
        skip, skip_hidden, skip_dropout: the skip path, its hidden width (0: a linear map alone), its dropout.
        drop_items: probability that an item is dropped in training; never all of a row, nor the first that
            `pooling="first"` reads.
    Raises `UsageError` where these do not fit together.
    """

    def __init__(
        self,
        *,
        sources: Sequence[int],
        width: int = 512,
        embedding: int = 512,
        layers: int = 0,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
        norm: str = "pre",
        activation: str = "gelu",
        second_layers: int = 0,
        shared: bool = False,
        pooling: str = "mean",
        inputs: str = "norm",
        positions: str = "none",
        max_items: int = 128,
        cls_token: bool = False,
        skip: bool = True,
        skip_hidden: int = 1024,
        skip_dropout: float = 0.4,
        drop_items: float = 0.0,
    ) -> None:
        super().__init__()
        check_known("pooling", pooling, POOLINGS)
        check_known("inputs", inputs, INPUTS)
        check_known("positions", positions, POSITIONS)
        check_sources(sources)
        if not 0 <= drop_items < 1:
            raise UsageError(f"drop_items={drop_items}: a probability from 0 up to, but not, 1 is needed")
        if skip_hidden < 0:
            raise UsageError(f"skip_hidden={skip_hidden}: a width, or 0 for a linear map alone, is needed")
        if shared and second_layers:
            raise UsageError(
                f"second_layers={second_layers}: a second stage is either a tower's own or shared by both"
            )
        if inputs == "none" and positions != "concat" and width != sum(sources):
            raise UsageError(
                f"inputs='none': the width of {width} has to be that of the inputs, {sum(sources)}"
            )
        self.dim = sum(sources)
        self.shared = shared
        self.drop_items = drop_items
        self.keep_first = pooling == "first" and not cls_token
        self.skip = SkipPath(sources, embedding, hidden=skip_hidden, dropout=skip_dropout) if skip else None
        self.items: ItemPath | None = None
        if layers or second_layers or shared or pooling != "mean" or not skip:
            style: dict[str, Any] = {
                "heads": heads,
                "feedforward": feedforward,
                "dropout": dropout,
                "norm": norm,
                "activation": activation,
            }
            self.items = ItemPath(
                sources,
                TransformerEncoder(width, layers, **style),
                TransformerEncoder(embedding, second_layers, **style) if second_layers else None,
                width=width,
                embedding=embedding,
                pooling=pooling,
                inputs=inputs,
                positions=positions,
                max_items=max_items,
                cls_token=cls_token,
                correction=skip,
            )

    def forward(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R 4"] | None = None,
        *,
        shared: TransformerEncoder | None = None,
    ) -> Float[Tensor, "B E"]:
        """Encode a padded batch.

        | name | shape | dtype | |
        | --- | --- | --- | --- |
        | values | [B, R, D] | float | items; whatever stands at padding is ignored |
        | mask | [B, R] | bool | True where an item is real |
        | boxes | [B, R, 4] | float | x1 y1 x2 y2 in 0..1; read where `positions` is "boxes" or "concat" |
        | returns | [B, E] | float | unit length; a row without items has some constant vector |
        """
        if values.shape[-1] != self.dim:
            raise UsageError(f"values have a width of {values.shape[-1]}; this tower takes {self.dim}")
        if self.shared and shared is None:
            raise UsageError("shared: this tower needs the second stage that it shares")
        if self.training and self.drop_items:
            mask = self._drop(mask)
        values = values.masked_fill(~mask[..., None], 0.0)
        boxes = None if boxes is None else boxes.masked_fill(~mask[..., None], 0.0)
        paths: list[Tensor] = [] if self.skip is None else [self.skip(values, mask)]
        if self.items is not None:
            paths.append(self.items(values, mask, boxes, shared if self.shared else None))
        return F.normalize(sum(paths[1:], paths[0]), dim=-1)

    def _drop(self, mask: Tensor) -> Tensor:
        kept = mask & (torch.rand(mask.shape, device=mask.device) >= self.drop_items)
        if self.keep_first:
            kept[:, 0] = mask[:, 0]
        return torch.where(kept.any(1, keepdim=True), kept, mask)


class TERN(nn.Module):
    """Both towers, and the second stage that they share if they do.

    Made by `build_model`, or by `from_config` from what `config` gave. Image and caption vectors have the
    same width and unit length; their dot product says how well they fit.
    """

    def __init__(
        self,
        image: Tower,
        text: Tower,
        *,
        config: Mapping[str, Any],
        shared: TransformerEncoder | None = None,
    ) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.shared = shared
        self._config = copy.deepcopy(dict(config))

    def encode_images(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R 4"] | None = None,
    ) -> Float[Tensor, "B E"]:
        """Regions to unit vectors; see `Tower.forward`."""
        return self.image(values, mask, boxes, shared=self.shared)  # type: ignore[no-any-return]

    def encode_texts(self, values: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B E"]:
        """Tokens to unit vectors; see `Tower.forward`."""
        return self.text(values, mask, shared=self.shared)  # type: ignore[no-any-return]

    def config(self) -> dict[str, Any]:
        """The arguments that build this model again, as plain values for JSON."""
        return copy.deepcopy(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TERN:
        """Build the model that `config` describes, with new weights; `UsageError` for what is not known."""
        from sterna.model._build import build_from

        return build_from(config)


# What the parts share ---------------------------------------------------------------------------------------


def masked_softmax(scores: Tensor, mask: Tensor, *, dim: int) -> Tensor:
    """Softmax over the real ones; uniform, not NaN, where there are none."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real items of [B, R, E]; zero where there are none."""
    total = x.masked_fill(~mask[..., None], 0.0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp_min(1).to(x.dtype)


def check_sources(sources: Sequence[int]) -> None:
    """Raise `UsageError` unless there is at least one source and all widths are positive."""
    if not sources or any(width < 1 for width in sources):
        raise UsageError(f"sources={list(sources)}: one or more positive widths are needed")
