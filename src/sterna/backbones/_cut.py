"""The last layers of a vision model of `transformers`, taken off so that they can be trained apart."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sterna.backbones._tuning import run_again
from sterna.errors import ModelError

__all__ = ["LastLayers", "cut"]

_NORMS = ("layernorm", "norm", "post_layernorm")
_CLOSE = 1e-4


class LastLayers(nn.Module):
    """Layers one after the other, and the norm after the last."""

    def __init__(self, layers: list[nn.Module], norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self.checkpointing = False

    def forward(self, hidden: Tensor) -> Tensor:
        """What goes into the first layer to the network's last hidden state."""
        for layer in self.layers:
            masked = "attention_mask" in inspect.signature(layer.forward).parameters
            options = {"attention_mask": None} if masked else {}
            out = run_again(layer, hidden, active=self.checkpointing, **options)
            hidden = out[0] if isinstance(out, tuple) else out
        normed: Tensor = self.norm(hidden)
        return normed


def cut(network: nn.Module, wanted: int, *, run: Callable[[], Tensor], name: str) -> LastLayers:
    """Take the last `wanted` layers off `network`, which afterwards gives what goes into them.

    Networks differ in which norm follows their layers, so each is tried and held against the whole network.

    Arguments:
        network: changed in place.
        wanted: how many layers or stages.
        run: gives the network's last hidden state for some image.
        name: for messages.

    Raises `ModelError` where there are fewer layers, or where they do not come apart.
    """
    expected = run()
    holder, attribute = _holder(network, name)
    layers = list(getattr(holder, attribute))
    if not 0 < wanted <= len(layers):
        raise ModelError(f"{name}: {wanted} trainable parts asked for; 0 to {len(layers)} can be trained")
    setattr(holder, attribute, nn.ModuleList(layers[: len(layers) - wanted]))
    norms: list[nn.Module] = [nn.Identity()]
    for candidate in _NORMS:
        if isinstance(norm := getattr(network, candidate, None), nn.Module):
            norms.append(norm)
            setattr(network, candidate, nn.Identity())
    for norm in norms:
        last = LastLayers(layers[len(layers) - wanted :], norm)
        if _equal(last, run, expected):
            return last
    raise ModelError(f"{name}: its last layers cannot be trained apart; use trainable_tail=0")


def _equal(last: LastLayers, run: Callable[[], Tensor], expected: Tensor) -> bool:
    try:
        with torch.inference_mode():
            again = last(run())
    except (TypeError, RuntimeError, ValueError, ModelError):  # a norm or a layer that wants something else
        return False
    return again.shape == expected.shape and torch.allclose(again, expected, atol=_CLOSE, rtol=_CLOSE)


def _holder(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    for holder in (network, getattr(network, "encoder", None), getattr(network, "model", None)):
        for attribute in ("layers", "layer", "stages"):
            if isinstance(getattr(holder, attribute, None), nn.ModuleList):
                assert isinstance(holder, nn.Module)
                return holder, attribute
    raise ModelError(f"{name}: its layers were not found, so none can be trained; use trainable_tail=0")
