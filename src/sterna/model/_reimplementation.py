"""The re-implementation of TERN, with its weights: its config and names become ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sterna.errors import UsageError, check_known
from sterna.model._build import build_model
from sterna.model._tern import BOX_NUMBERS, TERN
from sterna.model._weights import Weights, read_dropout, read_value

__all__ = ["from_reimplementation"]

_AGGREGATIONS = ("first", "max", "mean", "sum")
_LAYER = {
    "attention.output": ("attn.out",),
    "attention.inputs": ("attn.q_linear", "attn.k_linear", "attn.v_linear"),
    "expand": ("ff.w_1",),
    "contract": ("ff.w_2",),
}


def from_reimplementation(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> TERN:
    """Build the re-implementation's TERN from its config and its weights; in evaluation mode.

    Layers are pre-norm with GELU and a layer norm by the unbiased deviation; a pair of learned items, one for
    features and one for places, stands before the regions; the shared stage comes before the projections,
    which are networks and come before pooling. It never masked padding; ours does, so that padded captions
    get the vectors that they had alone.

    Arguments:
        config: `d_embed`, `d_model`, `d_ff`, `heads`, `N_v`, `N_l`, `aggregation`, and where they are not the
            usual ones `num_sw_layers` and `dropout`; or a whole config that has these as `model.args`.
        state: its state dict; names with or without `module.`.
    Raises `UsageError` for a config that misses a value or asks for what is not known, `ModelError` naming
    weights that are missing, too many, or of another shape.
    """
    weights = Weights(state, ("module.",))
    values = _arguments(config)
    pooling = read_value(values, "aggregation", kind=str)
    check_known("config: aggregation", pooling, _AGGREGATIONS)
    width = read_value(values, "d_model")
    side = {"skip": False, "pooling": pooling, "projection": "network"}
    numbers = weights.size("encoder_v.loc_embed.linear.weight", 1, 5)
    if numbers not in BOX_NUMBERS.values():
        raise UsageError(f"weights: encoder_v.loc_embed reads {numbers} numbers a region; known: 4, 5, 7")
    image = {
        **side,
        "layers": read_value(values, "N_v"),
        "inputs": "linear",
        "positions": "boxes",
        "box_numbers": next(name for name, count in BOX_NUMBERS.items() if count == numbers),
        "cls_token": "pair",  # nosec B105
    }
    model = build_model(
        [weights.size("encoder_v.feat_embed.linear.weight", 1, 2048)],
        [width],
        embedding=read_value(values, "d_embed"),
        width=width,
        heads=read_value(values, "heads"),
        feedforward=read_value(values, "d_ff"),
        dropout=read_dropout(values, "dropout"),
        norm="pre",
        activation="gelu",
        layer_norm="deviation",
        shared_layers=read_value({"num_sw_layers": 0, **values}, "num_sw_layers"),
        second_at="width",
        image=image,
        text={**side, "layers": read_value(values, "N_l"), "inputs": "none"},
    )
    return _fill(model, weights)


def _arguments(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The model's arguments, wherever in the config they are."""
    for outer in (config, config.get("settings")):
        model = outer.get("model") if isinstance(outer, Mapping) else None
        if isinstance(model, Mapping) and isinstance(model.get("args"), Mapping):
            name = model.get("name", "TERN")
            if name != "TERN":
                raise UsageError(f"config: model.name is {name!r}; only 'TERN' can be brought over")
            return model["args"]  # type: ignore[no-any-return]
    return config


def _fill(model: TERN, weights: Weights) -> TERN:
    config = model.config()
    _move_encoder(weights, "image.items.encoder", "reasoning_v", config["image"]["layers"])
    _move_encoder(weights, "text.items.encoder", "reasoning_l", config["text"]["layers"])
    _move_encoder(weights, "shared", "sw_layer", config["shared_layers"])
    inputs = "image.items.inputs"
    weights.move(f"{inputs}.cls", "encoder_v.cls_token1")
    weights.move(f"{inputs}.cls_place", "encoder_v.cls_token2")
    weights.move_linear(f"{inputs}.map", "encoder_v.feat_embed.linear")
    weights.move_linear(f"{inputs}.places", "encoder_v.loc_embed.linear")
    for side, theirs in (("image", "img_proj"), ("text", "cap_proj")):
        for layer in ("0", "2"):
            weights.move_linear(f"{side}.items.projection.{layer}", f"{theirs}.model.{layer}")
    return weights.fill(model, unused=("encoder_l.",))


def _move_encoder(weights: Weights, ours: str, theirs: str, depth: int) -> None:
    if not depth:
        return
    _move_norm(weights, f"{ours}.norm", f"{theirs}.norm")
    for layer in range(depth):
        here, there = f"{ours}.layers.{layer}", f"{theirs}.layers.{layer}"
        _move_norm(weights, f"{here}.norm1", f"{there}.norm_1")
        _move_norm(weights, f"{here}.norm2", f"{there}.norm_2")
        for name, others in _LAYER.items():
            weights.move_linear(f"{here}.{name}", *(f"{there}.{other}" for other in others))


def _move_norm(weights: Weights, ours: str, theirs: str) -> None:
    weights.move(f"{ours}.weight", f"{theirs}.a_2")
    weights.move(f"{ours}.bias", f"{theirs}.b_2")
