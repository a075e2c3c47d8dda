"""Models of the paper's authors, with their weights, give their outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from sterna.model import TERN, build_model

LAYER = {
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


def paper_model(*, pooling: str, positions: str, shared: bool) -> TERN:
    side = {"pooling": pooling, "inputs": "none", "skip": False, "second_layers": 0 if shared else 2}
    return build_model(
        [32],
        [24],
        embedding=16,
        heads=4,
        norm="post",
        activation="relu",
        shared_layers=2 if shared else 0,
        image={**side, "layers": 2, "width": 32, "positions": positions},
        text={**side, "width": 24},
    ).eval()


@pytest.mark.parametrize(
    ("name", "pooling", "positions", "one_stage"),
    [("first_shared", "first", "concat", True), ("sum_unshared", "sum", "boxes", False)],
)
def test_the_papers_weights_give_the_papers_vectors(
    shared: Path, name: str, pooling: str, positions: str, one_stage: bool
) -> None:
    golden = safetensors.load_file(shared / f"golden/paper_tern_{name}.safetensors")
    weights = {key.removeprefix("weights.img_txt_enc."): value for key, value in golden.items()}
    theirs = {"image.items.projection": "img_proj", "text.items.projection": "cap_proj"}
    place = "img_enc.pos_encoding_image.map"
    theirs |= {
        "image.items.inputs.map.0": f"{place}.0",
        "image.items.inputs.map.2": f"{place}.2",
        "image.items.inputs.places": place,
    }
    stages = {"image.items.encoder": "img_enc.transformer_encoder", "shared": "transformer_encoder_1"}
    stages |= {"text.items.second": "transformer_encoder_1", "image.items.second": "transformer_encoder_2"}
    for ours, other in stages.items():
        for layer in range(2):
            theirs |= {f"{ours}.layers.{layer}.{a}": f"{other}.layers.{layer}.{b}" for a, b in LAYER.items()}
    model = paper_model(pooling=pooling, positions=positions, shared=one_stage)
    state = {}
    for key in model.state_dict():
        stem, _, leaf = key.rpartition(".")
        state[key] = weights[theirs[key]] if key in theirs else weights[f"{theirs[stem]}.{leaf}"]
    model.load_state_dict(state)

    regions = torch.arange(9) < golden["in.region_lengths"][:, None]
    tokens = torch.arange(12) < golden["in.token_lengths"][:, None]
    images = model.encode_images(golden["in.regions"], regions, golden["in.boxes"])
    texts = model.encode_texts(golden["in.tokens"], tokens)
    torch.testing.assert_close(images, golden["out.image"], atol=1e-5, rtol=0)
    torch.testing.assert_close(texts, golden["out.text"], atol=1e-5, rtol=0)
