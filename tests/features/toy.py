"""Backbones and a data set small enough to be read at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor, nn

from sterna.backbones import ImageBackbone, Regions, TextBackbone, Tokens

WORDS = ["[PAD]", "[UNK]", "a", "dog", "runs", "in", "the", "snow"]


class Colours(ImageBackbone):
    """The mean colour of each quarter, in 0..1, and a constant."""

    name, fit, dim, sources, regions, map_shape = "colours", "squeeze", 4, (4,), 4, (3, 2, 2)

    def __init__(self, *, size: int = 16, fingerprint: str = "colours-1") -> None:
        super().__init__()
        self.size, self.fingerprint = size, fingerprint
        quarters = torch.tensor([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]])
        self.register_buffer("boxes", quarters)
        self.eval()

    def stem(self, pixels: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(pixels.permute(0, 3, 1, 2).float() / 255, self.size // 2)

    def tail(self, maps: Tensor) -> Regions:
        values = maps.flatten(2).transpose(1, 2)
        return self.as_regions(torch.cat([values, torch.ones_like(values[..., :1])], dim=-1))


class Words(TextBackbone):
    """Each word's own vector."""

    name, dim, fingerprint = "words", 3, "words-1"

    def __init__(self, *, max_tokens: int = 6) -> None:
        super().__init__()
        self.max_tokens = max_tokens
        self.tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
        self.tokenizer.pre_tokenizer = Whitespace()
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        table = torch.arange(len(WORDS) * 3, dtype=torch.float32).reshape(-1, 3)
        self.register_buffer("table", table)
        self.eval()

    def stem(self, ids: Tensor, mask: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.table)

    def tail(self, hidden: Tensor, mask: Tensor) -> Tokens:
        return Tokens(hidden * mask[..., None].to(hidden.dtype), mask.to(torch.bool))


@dataclass
class Few:
    """What `extract` needs of a data set."""

    image_ids: Sequence[str]
    paths: Sequence[Path]
    captions: Sequence[str]
    caption_ids: Sequence[str]


def few(folder: Path, *, captions: int = 2) -> Few:
    """The photographs of a folder, each with some captions of different lengths."""
    paths = sorted(folder.rglob("*.jpg"))
    ids = [path.relative_to(folder).as_posix() for path in paths]
    texts = [" ".join(WORDS[2 : 3 + (number % 6)]) for number in range(len(ids) * captions)]
    return Few(ids, paths, texts, [f"{ids[n // captions]}#{n % captions}" for n in range(len(texts))])
