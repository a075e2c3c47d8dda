"""An exponential moving average of weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sterna.training._learner import kept_tensors

__all__ = ["Average"]


class Average:
    """The averaged copy of a module's parameters, without those that stay frozen; buffers are not averaged.

    The decay starts at 0.1 and rises to `decay`, `min(decay, (1 + steps) / (10 + steps))`, so that the first
    random weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.values = _copies(module)

    @torch.no_grad()
    def update(self, module: nn.Module, *, steps: int) -> None:
        """Move towards `module`'s weights; `steps` is how many updates came before this one."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, value in kept_tensors(module, buffers=False).items():
            self.values[name].lerp_(value.detach(), 1 - decay)

    @contextlib.contextmanager
    def inside(self, module: nn.Module) -> Iterator[None]:
        """Let `module` carry the averaged weights for the length of a `with`."""
        kept = _copies(module)
        _copy(self.values, module)
        try:
            yield
        finally:
            _copy(kept, module)


def _copies(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in kept_tensors(module, buffers=False).items()}


@torch.no_grad()
def _copy(values: dict[str, Tensor], module: nn.Module) -> None:
    for name, parameter in kept_tensors(module, buffers=False).items():
        parameter.copy_(values[name])
