"""TERN: two towers of attention layers, a second stage they may share, a skip path from pooled inputs.

Reads from top to bottom: both paths, one tower, both towers; layers and poolings have files of their own.
Longer than others here, so that the model can be read in one go. After Messina et al., "Transformer Reasoning
Network for Image-Text Matching and Retrieval", ICPR 2020.

Shapes: B batch, R regions or tokens (items) of the longest, D feature width, M model width, E embedding,
P numbers that place a region. A mask is True where an item is real. Padding is masked at every step, so an
embedding depends on its own items alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sterna.errors import UsageError, check_known
from sterna.model._layers import TransformerEncoder
from sterna.model._names import Names
from sterna.model._pooling import POOLINGS, masked_mean, masked_statistics

__all__ = ["BOX_NUMBERS", "POSITIONS", "TERN", "Encoded", "Tower"]

BOX_NUMBERS = {"area": 5, "corners": 4, "size": 7}
CLS_TOKENS = (False, True, "pair", "zero")
INPUTS = ("linear", "none", "norm")
POSITIONS = ("boxes", "concat", "learned", "none")
PROJECTIONS = ("linear", "network")
SECOND_AT = ("embedding", "width")
SKIP_POOLINGS = ("mean", "statistics")


class Encoded(NamedTuple):
    """What a tower makes of a batch, as a whole and item by item."""

    vectors: Float[Tensor, "B E"]
    """unit length, as from `encode_images` and `encode_texts`"""
    items: Float[Tensor, "B R E"]
    """what the layers made of each item: unit length, zeros where `mask` is False"""
    mask: Bool[Tensor, "B R"]
    """True where an item is real, was not dropped, and is not left out by `trim`"""


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
    """From pooled inputs to an embedding: a linear map of what is pooled, normalised, and a hidden layer.

    With `statistics` the standard deviation of the items stands beside their mean, as another source for each
    (Snyder et al., "X-Vectors", ICASSP 2018, section 2.2): how unlike the places of an image are.
    """

    def __init__(
        self, sources: Sequence[int], embedding: int, *, hidden: int, dropout: float, statistics: bool
    ) -> None:
        super().__init__()
        sources = [*sources, *sources] if statistics else sources
        self.statistics = statistics
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
        x = self.norm(masked_statistics(values, mask) if self.statistics else masked_mean(values, mask))
        straight: Tensor = self.linear(x)
        return straight if self.hidden is None else self.hidden(x) + straight


class ItemInputs(nn.Module):
    """From features to the items that the layers see: width M, with where they stand, and the learned one."""

    def __init__(
        self,
        sources: Sequence[int],
        width: int,
        *,
        inputs: str,
        positions: str,
        box_numbers: str,
        max_items: int,
        added: bool | Literal["pair", "zero"],
    ) -> None:
        super().__init__()
        dim, numbers = sum(sources), BOX_NUMBERS[box_numbers]
        self.positions, self.box_numbers = positions, box_numbers
        self.zero = added == "zero"
        self.norm = SourceNorm(sources) if inputs == "norm" else nn.Identity()
        self.map: nn.Module = nn.Identity() if inputs == "none" else nn.Linear(dim, width)
        if positions == "boxes":
            self.places = nn.Linear(numbers, width)
        elif positions == "concat":
            self.map = nn.Sequential(nn.Linear(dim + numbers, width), nn.ReLU(), nn.Linear(width, width))
        elif positions == "learned":
            self.learned = nn.Parameter(torch.randn(max_items, width) * 0.02)
        learned = added in (True, "pair")
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02) if learned else None
        self.cls_place = nn.Parameter(torch.randn(1, 1, width) * 0.02) if added == "pair" else None

    def forward(self, values: Float[Tensor, "B R D"], boxes: Float[Tensor, "B R P"] | None) -> Tensor:
        places = None
        if self.positions in ("boxes", "concat"):
            if boxes is None:
                raise UsageError(f"positions={self.positions!r} needs boxes [B, R, 4]; none were given")
            places = describe_boxes(boxes, self.box_numbers)
        if self.zero:
            values = F.pad(values, (0, 0, 1, 0))
            places = None if places is None else F.pad(places, (0, 0, 1, 0))
        x = self._place(self.norm(values), places)
        if self.cls is None:
            return x
        cls = self.cls if self.cls_place is None else self.cls + self.cls_place
        return torch.cat((cls.expand(x.shape[0], -1, -1), x), dim=1)

    def _place(self, values: Tensor, places: Tensor | None) -> Tensor:
        if self.positions == "concat" and places is not None:
            return self.map(torch.cat((values, places), dim=-1))  # type: ignore[no-any-return]
        x: Tensor = self.map(values)
        if self.positions == "boxes" and places is not None:
            return x + self.places(places)  # type: ignore[no-any-return]
        if self.positions == "learned":
            if x.shape[1] > self.learned.shape[0]:
                raise UsageError(f"max_items={self.learned.shape[0]}: {x.shape[1]} items came")
            x = x + self.learned[: x.shape[1]]
        return x


class ItemPath(nn.Module):
    """From items to an embedding: inputs, layers, projection to E, second stage (or before it), pooling."""

    def __init__(
        self,
        inputs: ItemInputs,
        encoder: TransformerEncoder,
        second: TransformerEncoder | None,
        *,
        width: int,
        embedding: int,
        projection: str,
        second_at: str,
        pooling: str,
        k: int,
        correction: bool,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.encoder = encoder
        self.projection: nn.Module = nn.Linear(width, embedding)
        if projection == "network":
            self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, embedding))
        self.second = second
        self.second_first = second_at == "width"
        self.pooling = POOLINGS[pooling](embedding, k)
        self.correction = nn.Linear(embedding, embedding) if correction else None
        if self.correction is not None:  # beside a skip path it starts as a correction of exactly zero
            nn.init.zeros_(self.correction.weight)
            nn.init.zeros_(self.correction.bias)

    def forward(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R P"] | None,
        shared: TransformerEncoder | None,
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B R E"]]:
        """The vector, and what became of each of the given items."""
        x = self.inputs(values, boxes)
        added = x.shape[1] - mask.shape[1]
        if added:
            mask = torch.cat((mask.new_ones(mask.shape[0], 1), mask), dim=1)
        x = self.encoder(x, mask)
        second = self.second if shared is None else shared
        if second is not None and self.second_first:
            x = second(x, mask)
        x = self.projection(x)
        if second is not None and not self.second_first:
            x = second(x, mask)
        pooled: Tensor = self.pooling(x, mask)
        return pooled if self.correction is None else self.correction(pooled), x[:, added:]


class Tower(nn.Module):
    """One modality's half: padded items become unit vectors.

    The sum of up to two paths, brought to unit length. The *skip path* (`skip`) is a small network over the
    mean of the inputs, or over their statistics. The *item path* is `linear -> layers -> projection to E ->
    second stage -> pooling`; beside a skip path it ends in a projection that starts at zero. It is left out
    where it would only repeat the skip path: with `skip`, no layers, no second stage, and `pooling="mean"`.

    Arguments:
        sources: widths of the backbones side by side on D; each has its own layer norm.
        width: M; divisible by `heads` where there are layers.
        embedding: E; divisible by `heads` where there is a second stage.
        layers, heads, feedforward, dropout, norm, activation, layer_norm: see `TransformerEncoder`.
        second_layers: layers of a second stage of this tower's own.
        shared: a second stage shared with the other tower is given to `forward`.
        second_at: where the second stage stands: after the projection, at width E ("embedding"), or before
            it, at width M ("width").
        projection: from M to E: "linear", or "network", which is linear to M, ReLU, linear to E.
        pooling: a name of `POOLINGS`; `k` is how many values "kmax" averages.
        inputs: what stands before the layers: "norm" is a layer norm a source and a linear map to M, "linear"
            the map alone, "none" neither (D has to be M, unless `positions="concat"` brings one to the
            other).
        positions: "boxes" adds a linear map of the numbers that place a region; "concat" appends these to the
            features, before a network of two layers; "learned" adds a vector a place in the sequence; "none"
            adds nothing.
        box_numbers: which these are: "corners" is x1 y1 x2 y2, "area" also the area, "size" also width,
            height and area.
        max_items: how many places "learned" knows.
        cls_token: an item put before the others, meant for `pooling="first"` over regions: a learned one
            (True), the sum of two learned ones, for features and for places ("pair"), or features and a box
            of zeros, which go through the inputs as all others ("zero").
        trim: how many real items at the beginning and at the end are left out of `read`'s items: a sentence's
            [CLS] and [SEP]. They take part in everything else.
        skip, skip_hidden, skip_dropout: the skip path, its hidden width (0: a linear map alone), its dropout.
        skip_pooling: what the skip path sees: the items' "mean", or "statistics", their mean and standard
            deviation.
        drop_items: probability that an item is dropped in training; never all of a row, nor the first that
            `pooling="first"` reads.
        absolute: give the absolute values of the vectors, for order embeddings.
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
        layer_norm: str = "variance",
        second_layers: int = 0,
        shared: bool = False,
        second_at: str = "embedding",
        projection: str = "linear",
        pooling: str = "mean",
        k: int = 5,
        inputs: str = "norm",
        positions: str = "none",
        box_numbers: str = "area",
        max_items: int = 128,
        cls_token: bool | Literal["pair", "zero"] = False,
        trim: Sequence[int] = (0, 0),
        skip: bool = True,
        skip_hidden: int = 1024,
        skip_dropout: float = 0.4,
        skip_pooling: str = "mean",
        drop_items: float = 0.0,
        absolute: bool = False,
    ) -> None:
        super().__init__()
        check_known("pooling", pooling, POOLINGS)
        check_known("inputs", inputs, INPUTS)
        check_known("positions", positions, POSITIONS)
        check_known("box_numbers", box_numbers, BOX_NUMBERS)
        check_known("projection", projection, PROJECTIONS)
        check_known("skip_pooling", skip_pooling, SKIP_POOLINGS)
        check_known("second_at", second_at, SECOND_AT)
        check_sources(sources)
        for name, value in (("width", width), ("embedding", embedding), ("feedforward", feedforward)):
            if value < 1:
                raise UsageError(f"{name}={value}: a width of 1 or more is needed")
        if cls_token not in CLS_TOKENS:
            raise UsageError(f"cls_token={cls_token!r} is not known; known: false, true, pair, zero")
        if len(trim) != 2 or min(trim) < 0:
            raise UsageError(
                f"trim={list(trim)}: two numbers of items are needed, at the beginning and the end"
            )
        if not 0 <= drop_items < 1:
            raise UsageError(f"drop_items={drop_items}: a probability from 0 up to, but not, 1 is needed")
        if skip_hidden < 0:
            raise UsageError(
                f"skip_hidden={skip_hidden}: a width above 0, or 0 for a linear map alone, is needed"
            )
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
        self.absolute = absolute
        self.trim = tuple(trim)
        self.drop_items = drop_items
        self.keep_first = pooling == "first" and not cls_token
        self.skip: SkipPath | None = None
        if skip:
            self.skip = SkipPath(
                sources,
                embedding,
                hidden=skip_hidden,
                dropout=skip_dropout,
                statistics=skip_pooling == "statistics",
            )
        self.items: ItemPath | None = None
        if layers or second_layers or shared or pooling != "mean" or not skip:
            style: dict[str, Any] = {
                "heads": heads,
                "feedforward": feedforward,
                "dropout": dropout,
                "norm": norm,
                "activation": activation,
                "layer_norm": layer_norm,
            }
            second = width if second_at == "width" else embedding
            self.items = ItemPath(
                ItemInputs(
                    sources,
                    width,
                    inputs=inputs,
                    positions=positions,
                    box_numbers=box_numbers,
                    max_items=max_items,
                    added=cls_token,
                ),
                TransformerEncoder(width, layers, **style),
                TransformerEncoder(second, second_layers, **style) if second_layers else None,
                width=width,
                embedding=embedding,
                projection=projection,
                second_at=second_at,
                pooling=pooling,
                k=k,
                correction=skip,
            )

    def forward(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R P"] | None = None,
        *,
        shared: TransformerEncoder | None = None,
    ) -> Float[Tensor, "B E"]:
        """Encode a padded batch.

        | name | shape | dtype | |
        | --- | --- | --- | --- |
        | values | [B, R, D] | float | items; whatever stands at padding is ignored |
        | mask | [B, R] | bool | True where an item is real |
        | boxes | [B, R, 4] | float | x1 y1 x2 y2 in 0..1, for "boxes" and "concat"; or all of `box_numbers` |
        | returns | [B, E] | float | unit length; a row without items has some constant vector |
        """
        return self._encode(values, self._kept(mask), boxes, shared)[0]

    def read(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R P"] | None = None,
        *,
        shared: TransformerEncoder | None = None,
    ) -> Encoded:
        """Encode a padded batch, as a whole and item by item; arguments as for `forward`.

        The items are those that are pooled, without the one that `cls_token` adds. Raises `UsageError` where
        the tower has no item path.
        """
        if self.items is None:
            raise UsageError(
                "this tower pools its items before all else and has no vectors of them; give it layers, "
                "a second stage, another pooling, or skip=False"
            )
        kept = self._kept(mask)
        vectors, items = self._encode(values, kept, boxes, shared)
        place = mask.long().cumsum(1)  # from 1, among the real items
        first, last = self.trim
        shown = kept & (place > first) & (place <= mask.sum(1, keepdim=True) - last)
        return Encoded(vectors, F.normalize(items, dim=-1).masked_fill(~shown[..., None], 0.0), shown)

    def _encode(
        self, values: Tensor, mask: Tensor, boxes: Tensor | None, shared: TransformerEncoder | None
    ) -> tuple[Tensor, Tensor]:
        """Unit vectors, and the items before pooling (the values where there is no item path)."""
        if values.shape[-1] != self.dim:
            raise UsageError(f"values have a width of {values.shape[-1]}; this tower takes {self.dim}")
        if self.shared and shared is None:
            raise UsageError("shared: this tower needs the second stage that it shares")
        values = items = values.masked_fill(~mask[..., None], 0.0)
        boxes = None if boxes is None else boxes.masked_fill(~mask[..., None], 0.0)
        paths: list[Tensor] = [] if self.skip is None else [self.skip(values, mask)]
        if self.items is not None:
            pooled, items = self.items(values, mask, boxes, shared if self.shared else None)
            paths.append(pooled)
        vectors = F.normalize(sum(paths[1:], paths[0]), dim=-1)
        return vectors.abs() if self.absolute else vectors, items

    def _kept(self, mask: Tensor) -> Tensor:
        """The mask without the items that are dropped now."""
        if not (self.training and self.drop_items):
            return mask
        kept = mask & (torch.rand(mask.shape, device=mask.device) >= self.drop_items)
        if self.keep_first:
            kept[:, 0] = mask[:, 0]
        return torch.where(kept.any(1, keepdim=True), kept, mask)


class TERN(nn.Module):
    """Both towers, the second stage that they share if they do, and the names of classes if there are any.

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
        names: Names | None = None,
    ) -> None:
        super().__init__()
        self.image = image
        self.text = text
        self.shared = shared
        self.names = names
        self._config = copy.deepcopy(dict(config))

    def encode_images(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R P"] | None = None,
    ) -> Float[Tensor, "B E"]:
        """Regions to unit vectors; see `Tower.forward`."""
        vectors: Tensor = self.image(values, mask, boxes, shared=self.shared)
        return vectors if self.names is None else self.names.beside_images(vectors, values, mask)

    def encode_texts(self, values: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B E"]:
        """Tokens to unit vectors; see `Tower.forward`."""
        vectors: Tensor = self.text(values, mask, shared=self.shared)
        return vectors if self.names is None else self.names.beside_texts(vectors, values, mask)

    def read_images(
        self,
        values: Float[Tensor, "B R D"],
        mask: Bool[Tensor, "B R"],
        boxes: Float[Tensor, "B R P"] | None = None,
    ) -> Encoded:
        """Regions to unit vectors, of the image and of each region; see `Tower.read`."""
        self._refuse_names()
        try:
            return self.image.read(values, mask, boxes, shared=self.shared)
        except UsageError as error:
            raise UsageError(f"model.image: {error}") from None

    def read_texts(self, values: Float[Tensor, "B T D"], mask: Bool[Tensor, "B T"]) -> Encoded:
        """Tokens to unit vectors, of the caption and of each token; see `Tower.read`."""
        self._refuse_names()
        try:
            return self.text.read(values, mask, shared=self.shared)
        except UsageError as error:
            raise UsageError(f"model.text: {error}") from None

    def _refuse_names(self) -> None:
        if self.names is not None:
            raise UsageError("model.names: adds to vectors of whole images and captions, not of their items")

    def config(self) -> dict[str, Any]:
        """The arguments that build this model again, as plain values for JSON."""
        return copy.deepcopy(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TERN:
        """Build the model that `config` describes, with new weights; `UsageError` for what is not known."""
        from sterna.model._build import build_from

        return build_from(config)


def describe_boxes(boxes: Float[Tensor, "B R P"], numbers: str) -> Float[Tensor, "B R Q"]:
    """The numbers that place a region, from x1 y1 x2 y2; boxes that have all of them already stay."""
    if boxes.shape[-1] == BOX_NUMBERS[numbers]:
        return boxes
    if boxes.shape[-1] != 4:
        raise UsageError(
            f"boxes have {boxes.shape[-1]} numbers; x1 y1 x2 y2 are needed, "
            f"or the {BOX_NUMBERS[numbers]} of box_numbers={numbers!r}"
        )
    size = boxes[..., 2:] - boxes[..., :2]
    area = size[..., :1] * size[..., 1:]
    return torch.cat((boxes, size, area) if numbers == "size" else (boxes, area), dim=-1)


def check_sources(sources: Sequence[int]) -> None:
    """Raise `UsageError` unless there is at least one source and all widths are positive."""
    if not sources or any(width < 1 for width in sources):
        raise UsageError(f"sources={list(sources)}: one or more positive widths are needed")
