"""What a run computes with, from its settings and what it reads."""

from __future__ import annotations

import torch

from sterna.objectives import build_objective
from sterna.training._augment import Augment
from sterna.training._inputs import Inputs
from sterna.training._learner import Learner, new_model
from sterna.training._plan import Plan
from sterna.training._settings import TrainSettings
from sterna.training._teachers import load_teachers
from sterna.training._tuning import published_classes, tuned_backbones

__all__ = ["new_learner", "new_plan"]


def new_plan(settings: TrainSettings, inputs: Inputs) -> Plan:
    """Which images each step of the run sees."""
    return Plan(
        images=len(inputs.train.image_rows),
        batch_images=settings.batch_images,
        accumulation=settings.accumulation,
        epochs=settings.epochs,
        seed=settings.seed,
        views=len(settings.features.views),
        lengths=inputs.caption_lengths() if settings.bucket else None,
    )


def new_learner(settings: TrainSettings, inputs: Inputs, *, device: torch.device) -> Learner:
    """Model, objective, teachers and the backbones that are trained, on `device`, by the run's seed."""
    torch.manual_seed(settings.seed)
    model = new_model(settings.model, image_sources=inputs.image_sources, text_sources=inputs.text_sources)
    objective = build_objective(
        settings.objective.name,
        settings.objective.params,
        images=len(inputs.train.image_rows),
        embedding=settings.model.embedding,
    )
    features = inputs.facts["features"]
    augment = settings.finetune.image.augment
    images, texts = tuned_backbones(settings.features, settings.finetune, features)
    if model.names is not None:
        classes = published_classes(settings.features, features)
        model.names.learn(classes.classifiers, classes.names)
    return Learner(
        model,
        objective,
        image_backbone=images,
        text_backbone=texts,
        stands_on=inputs.stands_on,
        teachers=load_teachers(settings.teacher, features, device=device),
        augment=None if augment is None else Augment(**augment.model_dump()),
        mixup=settings.mixup,
    ).to(device)
