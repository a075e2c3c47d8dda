"""An exponential moving average of weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """The averaged copy of a module's parameters; buffers are not averaged.

    The decay starts at 0.1 and rises to `decay`, `min(decay, (1 + steps) / (10 + steps))`, so that the first
    random weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, *, steps: int) -> None:
        """Move towards `module`'s weights; `steps` is how many updates came before this one."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, value in module.named_parameters():
            self.values[name].lerp_(value.detach(), 1 - decay)

    @contextlib.contextmanager
    def inside(self, module: nn.Module) -> Iterator[None]:
        """Let `module` carry the averaged weights for the length of a `with`."""
        kept = {name: value.detach().clone() for name, value in module.named_parameters()}
        _copy(self.values, module)
        try:
            yield
        finally:
            _copy(kept, module)


@torch.no_grad()
def _copy(values: dict[str, Tensor], module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        parameter.copy_(values[name])
