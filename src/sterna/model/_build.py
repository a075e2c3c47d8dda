"""From plain values to a TERN."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from sterna.errors import UsageError
from sterna.model._tern import TERN, Tower, TransformerEncoder

__all__ = ["build_from", "build_model"]

# What the builder decides; the rest of Tower's arguments can be given in `image` and `text`.
DECIDED = frozenset({"embedding", "shared", "sources"})
TOWER_OPTIONS = tuple(name for name in inspect.signature(Tower).parameters if name not in DECIDED)


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
    shared_layers: int = 0,
    image: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
) -> TERN:
    """Build a TERN with new weights, drawn from torch's generator.

    Arguments:
        image_sources, text_sources: widths of the backbones side by side on the features' last axis.
        embedding: E, the width of the vectors.
        width, heads, feedforward, dropout, norm, activation: of the layers of both towers and of the second
            stage, which is E wide; see `TransformerEncoder`.
        shared_layers: layers of a second stage that both towers use. (One that each has for itself is
            `second_layers` in `image` and `text`.)
        image, text: `Tower`'s arguments for one side ("layers", "pooling", "positions", "skip", "drop_items"
            ...), which go before the common ones. Images have `positions="boxes"` unless told otherwise.
    Raises `UsageError` for names that are not known and values that do not fit together.

    `build_model([1280, 1280, 1280], [384])` is the pooled model; `image={"layers": 1}` adds attention over
    regions.
    """
    common: dict[str, Any] = {
        "width": width,
        "heads": heads,
        "feedforward": feedforward,
        "dropout": dropout,
        "norm": norm,
        "activation": activation,
    }
    sides = {"image": {"positions": "boxes"} | _options("image", image), "text": _options("text", text)}
    if sides["text"].get("positions") in ("boxes", "concat"):
        raise UsageError(
            f"model.text: positions={sides['text']['positions']!r} needs boxes, which tokens lack"
        )
    sources = {"image": list(image_sources), "text": list(text_sources)}
    towers = {
        side: _tower(side, sources[side], embedding, common | sides[side] | {"shared": shared_layers > 0})
        for side in sides
    }
    stage = {name: value for name, value in common.items() if name != "width"}
    shared = TransformerEncoder(embedding, shared_layers, **stage) if shared_layers else None
    config = {
        "image_sources": sources["image"],
        "text_sources": sources["text"],
        "embedding": embedding,
        **common,
        "shared_layers": shared_layers,
        **sides,
    }
    return TERN(towers["image"], towers["text"], config=config, shared=shared)


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


def _options(side: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    chosen = dict(options or {})
    unknown = sorted(set(chosen) - set(TOWER_OPTIONS))
    if unknown:
        raise UsageError(
            f"model.{side}: {', '.join(unknown)} is not known; known: {', '.join(sorted(TOWER_OPTIONS))}"
        )
    return chosen


def _tower(side: str, sources: Sequence[int], embedding: int, options: Mapping[str, Any]) -> Tower:
    try:
        return Tower(sources=sources, embedding=embedding, **options)
    except UsageError as error:
        raise UsageError(f"model.{side}: {error}") from None
