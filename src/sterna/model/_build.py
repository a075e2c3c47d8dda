"""From plain values to a TERN."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from sterna.errors import UsageError
from sterna.model._layers import TransformerEncoder
from sterna.model._names import Names
from sterna.model._tern import TERN, Tower

__all__ = ["build_from", "build_model"]

# What the builder decides; the rest of Tower's arguments can be given in `image` and `text`.
DECIDED = frozenset({"absolute", "embedding", "second_at", "shared", "sources"})
TOWER_OPTIONS = {
    name: option.default
    for name, option in inspect.signature(Tower).parameters.items()
    if name not in DECIDED
}
# What only parts of a tower read that it may lack.
ITEM_PATH = ("width", "positions", "inputs", "projection", "max_items", "cls_token", "trim")
LAYERS = ("heads", "feedforward", "dropout", "norm", "activation", "layer_norm")


def build_model(
    image_sources: Sequence[int],
    text_sources: Sequence[int],
    *,
    embedding: int = 512,
    width: int = 512,
    heads: int = 8,
    feedforward: int = 2048,
    dropout: float = 0.1,
    norm: str = "pre",
    activation: str = "gelu",
    layer_norm: str = "variance",
    shared_layers: int = 0,
    second_at: str = "embedding",
    absolute: bool = False,
    names: float = 0.0,
    image: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
) -> TERN:
    """Build a TERN with new weights, drawn from torch's generator.

    Arguments:
        image_sources, text_sources: widths of the backbones side by side on the features' last axis.
        embedding: E, the width of the vectors.
        width, heads, feedforward, dropout, norm, activation, layer_norm: of the layers of both towers and of
            the second stage; see `TransformerEncoder`.
        shared_layers: layers of a second stage that both towers use. (One that each has for itself is
            `second_layers` in `image` and `text`.)
        second_at: where any second stage stands: after the projection, at width E ("embedding"), or before
            it, at width M ("width", which then is the same in both towers if they share it).
        absolute: give the absolute values of the vectors, for order embeddings.
        names: weight of a cosine by the names of ImageNet's classes beside one of the towers (see `Names`,
            which has to be told classifiers and names); 0 for none. They take as many of the E numbers as a
            token is wide.
        image, text: `Tower`'s arguments for one side ("layers", "pooling", "positions", "skip", "drop_items"
            ...), which go before the common ones. Images have `positions="boxes"` unless told otherwise.
    Raises `UsageError` for names that are not known, values that do not fit together, and one side's options
    that would change nothing.

    `build_model([1280, 1280, 1280], [384])` is the pooled model; `image={"layers": 1}` adds attention over
    regions.
    """
    return _assemble(
        {
            "image_sources": list(image_sources),
            "text_sources": list(text_sources),
            "embedding": embedding,
            "width": width,
            "heads": heads,
            "feedforward": feedforward,
            "dropout": dropout,
            "norm": norm,
            "activation": activation,
            "layer_norm": layer_norm,
            "shared_layers": shared_layers,
            "second_at": second_at,
            "absolute": absolute,
            "names": names,
            "image": {"positions": "boxes"} | _options("image", image),
            "text": _options("text", text),
        }
    )


def build_from(config: Mapping[str, Any]) -> TERN:
    """Build from one mapping of `build_model`'s arguments; `UsageError` names what is unknown or missing."""
    parameters = inspect.signature(build_model).parameters
    unknown = sorted(set(config) - set(parameters))
    if unknown:
        raise UsageError(f"model: {', '.join(unknown)} is not known; known: {', '.join(sorted(parameters))}")
    missing = [name for name in ("image_sources", "text_sources") if name not in config]
    if missing:
        raise UsageError(f"model: {', '.join(missing)} is missing")
    for side in ("image", "text"):
        if not isinstance(config.get(side) or {}, Mapping):
            raise UsageError(f"model.{side}: a mapping of options is needed; came {config[side]!r}")
    return build_model(**config)


def _assemble(config: Mapping[str, Any]) -> TERN:
    layers = {name: config[name] for name in LAYERS}
    common = {**layers, **{name: config[name] for name in ("width", "embedding", "second_at", "absolute")}}
    common["shared"] = config["shared_layers"] > 0
    names = _names(config)
    if names is not None:
        common["embedding"] -= names.width
    towers = [
        _tower(side, config[side], common={**common, "sources": config[f"{side}_sources"]})
        for side in ("image", "text")
    ]
    shared = None
    if config["shared_layers"]:
        shared = TransformerEncoder(
            _shared_width(config, common["embedding"]), config["shared_layers"], **layers
        )
    return TERN(*towers, config=config, shared=shared, names=names)


def _names(config: Mapping[str, Any]) -> Names | None:
    weight, width = config["names"], sum(config["text_sources"])
    if not weight:
        return None
    if config["absolute"]:
        raise UsageError(f"names={weight}: adds to dot products; order embeddings (absolute) have none")
    if config["embedding"] <= width:
        raise UsageError(
            f"embedding={config['embedding']}: names take {width} of these numbers, and leave towers none; "
            f"name more, such as {512 + width}"
        )
    return Names(config["image_sources"], width, weight=weight)


def _shared_width(config: Mapping[str, Any], embedding: int) -> int:
    """The width of the second stage that both towers share."""
    if config["second_at"] == "embedding":
        return embedding
    widths = [int(config[side].get("width", config["width"])) for side in ("image", "text")]
    if widths[0] != widths[1]:
        raise UsageError(
            f"second_at='width': a shared stage needs both towers at one width; "
            f"came {widths[0]} for images and {widths[1]} for texts"
        )
    return widths[0]


def _options(side: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    chosen = dict(options or {})
    unknown = sorted(set(chosen) - set(TOWER_OPTIONS))
    if unknown:
        raise UsageError(
            f"model.{side}: {', '.join(unknown)} is not known; known: {', '.join(sorted(TOWER_OPTIONS))}"
        )
    if side == "text" and chosen.get("positions") in ("boxes", "concat"):
        raise UsageError(f"model.text: positions={chosen['positions']!r} needs boxes, which tokens lack")
    if isinstance(chosen.get("trim"), Sequence):
        chosen["trim"] = list(chosen["trim"])  # as JSON has it
    return chosen


def _tower(side: str, own: Mapping[str, Any], *, common: Mapping[str, Any]) -> Tower:
    try:
        tower = Tower(**{**common, **own})
        _refuse_idle(tower, own)
    except UsageError as error:
        raise UsageError(f"model.{side}: {error}") from None
    return tower


def _refuse_idle(tower: Tower, own: Mapping[str, Any]) -> None:
    """Raise `UsageError` for an option of the item path or its layers where the tower has none.

    Nobody switched these off by name, as `skip` does the skip path, so that somebody may believe in them. The
    common options are for both towers, one of which may well have no use for them.
    """
    idle: dict[str, str] = {}
    if tower.items is None or not (len(tower.items.encoder.layers) or tower.items.second):
        idle |= dict.fromkeys(LAYERS, "this tower has no layers of its own")
    if own.get("positions") != "learned":
        idle["max_items"] = "it counts the places of positions='learned'"
    if own.get("positions") not in ("boxes", "concat"):
        idle["box_numbers"] = "it says what positions='boxes' and 'concat' know of a region"
    if own.get("pooling") != "kmax":
        idle["k"] = "it says how many values pooling='kmax' averages"
    if tower.items is None:
        idle |= dict.fromkeys(ITEM_PATH, "this tower pools its items before all else; give it layers")
    for name, given in own.items():
        value = tuple(given) if name == "trim" else given
        usual = (TOWER_OPTIONS[name], "boxes") if name == "positions" else (TOWER_OPTIONS[name],)
        if name in idle and value not in usual:
            raise UsageError(f"{name}={value!r} would change nothing: {idle[name]}")
