"""Both earlier implementations said again, slowly: plain torch layers, one image or caption at a time."""

from __future__ import annotations

import math
import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = dict[str, Tensor]
HEADS = 4


def paper_config(seed: int, **changes: Any) -> dict[str, Any]:
    """A config of the authors' kind, of any widths, depths and poolings; `changes` go over `model`."""
    draw = random.Random(seed)
    aggregations = ["first", "sum", "gated", "gru", "sum-and-map", "mean", "max", None]
    return {
        "dataset": {"name": "coco"},
        "text-model": {
            "name": "bert",
            "pretrain": "bert-base-uncased",
            "word-dim": draw.choice([8, 12, 28]),
            "extraction-hidden-layer": 6,
            "fine-tune": True,
            "pre-extracted": True,
            "layers": draw.choice([0, 0, 1, 2]),
            "dropout": 0.1,
        },
        "image-model": {
            "name": "bottomup",
            "transformer-layers": draw.choice([1, 2, 3]),
            "dropout": 0.1,
            "pos-encoding": draw.choice([None, "concat-and-process", "project-and-sum"]),
            "feat-dim": draw.choice([8, 20, 36]),
            "norm": draw.choice([True, False]),
            "fine-tune": False,
        },
        "model": {
            "name": "tern",
            "embed-size": draw.choice([4, 12, 24]),
            "text-aggregation": draw.choice(aggregations),
            "image-aggregation": draw.choice(aggregations),
            "layers": draw.choice([1, 2]),
            "shared-transformer": draw.choice([True, False]),
            "dropout": 0.1,
        }
        | changes,
        "training": {"margin": 0.2, "max-violation": True, "measure": draw.choice(["dot", "order"])},
    }


class PaperTern(nn.Module):
    """The modules of the paper's model under its own names, with random weights."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        image, text, model = config["image-model"], config["text-model"], config["model"]
        width, words, embedding = image["feat-dim"], text["word-dim"], model["embed-size"]
        self.config = config
        self.img_enc = nn.ModuleDict(
            {
                "transformer_encoder": encoder(width, image["transformer-layers"]),
                "fc": nn.Linear(width, embedding),
            }
        )
        places = {"concat-and-process": network(width + 5, width), "project-and-sum": nn.Linear(5, width)}
        if image["pos-encoding"]:
            self.img_enc["pos_encoding_image"] = nn.ModuleDict({"map": places[image["pos-encoding"]]})
        self.txt_enc = nn.ModuleDict({"map": nn.Linear(words, embedding)})
        if text["layers"]:
            self.txt_enc["transformer_encoder"] = encoder(words, text["layers"])
        self.img_proj = nn.Linear(width, embedding)
        self.cap_proj = nn.Linear(words, embedding)
        self.transformer_encoder_1 = encoder(embedding, model["layers"])
        if not model["shared-transformer"]:
            self.transformer_encoder_2 = encoder(embedding, model["layers"])
        self.image_aggregation = aggregator(model["image-aggregation"], embedding)
        self.text_aggregation = aggregator(model["text-aggregation"], embedding)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)

    def image(self, regions: Tensor, boxes: Tensor) -> Tensor:
        """One image's vector, from its regions [R, D] and their boxes [R, 4]."""
        encoding = self.config["image-model"]["pos-encoding"]
        x1, y1, x2, y2 = boxes.unbind(1)
        where = torch.stack((x1, y1, x2, y2, (x2 - x1) * (y2 - y1)), dim=1)
        if encoding == "concat-and-process":
            regions = self.img_enc["pos_encoding_image"]["map"](torch.cat((regions, where), dim=1))
        elif encoding == "project-and-sum":
            regions = regions + self.img_enc["pos_encoding_image"]["map"](where)
        x = through(self.img_enc["transformer_encoder"], regions)
        if self.config["model"]["image-aggregation"] is None:
            return self.finish(self.img_enc["fc"](x.mean(0)))
        shared = self.config["model"]["shared-transformer"]
        second = self.transformer_encoder_1 if shared else self.transformer_encoder_2
        x = through(second, self.img_proj(x))
        return self.finish(self.pool(x, "image"))

    def text(self, tokens: Tensor) -> Tensor:
        """One caption's vector, from its tokens [T, D]."""
        if "transformer_encoder" in self.txt_enc:
            tokens = through(self.txt_enc["transformer_encoder"], tokens)
        if self.config["model"]["text-aggregation"] is None:
            return self.finish(self.txt_enc["map"](tokens.mean(0)))
        return self.finish(self.pool(through(self.transformer_encoder_1, self.cap_proj(tokens)), "text"))

    def pool(self, x: Tensor, side: str) -> Tensor:
        name = self.config["model"][f"{side}-aggregation"]
        parts = getattr(self, f"{side}_aggregation")
        if name == "gated":
            gated = parts["gated_aggr"]
            return sum(torch.sigmoid(gated["gate_fn"](item)) * gated["node_fn"](item) for item in x)
        if name == "gru":
            return parts["gru_aggr"](x[None])[1][0, 0]
        if name == "sum-and-map":
            return parts["map"](x.sum(0))
        return {"first": x[0], "sum": x.sum(0), "mean": x.mean(0), "max": x.amax(0)}[name]

    def finish(self, vector: Tensor) -> Tensor:
        vector = vector / vector.norm()
        return vector.abs() if self.config["training"]["measure"] == "order" else vector


def encoder(width: int, layers: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(width, HEADS, dim_feedforward=2048, activation="relu")
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def through(stack: nn.TransformerEncoder, items: Tensor) -> Tensor:
    return stack(items[:, None])[:, 0]  # torch's order is items, batch, width


def network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs))


def aggregator(name: str | None, width: int) -> nn.ModuleDict:
    if name == "gated":
        gate = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        return nn.ModuleDict(
            {"gated_aggr": nn.ModuleDict({"gate_fn": gate, "node_fn": network(width, width)})}
        )
    if name == "gru":
        return nn.ModuleDict({"gru_aggr": nn.GRU(width, width, batch_first=True)})
    return nn.ModuleDict({"map": network(width, width)} if name == "sum-and-map" else {})


# The re-implementation --------------------------------------------------------------------------------------


def rewrite_config(seed: int) -> dict[str, Any]:
    """A config of the re-implementation's kind, of any widths, depths and poolings."""
    draw = random.Random(seed)
    return {
        "d_embed": draw.choice([5, 16]),
        "d_model": draw.choice([8, 24]),
        "d_ff": draw.choice([6, 40]),
        "heads": draw.choice([1, 2, 4]),
        "dropout": 0.1,
        "precomp_bert": True,
        "aggregation": draw.choice(["mean", "first", "max", "sum"]),
        "N_v": draw.choice([0, 1, 3]),
        "N_l": draw.choice([0, 1, 2]),
        "num_sw_layers": draw.choice([0, 1, 2]),
    }


def rewrite_state(config: dict[str, Any], *, features: int = 10) -> State:
    """Random weights under its names."""
    width, embedding, state = config["d_model"], config["d_embed"], {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs) / math.sqrt(inputs)
        state[f"{name}.bias"] = torch.randn(outputs) * 0.2

    def norm(name: str) -> None:
        state[f"{name}.a_2"], state[f"{name}.b_2"] = 1 + torch.randn(width) * 0.2, torch.randn(width) * 0.2

    state["encoder_v.cls_token1"] = torch.randn(1, 1, width)
    state["encoder_v.cls_token2"] = torch.randn(1, 1, width)
    linear("encoder_v.feat_embed.linear", features, width)
    linear("encoder_v.loc_embed.linear", 5, width)
    for name, depth in (("reasoning_v", "N_v"), ("reasoning_l", "N_l"), ("sw_layer", "num_sw_layers")):
        for layer in range(config[depth]):
            at = f"{name}.layers.{layer}"
            for part in ("q_linear", "k_linear", "v_linear", "out"):
                linear(f"{at}.attn.{part}", width, width)
            linear(f"{at}.ff.w_1", width, config["d_ff"])
            linear(f"{at}.ff.w_2", config["d_ff"], width)
            norm(f"{at}.norm_1")
            norm(f"{at}.norm_2")
        if config[depth]:
            norm(f"{name}.norm")
    for name in ("img_proj", "cap_proj"):
        linear(f"{name}.model.0", width, width)
        linear(f"{name}.model.2", width, embedding)
    return state


class Rewrite:
    """What the re-implementation makes of one image or caption without padding."""

    def __init__(self, config: dict[str, Any], state: State) -> None:
        self.config, self.state = config, state

    def image(self, regions: Tensor, places: Tensor) -> Tensor:
        """One image's vector, from its regions [R, D] and the five numbers of each box [R, 5]."""
        features = self.linear(regions, "encoder_v.feat_embed.linear")
        where = self.linear(places, "encoder_v.loc_embed.linear")
        features = torch.cat((self.state["encoder_v.cls_token1"][0], features))
        where = torch.cat((self.state["encoder_v.cls_token2"][0], where))
        x = self.encode(features + where, "reasoning_v", self.config["N_v"])
        return self.finish(self.encode(x, "sw_layer", self.config["num_sw_layers"]), "img_proj")

    def text(self, tokens: Tensor) -> Tensor:
        """One caption's vector, from its tokens [T, D]."""
        x = self.encode(tokens, "reasoning_l", self.config["N_l"])
        return self.finish(self.encode(x, "sw_layer", self.config["num_sw_layers"]), "cap_proj")

    def finish(self, x: Tensor, projection: str) -> Tensor:
        x = self.linear(F.relu(self.linear(x, f"{projection}.model.0")), f"{projection}.model.2")
        pooled = {"mean": x.mean(0), "first": x[0], "max": x.amax(0), "sum": x.sum(0)}
        vector = pooled[self.config["aggregation"]]
        return vector / vector.square().sum().sqrt()

    def encode(self, x: Tensor, name: str, depth: int) -> Tensor:
        for layer in range(depth):
            at = f"{name}.layers.{layer}"
            x = x + self.attend(self.norm(x, f"{at}.norm_1"), f"{at}.attn")
            hidden = F.gelu(self.linear(self.norm(x, f"{at}.norm_2"), f"{at}.ff.w_1"))
            x = x + self.linear(hidden, f"{at}.ff.w_2")
        return self.norm(x, f"{name}.norm") if depth else x

    def attend(self, x: Tensor, at: str) -> Tensor:
        size = self.config["d_model"] // self.config["heads"]
        query, key, value = (
            self.linear(x, f"{at}.{part}").split(size, dim=1) for part in ("q_linear", "k_linear", "v_linear")
        )
        heads = [
            torch.softmax(q @ k.T / math.sqrt(size), dim=1) @ v
            for q, k, v in zip(query, key, value, strict=True)
        ]
        return self.linear(torch.cat(heads, dim=1), f"{at}.out")

    def norm(self, x: Tensor, name: str) -> Tensor:
        rows = [(row - row.mean()) / (row.std(unbiased=True) + 1e-6) for row in x]
        return torch.stack(rows) * self.state[f"{name}.a_2"] + self.state[f"{name}.b_2"]

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]
