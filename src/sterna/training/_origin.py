"""Weights that a run begins with in place of new ones: those of another run, or of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sterna.errors import ModelError
from sterna.files import hash_file
from sterna.training._checkpoint import checkpoint_path
from sterna.training._learner import Learner, kept_tensors

__all__ = ["begin_with", "origin_facts", "weights_file"]

_OBJECTIVE = "objective."  # what a loss learns is its own
_TUNED = ("image_backbone.", "text_backbone.")  # of an exported model; its own weights have no such names


def weights_file(place: Path) -> Path:
    """The file of weights that a path means: itself, a run's best checkpoint, or a model folder's.

    Raises `ModelError` where there is none.
    """
    if place.is_file():
        return place
    if (place / "settings.yaml").is_file():
        if not checkpoint_path(place, "best").is_file():
            raise ModelError(f"{place}: has no best checkpoint yet to begin with; train it further first")
        return checkpoint_path(place, "best")
    if (place / "model.safetensors").is_file():
        return place / "model.safetensors"
    raise ModelError(
        f"{place}: neither a training run nor weights to begin with; name a run, a model folder exported "
        "with its torch weights, or a .safetensors file"
    )


def origin_facts(place: Path) -> dict[str, str]:
    """What a run writes down of the weights it begins with."""
    file = weights_file(place)
    return {"path": str(place), "file": file.name, "sha256": hash_file(file)}


@torch.no_grad()
def begin_with(place: Path, learner: Learner, *, strict: bool = True) -> None:
    """Give a learner's model, and what of its backbones is trained, the weights at `place`.

    Averaged weights go before others; what the objective learns begins anew. A part of a backbone that the
    other run did not train stays as it was published, and one that this run does not train is left out.

    Arguments:
        place: as for `weights_file`.
        strict: refuse weights that do not fit the model entirely; else what fits is taken.

    Raises `ModelError` naming what does not fit.
    """
    file = weights_file(place)
    found = _read(file)
    wanted = {name: value for name, value in kept_tensors(learner).items() if not name.startswith(_OBJECTIVE)}
    taken = [name for name in wanted if name in found and found[name].shape == wanted[name].shape]
    unlike = _differences(wanted, found)
    if not taken or (strict and unlike):
        raise ModelError(
            f"{file}: its weights do not fit the model: {'; '.join(unlike[:3])}"
            + (f"; and {len(unlike) - 3} more" if len(unlike) > 3 else "")
            + ("; to take those that fit: init_strict=false" if taken else "")
        )
    for name in taken:
        wanted[name].copy_(found[name])


def _read(file: Path) -> dict[str, Tensor]:
    """Weights by their name in a learner, whether a run or an export wrote them."""
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file}: not weights that can be read ({error})") from None
    weights = _under("weights/", tensors) | _under("average/", tensors)
    if weights:
        return {name: value for name, value in weights.items() if not name.startswith(_OBJECTIVE)}
    return {name if name.startswith(_TUNED) else f"model.{name}": value for name, value in tensors.items()}


def _under(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def _differences(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    unlike: list[str] = []
    for name, value in wanted.items():
        if name not in found:
            if name.startswith("model."):
                unlike.append(f"{_shown(name)} of shape {_shape(value)} is not there")
        elif found[name].shape != value.shape:
            unlike.append(f"{_shown(name)} is of shape {_shape(found[name])}, not {_shape(value)}")
    # A part of a backbone that the other run has trained, and this one does not train, is not of the model.
    placeless = [name for name in found if name not in wanted and not name.startswith(_TUNED)]
    return unlike + [f"{_shown(name)} has no place in it" for name in placeless]


def _shown(name: str) -> str:
    return name.removeprefix("model.")


def _shape(value: Any) -> str:
    return str(tuple(value.shape))
