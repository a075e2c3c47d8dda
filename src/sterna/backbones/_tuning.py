"""What fine-tuning needs: layers that are run again instead of remembered, and matrices of low rank."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from sterna.errors import ModelError, UsageError

__all__ = ["BATCH_NORMS", "add_low_rank", "batch_norms", "check_tuning", "merge_low_rank", "run_again"]

BATCH_NORMS = ("frozen", "moving")
_ADAPTED = ("query", "value", "q_lin", "v_lin", "q_proj", "v_proj", "q", "v")
_SCALE = 2.0


def check_tuning(*, low_rank: int = 0, batch_norm: str = "frozen") -> None:
    """Raise `UsageError` for a rank below 0 or an unknown way with batch norms."""
    if low_rank < 0:
        raise UsageError(f"low_rank={low_rank}: a rank is 1 or more, and 0 means no adapters")
    if batch_norm not in BATCH_NORMS:
        raise UsageError(f"batch_norm={batch_norm!r}: must be one of {', '.join(BATCH_NORMS)}")


class _LowRank(nn.Linear):
    """A linear layer whose matrix W is W + 2 B A, of which A [K, in] and B [out, K] alone are trained.

    B begins at zero. Hu et al., "LoRA" (ICLR 2022), eq. 3; their alpha is twice the rank.
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.down = nn.Parameter(torch.randn_like(layer.weight[:1].expand(rank, -1)) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros_like(layer.weight[:, :1].expand(-1, rank)))

    def forward(self, values: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        """[..., in] to [..., out]."""
        plain = F.linear(values, self.weight, self.bias)
        return plain + _SCALE * F.linear(F.linear(values, self.down), self.up)

    def merged(self) -> nn.Linear:
        """A plain layer that does the same."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        whole = self.weight + _SCALE * (self.up @ self.down)
        plain.weight = nn.Parameter(whole.detach(), requires_grad=False)
        plain.bias = self.bias
        return plain


def add_low_rank(layers: Sequence[nn.Module], rank: int, *, name: str) -> None:
    """Freeze layers and put adapters beside the matrices of their attention's queries and values.

    The outputs stay what they are until the adapters are trained. Raises `ModelError` where there is nothing
    to adapt, `UsageError` where a matrix has not that rank; `name` is for their messages.
    """
    found = 0
    for layer in layers:
        layer.requires_grad_(False)
        for holder in list(layer.modules()):
            for place, module in list(holder.named_children()):
                if place in _ADAPTED and type(module) is nn.Linear:
                    if rank > min(module.weight.shape):
                        shape = " x ".join(map(str, module.weight.shape))
                        raise UsageError(
                            f"low_rank={rank}: {name} has matrices of {shape}; no rank above "
                            f"{min(module.weight.shape)} means anything"
                        )
                    setattr(holder, place, _LowRank(module, rank))
                    found += 1
    if not found:
        raise ModelError(f"{name}: no queries and values to adapt were found in its layers; use low_rank=0")


def merge_low_rank(module: nn.Module) -> nn.Module:
    """A copy of `module` whose adapters are added to the matrices that they stand beside; for export."""
    merged = copy.deepcopy(module)
    for holder in list(merged.modules()):
        for place, inner in list(holder.named_children()):
            if isinstance(inner, _LowRank):
                setattr(holder, place, inner.merged())
    return merged


def batch_norms(modules: Sequence[nn.Module]) -> tuple[_BatchNorm, ...]:
    """The batch norms inside `modules`."""
    return tuple(norm for module in modules for norm in module.modules() if isinstance(norm, _BatchNorm))


def run_again(layer: Callable[..., Any], *inputs: Any, active: bool, **options: Any) -> Any:
    """Run a layer; where gradients are wanted and `active`, forget what is inside and run it again for them.

    Batch norms move once, when the layer is run first. Chen et al., "Training Deep Nets with Sublinear Memory
    Cost" (2016).
    """
    if not active or not torch.is_grad_enabled():
        return layer(*inputs, **options)
    norms = batch_norms([layer]) if isinstance(layer, nn.Module) else ()
    return checkpoint(
        layer,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _still(norms)),
        **options,
    )


@contextlib.contextmanager
def _still(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Let batch norms compute as before, and leave their statistics where they are."""
    moving = [norm for norm in norms if norm.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in moving]
    for norm in moving:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(moving, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
