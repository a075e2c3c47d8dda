"""The optimizer: which parameters, and which of them decay."""

from __future__ import annotations

import torch
from torch import nn

from sterna.training._settings import OptimizerSettings

__all__ = ["build_optimizer"]


def build_optimizer(learner: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019) over what can be trained; only layers' matrices decay."""
    parameters = [(name, one) for name, one in learner.named_parameters() if one.requires_grad]
    decayed = [one.ndim > 1 and name.rpartition(".")[2].startswith("weight") for name, one in parameters]
    groups = [
        {
            "params": [one for (_, one), chosen in zip(parameters, decayed, strict=True) if chosen is wanted],
            "weight_decay": settings.weight_decay if wanted else 0.0,
        }
        for wanted in (True, False)
    ]
    return torch.optim.AdamW(groups, lr=settings.rate, betas=settings.betas, eps=settings.epsilon, fused=True)
