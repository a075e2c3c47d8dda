"""The learning rate as a function of the step, and nothing else to remember."""

from __future__ import annotations

import math

__all__ = ["rate_factor"]


def rate_factor(step: int, *, steps: int, name: str, warmup: float, floor: float) -> float:
    """What the rate is multiplied with at `step` (from 0) of `steps`.

    It climbs in a line over the first `warmup` share of the steps, then follows half a cosine
    (Loshchilov and Hutter 2017, eq. 5, without restarts) or a line down to `floor`, or stays ("constant").
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / (rising + 1)
    if name == "constant":
        return 1.0
    gone = (step - rising) / max(1, steps - rising)
    left = 0.5 * (1 + math.cos(math.pi * gone)) if name == "cosine" else 1 - gone
    return floor + (1 - floor) * left
