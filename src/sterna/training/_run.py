"""A finished or unfinished run, as a model to use."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sterna.backbones import ImageBackbone, TextBackbone
from sterna.errors import PhotoError, RunError, UsageError
from sterna.files import hash_bytes, hash_json, read_json
from sterna.images import open_photo
from sterna.model import TERN
from sterna.scoring import Items
from sterna.settings import load_settings
from sterna.training._checkpoint import Position, checkpoint_path, load_weights
from sterna.training._learner import new_model
from sterna.training._scores import alignment_of, ragged
from sterna.training._settings import TrainSettings
from sterna.training._tuning import (
    check_backbone,
    freeze_tuned,
    load_image_backbone,
    load_text_backbone,
)

__all__ = ["PHOTOGRAPHS", "SENTENCES", "Run", "load_run", "prepare_files"]

PHOTOGRAPHS = 2  # at once: with 64 a grid of convolutions takes four times as long, most of it for memory
SENTENCES = 64


@dataclass(frozen=True)
class Run:
    """A trained model with its backbones, on the CPU in evaluation mode.

    Fields:
        path: the run's folder; `name` is the folder's name.
        position: where training stood when these weights were kept.
        facts: what was written down at the start: data, features, versions.
        results: the validation report of these weights; empty where they were never measured.
        tuned: what was trained of the backbones, as "image_backbone.NAME" and "text_backbone.NAME".
        tuning: how much of that is kept, by "image" and "text"; see `load_run`.
    """

    path: Path
    settings: TrainSettings
    model: TERN
    image_backbone: ImageBackbone
    text_backbone: TextBackbone
    position: Position
    facts: Mapping[str, Any]
    results: Mapping[str, Any]
    tuned: Mapping[str, Tensor] = field(default_factory=dict)
    tuning: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What to call it: the folder's name."""
        return self.path.resolve().name

    @property
    def size(self) -> int:
        """Side in pixels of the square that `prepare` makes, or the shorter side of what keeps its shape."""
        return self.image_backbone.size

    @property
    def fit(self) -> str:
        """How a photograph becomes that square: "squeeze", "crop", "letterbox"; "own" where it does not."""
        return self.image_backbone.fit

    @property
    def dim(self) -> int:
        """E, the width of the vectors."""
        return self.settings.model.embedding

    @property
    def score(self) -> str:
        """What it was measured by in training, one of `sterna.scoring.SCORES`."""
        return self.settings.score

    @cached_property
    def alignment(self) -> str | None:
        """How its regions are compared with words; `None` where it was not trained for that."""
        return alignment_of(self.settings)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights and of both backbones."""
        weights = {
            name: hash_bytes(value.detach().contiguous().numpy().tobytes())
            for name, value in self.model.state_dict().items()
        }
        backbones = [self.image_backbone.fingerprint, self.text_backbone.fingerprint]
        return hash_json({"weights": weights, "backbones": backbones})

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """A photograph, upright and RGB, to what `encode_images` takes."""
        return self.image_backbone.prepare(image)

    def encode_images(self, pixels: NDArray[Any] | Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """What `prepare` made, mostly squares [B, S, S, 3] uint8 RGB, to unit vectors [B, E] float32."""
        vectors = np.empty((len(pixels), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(pixels), PHOTOGRAPHS):
                regions = self.image_backbone.look(list(pixels[start : start + PHOTOGRAPHS]))
                vectors[start : start + PHOTOGRAPHS] = self.model.encode_images(
                    regions.values, regions.mask, regions.boxes
                ).numpy()
        return vectors

    def encode_texts(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Sentences to unit vectors [B, E] float32."""
        vectors = np.empty((len(sentences), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(sentences), SENTENCES):
                tokens = self.text_backbone(
                    *self.text_backbone.tokenize(sentences[start : start + SENTENCES])
                )
                vectors[start : start + SENTENCES] = self.model.encode_texts(
                    tokens.values, tokens.mask
                ).numpy()
        return vectors

    def image_items(self, pixels: NDArray[Any] | Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """What `prepare` made to the unit vectors [R, E] of each photograph's regions."""
        found: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(pixels), PHOTOGRAPHS):
                regions = self.image_backbone.look(list(pixels[start : start + PHOTOGRAPHS]))
                read = self.model.read_images(regions.values, regions.mask, regions.boxes)
                found += ragged(Items(read.items, read.mask))
        return found

    def text_items(self, sentences: Sequence[str]) -> list[NDArray[np.float32]]:
        """Sentences to the unit vectors [T, E] of each one's words."""
        found: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(sentences), SENTENCES):
                tokens = self.text_backbone(
                    *self.text_backbone.tokenize(sentences[start : start + SENTENCES])
                )
                read = self.model.read_texts(tokens.values, tokens.mask)
                found += ragged(Items(read.items, read.mask))
        return found


def load_run(
    path: str | Path,
    which: Literal["best", "last"] = "best",
    *,
    image_tuning: float = 1.0,
    text_tuning: float = 1.0,
) -> Run:
    """Open the model of a run: its best weights by the validation metric, or its last.

    With EMA on, both are the averaged weights.

    Arguments:
        image_tuning, text_tuning: how far to go from the backbone's published weights (0) to those that the
            run tuned (1), in a straight line (Wortsman et al., "WiSE-FT", CVPR 2022, equation 1). Below 1
            the run's results, which are of other weights, are left out.

    Raises `RunError` where `path` is not a run or has no such checkpoint yet, `ModelError` where the
    checkpoint is damaged or the backbones cannot be built, `UsageError` for a share that is not 0 to 1, or
    below 1 of a backbone that the run has not tuned.
    """
    run = Path(path)
    if which not in ("best", "last"):
        raise RunError(f"{which!r}: a run has the checkpoints best and last")
    if not (run / "settings.yaml").is_file():
        raise RunError(f"{path}: not a training run (it has no settings.yaml)")
    checkpoint = checkpoint_path(run, which)
    if not checkpoint.is_file():
        raise RunError(f"{path}: has no {which} checkpoint yet; train it further with --resume")
    settings = load_settings(TrainSettings, run / "settings.yaml")
    facts = read_json(run / "run.json", error=RunError)
    with torch.random.fork_rng(devices=[]):
        images, texts = _load_backbones(settings, facts["features"])
        model = new_model(settings.model, image_sources=images.sources, text_sources=(texts.dim,))
    backbones: dict[str, ImageBackbone | TextBackbone] = {"image_backbone": images, "text_backbone": texts}
    tuning = {"image": image_tuning, "text": text_tuning}
    published = _published(backbones, tuning, adapters=settings.finetune.text.low_rank > 0)
    position, results = load_weights(
        checkpoint,
        model,
        backbones=backbones,
        stands_on={"images": images.fingerprint, "captions": texts.fingerprint},
    )
    tuned: dict[str, Tensor] = {}
    for part, backbone in backbones.items():
        for name, weights in published.get(part, {}).items():
            value = backbone.tuned()[name]
            value.copy_(torch.lerp(weights, value, tuning[part.removesuffix("_backbone")]))
        tuned |= {f"{part}.{name}": value for name, value in backbone.tuned().items()}
        freeze_tuned(backbone)
    return Run(
        path=run,
        settings=settings,
        model=model.requires_grad_(False).eval(),
        image_backbone=images,
        text_backbone=texts,
        position=position,
        facts=facts,
        results={} if published else results,
        tuned=tuned,
        tuning=tuning,
    )


def _published(
    backbones: Mapping[str, ImageBackbone | TextBackbone], tuning: Mapping[str, float], *, adapters: bool
) -> dict[str, dict[str, Tensor]]:
    """Copies of the published weights that are to be kept in part, by backbone and name.

    Of adapters of low rank only `up`, which is zero then: their product with `down` goes in a straight line.
    """
    kept: dict[str, dict[str, Tensor]] = {}
    for side, share in tuning.items():
        if not 0 <= share <= 1:
            raise UsageError(f"{side}_tuning={share}: must be from 0, as published, to 1, as tuned")
        weights = backbones[f"{side}_backbone"].tuned()
        if share < 1 and not weights:
            raise UsageError(
                f"{side}_tuning={share}: the run has not tuned its {side} backbone; leave it out"
            )
        if share < 1:
            kept[f"{side}_backbone"] = {
                name: value.clone()
                for name, value in weights.items()
                if value.is_floating_point() and not (adapters and name.endswith(".down"))
            }
    return kept


def prepare_files(run: Run, paths: Sequence[Path]) -> list[NDArray[Any]]:
    """What `Run.prepare` makes of those photographs that can be read."""
    prepared = []
    for path in paths:
        with contextlib.suppress(PhotoError):
            prepared.append(run.prepare(open_photo(path, at_least=run.size).image))
    return prepared


def _load_backbones(
    settings: TrainSettings, trained_on: Mapping[str, Any]
) -> tuple[ImageBackbone, TextBackbone]:
    """Both backbones as they are published; they must be those that the run's features were made with."""
    size = trained_on["images"]["size"]
    images = load_image_backbone(settings.features, settings.finetune, size=size)
    texts = load_text_backbone(settings.features, settings.finetune)
    check_backbone(images, trained_on["images"])
    check_backbone(texts, trained_on["captions"])
    return images, texts
