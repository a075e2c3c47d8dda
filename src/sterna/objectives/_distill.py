"""Distillation: the similarities of another model as targets."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

from sterna.errors import check_known
from sterna.objectives._cusa import divergence
from sterna.objectives._objective import NOTHING, Given, Objective, asked_for, check_above, ready
from sterna.objectives._similarity import needs_of, similarities

__all__ = ["Distill"]

KINDS = ("kl", "mse")


class Distill(Objective):
    """How far similarities are from those of another model, both ways.

    "kl": the mean of KL(softmax(teacher / teacher_temperature) || softmax(similarities / temperature)) over
    images, each over all captions, and over captions, each over all images (Hinton et al., arXiv:1503.02531,
    on rows of similarities; without their square of the temperature). "mse": the mean square of the
    differences, where temperatures have no part.

    Arguments:
        kind: "kl" or "mse".
        temperature, teacher_temperature: what similarities are divided by, here and there.
        similarity: "dot", "order", or the name of a score in `Given.scores`: the one that is trained.
    Raises `UsageError` for values that are not known or out of range.
    """

    def __init__(
        self,
        *,
        kind: str = "kl",
        temperature: float = 0.05,
        teacher_temperature: float = 0.05,
        similarity: str = "dot",
    ) -> None:
        super().__init__()
        check_known("kind", kind, KINDS)
        check_above(0.0, strictly=True, temperature=temperature, teacher_temperature=teacher_temperature)
        self.kind = kind
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.similarity = similarity
        self.needs = needs_of(similarity) | {"teacher"}

    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """See `Objective.forward`; who owns which caption has no part."""
        images, captions = ready(images, captions, owners)
        scores = similarities(self.similarity, images, captions, given=given)
        teacher = asked_for(given, "teacher", "similarities of another model [N, C]", tuple(scores.shape))
        teacher = teacher.detach().to(scores.dtype)
        if self.kind == "mse":
            return (scores - teacher).square().mean()
        logits, wanted = scores / self.temperature, teacher / self.teacher_temperature
        return (divergence(logits, wanted.softmax(1)) + divergence(logits.T, wanted.T.softmax(1))) / 2
