"""The classes that an image network was published with: its last layer, and what they are called."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sterna.backbones._types import ImageBackbone, TextBackbone
from sterna.errors import UsageError

__all__ = ["Classes", "classes_of"]

_TOGETHER = 50  # sentences


class Classes(NamedTuple):
    """K classes of the networks side by side, and their names in a text backbone's space."""

    classifiers: tuple[tuple[Float[Tensor, "K _"], Float[Tensor, " K"]], ...]
    """weights and biases of each network's last layer, over the mean of its regions"""
    names: Float[Tensor, "K W"]
    """float32: the mean of three sentences that name a class, each the unit mean of its tokens"""


def classes_of(images: ImageBackbone, texts: TextBackbone) -> Classes:
    """The classes of an image backbone, named by a text backbone.

    Raises `UsageError` where the image backbone has no classifier whose classes are ImageNet's.
    """
    classifiers = images.classifiers()
    if not classifiers:
        raise UsageError(
            f"{images.name}: comes without a classifier of ImageNet's classes, whose names could be used; "
            "efficientnet-lite0, 1 and 2, and several of them side by side, have one"
        )
    named = [_sentences(words, meaning) for words, meaning in _imagenet()]
    read = [_read(texts, sentences) for sentences in zip(*named, strict=True)]
    return Classes(tuple(classifiers), torch.stack(read).mean(0))


@torch.no_grad()
def _read(texts: TextBackbone, sentences: tuple[str, ...]) -> Float[Tensor, "K W"]:
    vectors = torch.empty(len(sentences), texts.dim)
    order = sorted(range(len(sentences)), key=lambda place: len(sentences[place]))
    for start in range(0, len(order), _TOGETHER):
        chosen = order[start : start + _TOGETHER]
        values, mask = texts(*texts.tokenize([sentences[place] for place in chosen]))
        mean = (values * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        vectors[chosen] = F.normalize(mean.float(), dim=-1)
    return vectors


def _sentences(words: str, meaning: str) -> tuple[str, str, str]:
    first = words.partition(",")[0]
    return f"{first}, {meaning}", f"a photo of a {words}.", f"a photo of a {first}."


@cache
def _imagenet() -> list[tuple[str, str]]:
    """Words (the first is the usual one) and meaning of each of ImageNet's 1,000 classes, in its order."""
    lines = files("sterna.backbones").joinpath("imagenet.tsv").read_text(encoding="utf-8").splitlines()
    return [(words, meaning) for words, meaning in (line.split("\t") for line in lines)]
