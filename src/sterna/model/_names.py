"""What image networks learned to tell apart, by its names: a way from images to sentences without training.

Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings", ICLR 2014 (ConSE): an image
is the mean of its classes' names, as the text backbone reads them, weighted by how likely each class is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sterna.errors import UsageError
from sterna.model._pooling import masked_mean

__all__ = ["CLASSES", "Names"]

CLASSES = 1000
"""K, of ImageNet's, which image networks are published with"""


class Names(nn.Module):
    """Vectors of images and sentences by the names of classes, put beside those that towers learned.

    Nothing here is trained, so that it also knows what no caption mentioned; the towers learn what it lacks.
    What all images have in common, and all sentences, is taken away: the mean over the batches of training.
    The cosine of two joined vectors is (s + weight * z) / (1 + weight), of towers s and of names z.

    Arguments:
        sources: widths of the image networks side by side.
        width: W, of the tokens, and so of the names.
        weight: of a cosine by names beside one of the towers; above 0.

    Raises `UsageError` for another weight.
    """

    seen: Tensor
    image_mean: Tensor
    text_mean: Tensor

    def __init__(self, sources: Sequence[int], width: int, *, weight: float) -> None:
        super().__init__()
        if not 0 < weight < float("inf"):
            raise UsageError(f"names={weight}: a weight above 0 is needed, or 0 for none")
        self.sources, self.width, self.weight = list(sources), width, weight
        self.classifiers = nn.ModuleList(nn.Linear(source, CLASSES) for source in sources)
        self.names = nn.Linear(CLASSES, width, bias=False)
        self.requires_grad_(False)
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("image_mean", torch.zeros(width))
        self.register_buffer("text_mean", torch.zeros(width))

    @torch.no_grad()
    def learn(
        self,
        classifiers: Sequence[tuple[Float[Tensor, "K _"], Float[Tensor, " K"]]],
        names: Float[Tensor, "K W"],
    ) -> None:
        """Take each image network's last layer, weights and biases, and the vectors of its classes' names.

        Raises `UsageError` where they have other shapes.
        """
        shapes = [tuple(weight.shape) for weight, _ in classifiers]
        wanted = [(CLASSES, source) for source in self.sources]
        if shapes != wanted or tuple(names.shape) != (CLASSES, self.width):
            raise UsageError(
                f"names: classifiers of {wanted} and names of {(CLASSES, self.width)} are needed; "
                f"{shapes} and {tuple(names.shape)} came"
            )
        for layer, (weight, bias) in zip(self.classifiers, classifiers, strict=True):
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        self.names.weight.copy_(names.T)

    def beside_images(
        self, vectors: Float[Tensor, "B E"], values: Float[Tensor, "B R D"], mask: Bool[Tensor, "B R"]
    ) -> Float[Tensor, "B F"]:
        """Unit vectors of E and of W numbers as one of unit length, from regions or their mean."""
        pooled = torch.split(masked_mean(values, mask), self.sources, dim=-1)
        likely = [layer(one).softmax(-1) for layer, one in zip(self.classifiers, pooled, strict=True)]
        named = self.names(torch.stack(likely).mean(0))
        return self._joined(vectors, named, self.image_mean, 0)

    def beside_texts(
        self, vectors: Float[Tensor, "B E"], values: Float[Tensor, "B T W"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B F"]:
        """Unit vectors of E and of W numbers as one of unit length, from tokens or their mean."""
        said = F.normalize(masked_mean(values, mask), dim=-1)
        return self._joined(vectors, said, self.text_mean, 1)

    def _joined(self, vectors: Tensor, others: Tensor, mean: Tensor, side: int) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.seen[side] += 1
                mean.lerp_(others.detach().mean(0), 1 / self.seen[side])
        others = F.normalize(others - mean, dim=-1)
        share = self.weight / (1 + self.weight)
        return torch.cat(((1 - share) ** 0.5 * vectors, share**0.5 * others), dim=-1)
