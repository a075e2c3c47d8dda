"""Setting up a text backbone: its tokenizer, how many tokens it reads, and its fingerprint."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

from sterna.backbones._types import TextBackbone
from sterna.errors import UsageError
from sterna.files import hash_bytes, hash_json

__all__ = ["set_up_text"]

_FEWEST = 3  # a start, a word, an end


def set_up_text(
    backbone: TextBackbone, name: str, *, config: Any, tokenizer: Tokenizer, weights: str, max_tokens: int
) -> None:
    """Give a text backbone its name, width, tokenizer and fingerprint.

    Arguments:
        backbone: gets the attributes that `TextBackbone` declares.
        name: what builds it again.
        config: of the network that reads, with `hidden_size`; `max_position_embeddings` is what it can read.
        tokenizer: set to cut at `max_tokens` and to pad to the longest of a batch, whatever its file said.
        weights: hash of the network's weights.
        max_tokens: longer sentences are cut.

    Raises `UsageError` where the network cannot read so many tokens.
    """
    limit = getattr(config, "max_position_embeddings", None)
    limit = limit if isinstance(limit, int) and limit > 0 else None  # positions may be relative
    if max_tokens < _FEWEST or (limit is not None and max_tokens > limit):
        reads = f"{_FEWEST} to {limit}" if limit is not None else f"{_FEWEST} or more"
        raise UsageError(f"max_tokens={max_tokens}: {name} reads {reads} tokens")
    pad_id = getattr(config, "pad_token_id", None) or 0
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding(pad_id=pad_id, pad_token=tokenizer.id_to_token(pad_id) or "[PAD]")
    backbone.name, backbone.max_tokens = name, max_tokens
    backbone.dim = int(config.hidden_size)
    backbone.tokenizer = tokenizer
    described = hash_bytes(tokenizer.to_str().encode())
    backbone.fingerprint = hash_json({"weights": weights, "tokenizer": described})
