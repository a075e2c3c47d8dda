"""ConVIRT's bidirectional contrastive loss."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from sterna.errors import UsageError
from sterna.objectives._infonce import cross_entropies, hard_targets
from sterna.objectives._objective import NOTHING, Given, Objective, check_above, ready
from sterna.objectives._similarity import needs_of, similarities

__all__ = ["ConVIRT"]


class ConVIRT(Objective):
    """Cross entropies both ways, weighted: `weight` for image to text, the rest of 1 for text to image.

    Zhang et al., "Contrastive Learning of Medical Visual Representations from Paired Images and Text",
    arXiv:2010.00747, equations 2 to 4. All captions of an image are its positives as in `InfoNCE`.

    Arguments:
        weight: the paper's lambda, the share of image to text.
        temperature: logits are similarities divided by it; it is not learned.
        similarity: "dot", "order", or the name of a score in `Given.scores`.
    Raises `UsageError` for values that are out of range.
    """

    def __init__(self, *, weight: float = 0.75, temperature: float = 0.1, similarity: str = "dot") -> None:
        super().__init__()
        check_above(0.0, strictly=True, temperature=temperature)
        if not 0 <= weight <= 1:
            raise UsageError(f"weight={weight}: must be a share of 1")
        self.weight = weight
        self.temperature = temperature
        self.similarity = similarity
        self.needs = needs_of(similarity)

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
        logits = similarities(self.similarity, images, captions, given=given) / self.temperature
        wanted = hard_targets(owners, len(images)).to(logits.dtype)
        i2t, t2i = cross_entropies(logits, wanted, (wanted > 0).to(logits.dtype).T)
        return self.weight * i2t + (1 - self.weight) * t2i
