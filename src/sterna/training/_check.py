"""Settings that cannot be trained are refused before anything is written."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from sterna.errors import UsageError
from sterna.objectives import build_objective
from sterna.training._device import choose_device
from sterna.training._learner import new_model, takes_means
from sterna.training._optimizer import build_optimizer
from sterna.training._scores import check_scores
from sterna.training._settings import ModelSettings, TowerSettings, TrainSettings

__all__ = ["check_settings"]


def check_settings(settings: TrainSettings) -> None:
    """Build what settings describe, small; raises `UsageError` naming what cannot be."""
    choose_device(settings.device, settings.precision)
    with torch.random.fork_rng(devices=[]):
        model = new_model(
            settings.model,
            image_sources=(_width(settings.model.image, settings.model),),
            text_sources=(_width(settings.model.text, settings.model),),
        )
        objective = build_objective(
            settings.objective.name, settings.objective.params, images=1, embedding=settings.model.embedding
        )
        parts: dict[str, nn.Module] = {"model": model, "objective": objective}
        for side, tuning in (("image", settings.finetune.image), ("text", settings.finetune.text)):
            if tuning.tuned:
                parts[f"{side}_backbone"] = nn.Linear(1, 1)  # in the place of what is slow to build
        _check_parts(settings, build_optimizer(nn.ModuleDict(parts), settings.optimizer))
    if bool(settings.teacher) is not ("teacher" in objective.needs):
        raise UsageError(
            f"teacher: {len(settings.teacher)} runs are named, and objective {settings.objective.name} "
            f"learns from {'one or more' if 'teacher' in objective.needs else 'none'}"
        )
    if settings.bucket and takes_means(model.text) and not settings.finetune.text.tuned:
        raise UsageError(
            "bucket=true would change nothing: the text tower sees the mean of a caption alone, and no batch "
            "is padded; leave it out"
        )
    if settings.model.names:
        _check_names(settings)
    if settings.finetune.image.augment is not None:
        _check_augmented(settings, objective.needs)
    check_scores(settings.score, objective, model)


def _check_names(settings: TrainSettings) -> None:
    """Names are read by the text backbone as it is published, and compared by dot products."""
    names, features = settings.model.names, settings.features
    if settings.finetune.image.tuned or settings.finetune.text.tuned:
        raise UsageError(f"model.names={names}: is for frozen backbones; leave finetune out, or names")
    if features.hidden_layer not in (None, -1):
        raise UsageError(
            f"model.names={names}: names are read by the last layer; leave features.hidden_layer out"
        )
    if settings.score != "dot":
        raise UsageError(f"model.names={names}: adds to dot products, and score is {settings.score!r}")


def _check_augmented(settings: TrainSettings, needs: Collection[str]) -> None:
    """Nothing else looks at photographs that are new in every step."""
    augment = "finetune.image.augment"
    if settings.features.views != ("original",):
        raise UsageError(
            f"features.views: with {augment} every step makes a view of its own; leave views out"
        )
    if settings.teacher or "image_targets" in needs:
        raise UsageError(
            f"{augment}: {'teacher' if settings.teacher else settings.objective.name} reads features of the "
            "photographs, and there are none of changed ones; leave one of them out"
        )


def _width(tower: TowerSettings, model: ModelSettings) -> int:
    """Of features that a tower can take: any, but where they enter its layers as they are."""
    return (tower.width or model.width) if tower.inputs == "none" else 8


def _check_parts(settings: TrainSettings, optimizer: torch.optim.Optimizer) -> None:
    """Every part is trained at some time, something from the first epoch on, and momentum has where to go."""
    parts = settings.optimizer.parts
    for name, part in parts.items():
        if part.start_epoch >= settings.epochs:
            raise UsageError(
                f"optimizer.parts.{name}: start_epoch={part.start_epoch} is never reached in "
                f"{settings.epochs} epochs, counted from 0"
            )
    if all(group["part"] in parts and parts[group["part"]].start_epoch for group in optimizer.param_groups):
        raise UsageError("optimizer.parts: nothing is trained in epoch 0; let one part begin there")
    if settings.schedule.momentum and not all(
        {"betas", "momentum"} & group.keys() for group in optimizer.param_groups
    ):
        raise UsageError(
            f"schedule.momentum: {settings.optimizer.name} has no momentum that could go up and down"
        )
