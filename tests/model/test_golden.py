"""Models of both earlier implementations, with their weights, give their outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors")
from safetensors.torch import load_file

from sterna.model import from_reimplementation, from_tern

Tensors = dict[str, torch.Tensor]


def golden(file: Path) -> tuple[dict[str, Any], Tensors, Tensors]:
    """The config, the weights by their own names, and the inputs and outputs."""
    with safetensors.safe_open(file, framework="pt") as opened:
        config = json.loads(opened.metadata()["config"])
    tensors = load_file(file)
    weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}
    return config, weights, tensors


@pytest.mark.parametrize("name", ["first_shared", "sum_unshared", "gated"])
def test_the_papers_weights_give_the_papers_vectors(shared: Path, name: str) -> None:
    config, weights, given = golden(shared / f"golden/paper_tern_{name}.safetensors")
    model = from_tern(config, weights)
    regions = torch.arange(9) < given["in.region_lengths"][:, None]
    tokens = torch.arange(12) < given["in.token_lengths"][:, None]
    images = model.encode_images(given["in.regions"], regions, given["in.boxes"])
    texts = model.encode_texts(given["in.tokens"], tokens)
    torch.testing.assert_close(images, given["out.image"], atol=1e-5, rtol=0)
    torch.testing.assert_close(texts, given["out.text"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["mean", "first_shared"])
def test_the_reimplementations_weights_give_its_vectors(shared: Path, name: str) -> None:
    config, weights, given = golden(shared / f"golden/seed_tern_{name}.safetensors")
    model = from_reimplementation(config, weights)
    regions, tokens = torch.ones(5, 36, dtype=torch.bool), torch.ones(5, 9, dtype=torch.bool)
    images = model.encode_images(given["in.regions"], regions, given["in.region_positions"])
    texts = model.encode_texts(given["in.tokens_equal_length"], tokens)
    torch.testing.assert_close(images, given["out.image"], atol=1e-5, rtol=0)
    torch.testing.assert_close(texts, given["out.text_equal_length"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["mean", "first_shared"])
def test_padded_captions_get_the_vectors_that_they_have_alone(shared: Path, name: str) -> None:
    config, weights, given = golden(shared / f"golden/seed_tern_{name}.safetensors")
    model = from_reimplementation(config, weights)
    values, lengths = given["in.tokens_zero_padded"], given["in.token_lengths_zero_padded"]
    padded = model.encode_texts(values, torch.arange(9) < lengths[:, None])
    for row, length in enumerate(lengths.tolist()):
        alone = model.encode_texts(values[row, None, :length], torch.ones(1, length, dtype=torch.bool))
        torch.testing.assert_close(padded[row], alone[0], atol=1e-6, rtol=0)
    assert (padded - given["out.text_zero_padded_unmasked"]).abs().max() > 1e-3
