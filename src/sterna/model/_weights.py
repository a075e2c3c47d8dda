"""Weights of other code, on their way into a TERN: taken by their names, each of them accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sterna.errors import ModelError, UsageError
from sterna.model._tern import TERN

__all__ = ["Weights", "read_dropout", "read_value"]

_SHOWN = 5


class Weights:
    """A state dict whose tensors are given new names, one after the other, until none is left over.

    Arguments:
        state: tensors by their names there.
        prefixes: what names may begin with, any number of times, without it meaning anything.
    """

    def __init__(self, state: Mapping[str, Tensor], prefixes: Sequence[str] = ("module.",)) -> None:
        self.tensors = {_without(name, prefixes): value for name, value in state.items()}
        self.moved: dict[str, Tensor] = {}
        self.missing: list[str] = []
        self.used: set[str] = set()

    def size(self, name: str, axis: int, default: int) -> int:
        """How long an axis of a tensor is; `default` where there is no such tensor."""
        return int(self.tensors[name].shape[axis]) if name in self.tensors else default

    def move(self, ours: str, *theirs: str) -> None:
        """Give a tensor our name; several are put one under the other."""
        found = [self.tensors[name] for name in theirs if name in self.tensors]
        self.missing += [name for name in theirs if name not in self.tensors]
        self.used |= set(theirs)
        if len(found) == len(theirs):
            self.moved[ours] = torch.cat([value.float() for value in found])

    def move_linear(self, ours: str, *theirs: str) -> None:
        """Give the weight and bias of a linear layer our name."""
        for leaf in ("weight", "bias"):
            self.move(f"{ours}.{leaf}", *(f"{name}.{leaf}" for name in theirs))

    def fill(self, model: TERN, *, unused: Sequence[str] = ()) -> TERN:
        """Fill `model` with what was moved; in evaluation mode.

        Arguments:
            unused: what names may begin with that nothing was made of.
        Raises `ModelError` naming tensors that are missing, that are left over, or do not fit.
        """
        left = [name for name in self.tensors if name not in self.used and not name.startswith(tuple(unused))]
        wrong = [
            f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
            for what, names in (("are missing", self.missing), ("are not known", left))
            if names
        ]
        if wrong:
            raise ModelError(f"weights: {' and '.join(wrong)}; is the config that of these weights?")
        targets = model.state_dict()
        for name, target in targets.items():
            if self.moved[name].shape != target.shape:
                raise ModelError(
                    f"weights: what becomes {name} is of shape {tuple(self.moved[name].shape)}, and by the "
                    f"config {tuple(target.shape)} is needed; is the config that of these weights?"
                )
        model.load_state_dict({name: self.moved[name] for name in targets})
        return model.eval()


def read_value(config: Mapping[str, Any], *keys: str, kind: type = int) -> Any:
    """A value of nested mappings; `UsageError` where it is missing or of another kind."""
    value: Any = config
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            raise UsageError(f"config: {'.'.join(keys)} is missing")
        value = value[key]
    if kind is int and (isinstance(value, bool) or not isinstance(value, int)):
        raise UsageError(f"config: {'.'.join(keys)} is a whole number; came {value!r}")
    if kind is Mapping and not isinstance(value, Mapping):
        raise UsageError(f"config: {'.'.join(keys)} is a section of values; came {value!r}")
    return value


def read_dropout(section: Mapping[str, Any], name: str) -> float:
    """The dropout in a section of a config, 0.1 where it says none; `UsageError` where it is no share."""
    value = section.get("dropout", 0.1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"config: {name} is a share from 0 up to, but not, 1; came {value!r}")
    return float(value)


def _without(name: str, prefixes: Sequence[str]) -> str:
    while prefix := next((one for one in prefixes if name.startswith(one)), ""):
        name = name.removeprefix(prefix)
    return name
