"""Settings that cannot be trained are refused before anything is written."""

from __future__ import annotations

import torch

from sterna.errors import UsageError
from sterna.objectives import Hinge, build_objective
from sterna.training._learner import new_model
from sterna.training._settings import TrainSettings

__all__ = ["check_settings"]


def check_settings(settings: TrainSettings) -> None:
    """Build what settings describe, small; raises `UsageError` naming what cannot be."""
    with torch.random.fork_rng(devices=[]):
        new_model(settings.model, image_sources=(8,), text_sources=(8,))
        objective = build_objective(
            settings.objective.name, settings.objective.params, images=1, embedding=settings.model.embedding
        )
    for part in objective.modules():
        if isinstance(part, Hinge) and part.similarity != "dot":
            raise UsageError(
                f"objective hinge: similarity={part.similarity!r} trains vectors for another comparison than "
                "the dot product by which they are measured and searched; use similarity='dot'"
            )
