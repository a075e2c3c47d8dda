"""How many cores there are to use."""

from __future__ import annotations

import os

__all__ = ["available_threads", "torch_threads"]


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def torch_threads(threads: int | None) -> None:
    """Let torch use `threads` cores, which holds for the whole process; `None` leaves it as it is."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
