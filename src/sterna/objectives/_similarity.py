"""How alike images and captions are: by their vectors, or as a score computed elsewhere has it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sterna.errors import UsageError
from sterna.objectives._objective import Given

__all__ = ["needs_of", "order_similarity", "similarities"]

OF_VECTORS = ("dot", "order")


def needs_of(similarity: str) -> frozenset[str]:
    """What an objective must be given for the similarity called so: nothing for those of vectors."""
    if not similarity:
        raise UsageError("similarity='': dot, order, or the name of a score is needed")
    return frozenset() if similarity in OF_VECTORS else frozenset({f"score:{similarity}"})


def similarities(
    name: str, images: Float[Tensor, "N E"], captions: Float[Tensor, "C E"], *, given: Given
) -> Float[Tensor, "N C"]:
    """Every image's similarity to every caption, greater where they are more alike.

    Raises `UsageError` where it is neither "dot" nor "order" and `given.scores` does not hold it.
    """
    if name == "dot":
        return images @ captions.T
    if name == "order":
        return order_similarity(images, captions)
    if name not in given.scores:
        raise UsageError(f"scores: the similarities {name!r} of images and captions [N, C] are needed")
    scores = given.scores[name]
    if scores.shape != (len(images), len(captions)):
        raise UsageError(
            f"scores: {name!r} is {list(scores.shape)} for {len(images)} images and {len(captions)} captions"
        )
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def order_similarity(images: Float[Tensor, "N E"], captions: Float[Tensor, "C E"]) -> Float[Tensor, "N C"]:
    """Minus how far a caption's absolute values exceed an image's; 0 where they do not.

    Vendrov et al., "Order-Embeddings of Images and Language", ICLR 2016, equation 3, on absolute values as
    VSE++ computes it. Memory for N x C x E numbers.
    """
    excess = (captions.abs()[None] - images.abs()[:, None]).clamp_min(0)
    squares = excess.square().sum(2)
    # The root has no gradient at 0, where nothing is violated and nothing has to move.
    return -torch.where(squares > 0, squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt(), 0.0)
