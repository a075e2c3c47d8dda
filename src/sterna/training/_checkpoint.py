"""Checkpoints: one safetensors file each, written aside and renamed, so that it is whole or not there.

`last.safetensors` holds all that the next step depends on: the weights, the optimizer's moments, the averaged
weights and, in its metadata, where the run stands. `best.safetensors` holds the weights to use. Of backbones
both hold what training changes alone, and in their metadata the fingerprints of what that stands on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sterna.backbones import ImageBackbone, TextBackbone
from sterna.errors import ModelError
from sterna.files import new_file
from sterna.training._ema import Average
from sterna.training._learner import Learner, kept_tensors
from sterna.training._schedule import Plateau

__all__ = [
    "Position",
    "best_checkpoint",
    "checkpoint_path",
    "load_last",
    "load_weights",
    "read_position",
    "read_report",
    "save_best",
    "save_last",
]

_MODEL = "model."  # how the parameters of the model, as against those of the objective, begin in a learner


@dataclass
class Position:
    """Where a run stands after `step` steps, beside its weights."""

    step: int = 0
    best: float | None = None
    best_step: int = 0
    validations_since_best: int = 0
    stopped_early: bool = False
    loss_sum: float = 0.0  # over the steps since the last row of the log
    loss_steps: int = 0
    seconds: float = 0.0
    value: float | None = None  # of the latest validation
    plateau: Plateau = field(default_factory=Plateau)
    scaler: dict[str, float] | None = None  # of float16's losses


def checkpoint_path(run: Path, which: str) -> Path:
    """The file of the checkpoint "last" or "best" of a run."""
    return run / "checkpoints" / f"{which}.safetensors"


def best_checkpoint(run: Path) -> Path | None:
    """The best checkpoint of a training run; `None` where it has none yet, or is no run."""
    file = checkpoint_path(run, "best")
    return file if (run / "settings.yaml").is_file() and file.is_file() else None


def save_last(
    run: Path,
    position: Position,
    *,
    learner: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: Average | None,
) -> None:
    """Write all that the run needs to go on."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in learner.named_parameters()}
    tensors = {f"weights/{name}": value for name, value in _named(learner).items()}
    moments = {
        f"optimizer/{names[parameter]}/{key}": value
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }
    tensors |= {key: value for key, value in moments.items() if isinstance(value, Tensor)}
    plain = {key: value for key, value in moments.items() if key not in tensors}
    if average is not None:
        tensors |= {f"average/{name}": value for name, value in average.values.items()}
    metadata = {"optimizer": plain, "stands_on": _stands_on(learner)}
    _save(checkpoint_path(run, "last"), tensors, position, metadata)


def save_best(run: Path, position: Position, *, learner: nn.Module, report: Mapping[str, Any]) -> None:
    """Write the weights as they are now, with the validation report that made them the best."""
    tensors = {f"weights/{name}": value for name, value in _named(learner).items()}
    metadata = {"report": report, "stands_on": _stands_on(learner)}
    _save(checkpoint_path(run, "best"), tensors, position, metadata)


def load_last(
    run: Path, *, learner: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None
) -> Position:
    """Put a run's last checkpoint back into its parts; they are bit for bit what they were."""
    path = checkpoint_path(run, "last")
    tensors, position = _load(path)
    _check_ground(path, _stands_on(learner))
    _fill(_named(learner), tensors, kind="weights", path=path)
    # Plain SGD remembers nothing, but then there is no report of a validation either.
    if not any(name.startswith("optimizer/") for name in tensors) and read_report(path):
        raise ModelError(f"{path}: holds weights alone, not what a run needs to go on; train to a new folder")
    # A fused optimizer wants its count of steps, too, where the weights are; others want it on the CPU.
    fused = {one for group in optimizer.param_groups if group.get("fused") for one in group["params"]}
    moments: dict[str, Any] = {**tensors, **_read_metadata(path, "optimizer")}
    for name, parameter in learner.named_parameters():
        start = f"optimizer/{name}/"
        state = {key.removeprefix(start): value for key, value in moments.items() if key.startswith(start)}
        if state:
            optimizer.state[parameter] = {
                key: value.to(parameter.device)
                if isinstance(value, Tensor) and (key != "step" or parameter in fused)
                else value
                for key, value in state.items()
            }
    if average is not None:
        _fill(average.values, tensors, kind="average", path=path)
    return position


def load_weights(
    path: Path,
    model: nn.Module | None,
    *,
    backbones: Mapping[str, ImageBackbone | TextBackbone] | None = None,
    stands_on: Mapping[str, str] | None = None,
) -> tuple[Position, dict[str, Any]]:
    """Fill `model` from a checkpoint, with averaged weights where it has them; its position and report.

    Arguments:
        model: `None` where the backbones alone are wanted.
        backbones: "image_backbone" and "text_backbone", of which what was trained is filled, too.
        stands_on: fingerprints of the backbones in use, by the kind of store.

    Raises `ModelError` where the checkpoint is damaged, of another architecture, or stands on others.
    """
    report = read_report(path)
    tensors, position = _load(path)
    _check_ground(path, stands_on or {})
    tensors |= {
        key.replace("average/", "weights/", 1): value
        for key, value in tensors.items()
        if key.startswith("average/")
    }
    named = {} if model is None else _named(model)
    wanted = {f"{_MODEL}{name}": value for name, value in named.items()}
    for part, backbone in (backbones or {}).items():
        wanted |= {f"{part}.{name}": value for name, value in backbone.tuned().items()}
    _fill(wanted, tensors, kind="weights", path=path)
    return position, report


def read_position(path: Path) -> Position:
    """Where the run stood at this checkpoint, without reading the weights."""
    with _open(path) as file:
        return _position(path, file.metadata())


def read_report(path: Path) -> dict[str, Any]:
    """The validation report of a checkpoint's weights; empty where they were never measured."""
    return _read_metadata(path, "report")


def _read_metadata(path: Path, key: str) -> dict[str, Any]:
    with _open(path) as file:
        found: dict[str, Any] = json.loads((file.metadata() or {}).get(key, "{}"))
    return found


def _stands_on(learner: nn.Module) -> dict[str, str]:
    return learner.stands_on if isinstance(learner, Learner) else {}


def _check_ground(path: Path, stands_on: Mapping[str, str]) -> None:
    """Raise `ModelError` where weights were trained on other backbones; older checkpoints do not say."""
    for kind, wanted in _read_metadata(path, "stands_on").items():
        came = stands_on.get(kind, wanted)
        if came != wanted:
            raise ModelError(
                f"{path}: its weights stand on another backbone of {kind} (fingerprint {wanted[:12]}) "
                f"than the one here ({came[:12]}); put it beside the run.json that it was trained with"
            )


def _named(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in kept_tensors(module).items()}


def _save(
    path: Path, tensors: Mapping[str, Tensor], position: Position, metadata: Mapping[str, Mapping[str, Any]]
) -> None:
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    said = {"position": asdict(position), **metadata}
    with new_file(path) as aside:
        # Not save_file: it tells of a full disk in an error of its own.
        aside.write_bytes(save(whole, metadata={key: json.dumps(value) for key, value in said.items()}))


def _open(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except FileNotFoundError:
        raise ModelError(f"{path}: no such checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a checkpoint that can be read ({error})") from None


def _load(path: Path) -> tuple[dict[str, Tensor], Position]:
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _position(path, file.metadata())  # noqa: SIM118


def _position(path: Path, metadata: Mapping[str, str] | None) -> Position:
    try:
        values = json.loads((metadata or {})["position"])
        return Position(**values | {"plateau": Plateau(**values.get("plateau", {}))})
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{path}: a safetensors file, but not a checkpoint of a training run") from None


@torch.no_grad()
def _fill(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, kind: str, path: Path) -> None:
    for name, target in wanted.items():
        value = tensors.get(f"{kind}/{name}")
        if value is None or value.shape != target.shape:
            came = "nothing" if value is None else f"a tensor of shape {tuple(value.shape)}"
            raise ModelError(f"{path}: {name} should be of shape {tuple(target.shape)}; {came} was found")
        target.copy_(value)
