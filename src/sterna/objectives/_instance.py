"""Instance loss: every image of the training data is a class, of itself and of its captions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError
from sterna.objectives._objective import NOTHING, Given, Objective, asked_for, check_above, ready

__all__ = ["Instance", "given_places"]


class Instance(Objective):
    """Cross entropy of images and of captions over all training images as classes; the mean of the two.

    Zheng et al., "Dual-Path Convolutional Image-Text Embeddings with Instance Loss", TOMM 2020, equations 3
    to 6: one classifier that both modalities share. A class is a vector that is trained along; logits are
    its cosine to an image or a caption, divided by the temperature.

    Arguments:
        images, embedding: how many images are trained on, and the width of vectors, as `build_objective` is
            told: memory for that many numbers.
        temperature: see above.
        label_smoothing: this share of the target is spread evenly over all classes.
    Raises `UsageError` for values that are out of range, and without `images` and `embedding`.
    """

    needs = frozenset({"places"})

    def __init__(
        self,
        *,
        images: int | None = None,
        embedding: int | None = None,
        temperature: float = 0.05,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_above(0.0, strictly=True, temperature=temperature)
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label_smoothing={label_smoothing}: must be a share of 1")
        if not images or not embedding:
            raise UsageError(
                f"images={images}, embedding={embedding}: the number of images trained on and the width of"
                " vectors are needed"
            )
        self.classes = nn.Parameter(torch.randn(images, embedding))
        self.temperature = temperature
        self.label_smoothing = label_smoothing

    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """See `Objective.forward`."""
        images, captions = ready(images, captions, owners)
        places = given_places(given, len(images), classes=len(self.classes))
        classes = F.normalize(self.classes.to(images.dtype), dim=1) / self.temperature
        losses = [
            F.cross_entropy(vectors @ classes.T, wanted, label_smoothing=self.label_smoothing)
            for vectors, wanted in ((images, places), (captions, places[owners]))
        ]
        return torch.stack(losses).mean()


def given_places(given: Given, images: int, *, classes: int) -> Int64[Tensor, " N"]:
    """The images' places among all; `UsageError` where they lack or pass the number of classes."""
    places = asked_for(given, "places", "the images' places among all that are trained on [N]", (images,))
    if int(places.min()) < 0 or int(places.max()) >= classes:
        raise UsageError(
            f"places: from {int(places.min())} to {int(places.max())}; the objective was built for {classes}"
            " images"
        )
    return places
