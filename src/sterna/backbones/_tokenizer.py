"""Setting up a text backbone: its tokenizer, how many tokens it reads, and its fingerprint."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer

from sterna.backbones._types import TextBackbone
from sterna.errors import UsageError
from sterna.files import hash_bytes, hash_json

__all__ = ["layer_number", "set_up_text"]

_FEWEST = 3  # a start, a word, an end


def set_up_text(
    backbone: TextBackbone, name: str, *, config: Any, tokenizer: Tokenizer, weights: str, max_tokens: int
) -> None:
    """Give a text backbone its name, width, tokenizer and fingerprint.

    Arguments:
        backbone: gets the attributes that `TextBackbone` declares; `hidden_layer` stands there already.
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
    facts: dict[str, object] = {"weights": weights, "tokenizer": described}
    if backbone.hidden_layer is not None:
        facts["hidden_layer"] = backbone.hidden_layer
    backbone.fingerprint = hash_json(facts)


def layer_number(asked: int | None, layers: int, name: str) -> int | None:
    """Which of a network's hidden states is meant, 0 to `layers` - 1, or `None` for the last.

    Arguments:
        asked: 0 for the embeddings, K for what the K-th layer gives, -1 or `None` for the last, -2 for the
            last but one.
        layers: how many there are.
        name: for the message.

    Raises `UsageError` where there is no such layer.
    """
    if asked is None:
        return None
    number = asked if asked >= 0 else layers + 1 + asked
    if not 0 <= number <= layers:
        raise UsageError(
            f"hidden_layer={asked}: {name} has the hidden layers 0 (embeddings) to {layers}; -1 is the last"
        )
    return None if number == layers else number
