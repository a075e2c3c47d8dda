"""Other models whose similarities a run learns from, on the same features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sterna.errors import RunError
from sterna.files import hash_file, read_json
from sterna.model import TERN
from sterna.settings import load_settings
from sterna.training._checkpoint import best_checkpoint, load_weights
from sterna.training._learner import Batch, new_model
from sterna.training._settings import TrainSettings

__all__ = ["Teachers", "load_teachers", "teacher_facts", "teacher_file"]


class Teachers:
    """Trained models, frozen; no part of what is trained or kept.

    Arguments:
        models: see the same features as the model that learns from them.
    """

    def __init__(self, models: Sequence[TERN]) -> None:
        self.models = tuple(models)

    @torch.no_grad()
    def similarities(self, batch: Batch) -> Float[Tensor, "N C"]:
        """The dot products of a batch's images and captions, the mean over all teachers, in float32."""
        regions, tokens = batch.regions.float(), batch.tokens.float()
        each = [
            model.encode_images(regions, batch.regions_mask, batch.boxes).float()
            @ model.encode_texts(tokens, batch.tokens_mask).float().T
            for model in self.models
        ]
        return torch.stack(each).mean(0)


def load_teachers(runs: Sequence[Path], trained_on: Mapping[str, Any], *, device: torch.device) -> Teachers:
    """The best models of `runs`, on `device`.

    Arguments:
        trained_on: what the stores of images and captions say of themselves (`run.json`'s "features").

    Raises `RunError` where one is no finished run, was trained on other features, or trained its backbones,
    so that features are not what it sees.
    """
    return Teachers([_load(run, trained_on).to(device) for run in runs])


def teacher_facts(runs: Sequence[Path]) -> list[str]:
    """Hashes of the teachers' weights, in order; a run that goes on needs the same."""
    return [hash_file(teacher_file(run)) for run in runs]


def _load(run: Path, trained_on: Mapping[str, Any]) -> TERN:
    checkpoint = teacher_file(run)
    settings = load_settings(TrainSettings, run / "settings.yaml")
    if settings.finetune.image.tuned or settings.finetune.text.tuned:
        raise RunError(f"{run}: trained its backbones too; a teacher sees the features of frozen ones")
    theirs = read_json(run / "run.json", error=RunError)["features"]
    for kind in ("images", "captions"):
        came, wanted = theirs[kind]["fingerprint"], trained_on[kind]["fingerprint"]
        if came is not None and came != wanted:  # an imported model does not say
            raise RunError(
                f"{run}: was trained on other features of {kind} (fingerprint {came[:12]}) than those here "
                f"({wanted[:12]}); a teacher needs the same"
            )
    with torch.random.fork_rng(devices=[]):
        model = new_model(
            settings.model,
            image_sources=tuple(trained_on["images"]["sources"]),
            text_sources=(trained_on["captions"]["dim"],),
        )
    stands_on = {kind: trained_on[kind]["fingerprint"] for kind in ("images", "captions")}
    load_weights(checkpoint, model, stands_on=stands_on)
    return model.requires_grad_(False).eval()


def teacher_file(run: Path) -> Path:
    """A teacher's weights; raises `RunError` where it is no run that has any."""
    checkpoint = best_checkpoint(run)
    if checkpoint is None:
        raise RunError(f"{run}: no teacher: not a training run with a best checkpoint")
    return checkpoint
