"""The optimizer: which one, over which parameters, and which of them decay."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from sterna.errors import UsageError, check_known
from sterna.training._muon import MuonWithAdamW
from sterna.training._schedule import Schedule
from sterna.training._steps import OptimizerSettings, PartSettings

__all__ = ["OPTIMIZERS", "build_optimizer", "set_rates"]

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "adadelta": torch.optim.Adadelta,
    "adafactor": torch.optim.Adafactor,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "asgd": torch.optim.ASGD,
    "muon": MuonWithAdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
    "sgd": torch.optim.SGD,
}
# Arguments that settings of their own stand for, and those that say how a step is computed, not which.
_OURS = {"params", "lr", "weight_decay", "foreach", "fused", "capturable", "differentiable", "maximize"}


def build_optimizer(learner: nn.Module, settings: OptimizerSettings) -> Optimizer:
    """An optimizer of torch over what can be trained; only layers' matrices decay.

    Every group of parameters says its `part`, by which `set_rates` knows it. Raises `UsageError` for an
    unknown optimizer or argument, values that it refuses, and a part that has nothing to train.
    """
    check_known("optimizer.name", settings.name, OPTIMIZERS)
    kind = OPTIMIZERS[settings.name]
    arguments = _arguments(kind, settings)
    groups = list(_groups(learner, settings))
    trained = {group["part"] for group in groups}
    for part in settings.parts:
        if part not in trained:
            raise UsageError(
                f"optimizer.parts.{part}: nothing of it is trained; what is: {', '.join(sorted(trained))}"
            )
    if not any("weight_decay" in group for group in groups) and settings.weight_decay:
        raise UsageError(
            f"optimizer.weight_decay={settings.weight_decay}: {settings.name} knows no decay; use 0"
        )
    try:
        return kind(groups, lr=settings.rate, **arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"optimizer {settings.name}: torch refuses its arguments ({error})") from None


def set_rates(
    optimizer: Optimizer, settings: OptimizerSettings, schedule: Schedule, *, step: int, held: float
) -> dict[str, float]:
    """Give every group its rate, and momentum where that moves, for `step`; freeze what has not begun.

    `held` is a plateau's factor. Returns the rates by part.
    """
    rates, momentum = {}, schedule.momentum(step)
    for group in optimizer.param_groups:
        part = settings.parts.get(group["part"], PartSettings())
        group["lr"] = (part.rate or settings.rate) * schedule.factor(step, part, held=held)
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif momentum is not None:
            group["momentum"] = momentum
        for parameter in group["params"]:
            parameter.requires_grad_(schedule.has_begun(step, part))
        rates[group["part"]] = group["lr"]
    return rates


def _arguments(kind: Callable[..., Optimizer], settings: OptimizerSettings) -> dict[str, Any]:
    known = set(inspect.signature(kind).parameters)
    own = {"betas": settings.betas, "eps": settings.epsilon}
    for (key, value), name in zip(own.items(), ("betas", "epsilon"), strict=True):
        if value is not None and key not in known:
            raise UsageError(f"optimizer.{name}: {settings.name} has none; leave it out")
        if value is not None and key in settings.params:
            raise UsageError(f"optimizer.params.{key}: is there as optimizer.{name} too; leave one out")
    for key in settings.params:
        if key not in known - _OURS:
            raise UsageError(
                f"optimizer.params.{key}: is no argument of {settings.name}; "
                f"known: {', '.join(sorted(known - _OURS)) or 'none'}"
            )
    arguments = {key: value for key, value in own.items() if value is not None} | {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.params.items()
    }
    return arguments | ({"fused": True} if kind is torch.optim.AdamW else {})


def _groups(learner: nn.Module, settings: OptimizerSettings) -> Iterator[dict[str, Any]]:
    """Each part's matrices, then all else of it; a group without parameters is left out."""
    decays = "weight_decay" in inspect.signature(OPTIMIZERS[settings.name]).parameters
    parameters = [(name, one) for name, one in learner.named_parameters() if one.requires_grad]
    for part in dict.fromkeys(name.partition(".")[0] for name, _ in parameters):
        own = settings.parts.get(part, PartSettings())  # type: ignore[call-overload]
        decay = settings.weight_decay if own.weight_decay is None else own.weight_decay
        for wanted in (True, False):
            chosen = [
                one
                for name, one in parameters
                if name.partition(".")[0] == part and _is_matrix(name, one) is wanted
            ]
            if chosen:
                ours = {"weight_decay": decay if wanted else 0.0} if decays else {}
                yield {"params": chosen, "part": part, "matrices": wanted, **ours}


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and name.rpartition(".")[2].startswith("weight")
