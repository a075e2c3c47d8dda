"""Muon for the matrices of layers, AdamW for all else: one optimizer to whoever uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch.optim import AdamW, Muon, Optimizer

__all__ = ["MuonWithAdamW"]


class MuonWithAdamW(Optimizer):
    """Muon (Jordan et al., 2024) as torch has it, which is for matrices alone, and AdamW for the rest.

    Arguments:
        groups: groups of parameters; of those that say `matrices`, what has two dimensions goes to Muon.
        lr, weight_decay: of both.
        momentum, nesterov, ns_steps: of Muon.
        adjust_lr_fn: of Muon: "match_rms_adamw" (Liu et al., arXiv 2502.16982) lets one rate do for both;
            "original" is as it was first published.
        betas, eps: of AdamW.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust_lr_fn: str = "match_rms_adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for group in groups:
            for place, flat in ((matrices, True), (others, False)):
                chosen = [one for one in group["params"] if (group["matrices"] and one.ndim == 2) is flat]
                if chosen:
                    place.append({**group, "params": chosen})
        self._inner: list[Optimizer] = []
        if matrices:
            self._inner.append(
                Muon(
                    matrices,
                    lr=lr,
                    weight_decay=weight_decay,
                    momentum=momentum,
                    nesterov=nesterov,
                    ns_steps=ns_steps,
                    adjust_lr_fn=adjust_lr_fn,
                )
            )
        if others:
            self._inner.append(AdamW(others, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps))
        super().__init__([group for inner in self._inner for group in inner.param_groups], {})
        self._share()

    def _share(self) -> None:
        """One state and one list of groups, whoever looks at them."""
        start = 0
        for inner in self._inner:
            end = start + len(inner.param_groups)
            inner.param_groups, inner.state, start = self.param_groups[start:end], self.state, end

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both."""
        loss = None if closure is None else closure()
        for inner in self._inner:
            inner.step()
        return loss
