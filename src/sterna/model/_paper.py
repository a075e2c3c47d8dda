"""The paper authors' TERN and TERAN, with their weights: their configs and names become ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sterna.errors import UsageError, check_known
from sterna.model._build import build_model
from sterna.model._tern import TERN
from sterna.model._weights import Weights, read_dropout, read_value

__all__ = ["from_tern"]

_AGGREGATIONS = {
    "first": "first",
    "gated": "gated",
    "gru": "gru",
    "max": "max",
    "mean": "mean",
    "sum": "sum",
    "sum-and-map": "sum-network",
}
_POSITIONS = {None: "none", "concat-and-process": "concat", "project-and-sum": "boxes"}
_HEADS, _FEEDFORWARD = 4, 2048
_TRIM = {"image": (1, 0), "text": (1, 2)}  # what TERAN's alignment leaves out at either end
_LAYER = {
    "attention.inputs.weight": "self_attn.in_proj_weight",
    "attention.inputs.bias": "self_attn.in_proj_bias",
    "attention.output.weight": "self_attn.out_proj.weight",
    "attention.output.bias": "self_attn.out_proj.bias",
    "expand.weight": "linear1.weight",
    "expand.bias": "linear1.bias",
    "contract.weight": "linear2.weight",
    "contract.bias": "linear2.bias",
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
}
_POOLING = {
    "gated": {"gate.0": "gated_aggr.gate_fn.0", "gate.2": "gated_aggr.gate_fn.2"}
    | {"node.0": "gated_aggr.node_fn.0", "node.2": "gated_aggr.node_fn.2"},
    "sum-network": {"network.0": "map.0", "network.2": "map.2"},
}
_GRU = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def from_tern(config: Mapping[str, Any], state: Mapping[str, Tensor], *, zero_region: bool = False) -> TERN:
    """Build the paper authors' TERN or TERAN from its config and its weights; in evaluation mode.

    Messina et al., "Transformer Reasoning Network for Image-Text Matching and Retrieval", ICPR 2020, and
    "Fine-grained Visual Textual Alignment for Cross-Modal Retrieval using Transformer Encoders", ACM TOMM
    2021. Layers are post-norm, with 4 heads and ReLU. What their code makes and never uses is passed over
    (`img_enc.fc` and `txt_enc.map` beside an aggregation, `image-model.norm`), and so are weights of BERT.

    Arguments:
        config: the sections "image-model", "text-model", "model" and "training" of their YAML files.
        state: their state dict; names with or without `img_txt_enc.` and `module.`.
        zero_region: put a region of zeros before the others, whose vector "first" reads, as their loader did.
            Without it, the regions that come are taken to begin with it.
    Raises `UsageError` for a config that misses a value or asks for what is not known, `ModelError` naming
    weights that are missing, too many, or of another shape.
    """
    weights = Weights(state, ("module.", "img_txt_enc."))
    for section, known in (("image-model", "bottomup"), ("text-model", "bert")):
        name = read_value(config, section, kind=Mapping).get("name", known)
        if name != known:
            raise UsageError(f"config: {section}.name is {name!r}; only {known!r} can be brought over")
    training = read_value({"training": {}, **config}, "training", kind=Mapping)
    sides = {side: _side(config, side, weights) for side in ("image", "text")}
    if zero_region:
        sides["image"] |= {"cls_token": "zero", "trim": (0, 0)}  # nosec B105
    depth = read_value(config, "model", "layers")
    both = all(_aggregation(config, side) is not None for side in sides)
    shared = bool(config["model"].get("shared-transformer")) and both
    if not shared:
        for side, options in sides.items():
            options["second_layers"] = 0 if _aggregation(config, side) is None else depth
    model = build_model(
        [sides["image"]["width"]],
        [sides["text"]["width"]],
        embedding=read_value(config, "model", "embed-size"),
        heads=_HEADS,
        feedforward=weights.size("transformer_encoder_1.layers.0.linear1.weight", 0, _FEEDFORWARD),
        dropout=read_dropout(config["model"], "model.dropout"),
        norm="post",
        activation="relu",
        shared_layers=depth if shared else 0,
        absolute=training.get("measure") == "order",
        image=sides["image"],
        text=sides["text"],
    )
    return _fill(model, config, weights)


def _aggregation(config: Mapping[str, Any], side: str) -> str | None:
    """Our name of a side's pooling; None where the model does without a second stage."""
    name = read_value(config, "model", f"{side}-aggregation", kind=object)
    if name is None:
        return None
    check_known(f"config: model.{side}-aggregation", str(name), _AGGREGATIONS)
    return _AGGREGATIONS[str(name)]


def _side(config: Mapping[str, Any], side: str, weights: Weights) -> dict[str, Any]:
    """One tower's options, without its second stage."""
    section = f"{side}-model"
    depth = read_value(config, section, "transformer-layers" if side == "image" else "layers")
    options: dict[str, Any] = {
        "width": read_value(config, section, "feat-dim" if side == "image" else "word-dim"),
        "layers": depth,
        "inputs": "none",
        "skip": False,
        "pooling": _aggregation(config, side) or "mean",
        "trim": _TRIM[side],
    }
    if depth:
        inner = f"{_first_stage(side)}.layers.0.linear1.weight"
        options["feedforward"] = weights.size(inner, 0, _FEEDFORWARD)
        options["dropout"] = read_dropout(config[section], f"{section}.dropout")
    if side == "image":
        encoding = config[section].get("pos-encoding")
        if not (encoding is None or isinstance(encoding, str)) or encoding not in _POSITIONS:
            known = ", ".join("null" if name is None else name for name in _POSITIONS)
            raise UsageError(f"config: image-model.pos-encoding={encoding!r} is not known; known: {known}")
        options["positions"] = _POSITIONS[encoding]
    return options


def _fill(model: TERN, config: Mapping[str, Any], weights: Weights) -> TERN:
    ours = model.config()
    unused = ["txt_enc.bert_model.", "txt_enc.word_embeddings."]
    two = not config["model"].get("shared-transformer")
    for side, alone, joint in (("image", "img_enc.fc", "img_proj"), ("text", "txt_enc.map", "cap_proj")):
        options, path = ours[side], f"{side}.items"
        _move_layers(weights, f"{path}.encoder", _first_stage(side), options["layers"])
        pooled = _aggregation(config, side)
        weights.move_linear(f"{path}.projection", alone if pooled is None else joint)
        unused += [f"{joint if pooled is None else alone}."]
        stage = "transformer_encoder_2" if side == "image" and two else "transformer_encoder_1"
        _move_layers(weights, f"{path}.second", stage, options.get("second_layers", 0))
        if pooled is None:
            unused += [f"{stage}."]
        _move_pooling(weights, f"{path}.pooling", f"{side}_aggregation", pooled)
    _move_layers(weights, "shared", "transformer_encoder_1", ours["shared_layers"])
    places = "img_enc.pos_encoding_image.map"
    if ours["image"]["positions"] == "boxes":
        weights.move_linear("image.items.inputs.places", places)
    elif ours["image"]["positions"] == "concat":
        for layer in ("0", "2"):
            weights.move_linear(f"image.items.inputs.map.{layer}", f"{places}.{layer}")
    return weights.fill(model, unused=unused)


def _first_stage(side: str) -> str:
    return "img_enc.transformer_encoder" if side == "image" else "txt_enc.transformer_encoder"


def _move_layers(weights: Weights, ours: str, theirs: str, depth: int) -> None:
    for layer in range(depth):
        for name, other in _LAYER.items():
            weights.move(f"{ours}.layers.{layer}.{name}", f"{theirs}.layers.{layer}.{other}")


def _move_pooling(weights: Weights, ours: str, theirs: str, pooling: str | None) -> None:
    for name, other in _POOLING.get(pooling or "", {}).items():
        weights.move_linear(f"{ours}.{name}", f"{theirs}.{other}")
    if pooling == "gru":
        for name in _GRU:
            weights.move(f"{ours}.gru.{name}", f"{theirs}.gru_aggr.{name}")
