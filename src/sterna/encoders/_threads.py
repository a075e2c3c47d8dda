"""How many cores there are to use, and torch held to them."""

from __future__ import annotations

from sterna._threads import available_threads

__all__ = ["available_threads", "torch_threads"]


def torch_threads(threads: int | None) -> None:
    """Let torch use `threads` cores, which holds for the whole process; `None` leaves it as it is."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
