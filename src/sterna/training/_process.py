"""What a run asks of the process it is in: to be told of signals, and how many threads to compute with."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import torch

__all__ = ["Interrupt", "computing_with"]


@contextlib.contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Let torch compute with `threads` threads for the length of a `with`."""
    kept = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(kept)


class Interrupt:
    """Whether somebody asked the run to stop (Ctrl-C, SIGTERM); the second time they are not made to wait."""

    def __init__(self) -> None:
        self.asked = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Catch the signals for the length of a `with`; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {kind: signal.signal(kind, self._ask) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in kept.items():
                signal.signal(kind, handler)

    def _ask(self, kind: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
