"""What extraction tells while it works and when it is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["ExtractProgress", "ExtractReport", "Failure", "Meter", "ahead"]

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class ExtractProgress:
    """How far a stage is."""

    stage: str
    """a view's name, or "captions" """
    done: int
    """items of the stage that are encoded or failed, of this run and earlier ones"""
    total: int
    per_second: float
    """over this run"""
    seconds_left: float | None
    """of this stage; `None` before the first batch"""


@dataclass(frozen=True)
class Failure:
    """A photograph that cannot be read."""

    id: str
    path: str
    reason: str


@dataclass
class ExtractReport:
    """What one run did."""

    images: int = 0
    """views of images made in this run"""
    captions: int = 0
    """captions encoded in this run"""
    skipped: int = 0
    """views and captions that were there already"""
    failed: list[Failure] = field(default_factory=list)
    engine: str = ""
    """"onnx" or "torch": what ran the image backbone"""
    seconds: float = 0.0


class Meter:
    """Turns counts into `ExtractProgress` of one stage."""

    def __init__(
        self, stage: str, tell: Callable[[ExtractProgress], None], *, before: int, total: int
    ) -> None:
        self._stage, self._tell = stage, tell
        self._before, self._total, self._now = before, total, 0
        self._started = time.monotonic()

    def add(self, count: int) -> None:
        """Count items of this run and tell."""
        self._now += count
        rate = self._now / max(time.monotonic() - self._started, 1e-9)
        done = self._before + self._now
        left = (self._total - done) / rate if self._now else None
        self._tell(ExtractProgress(self._stage, done, self._total, rate, left))


def ahead(work: Callable[[T], U], items: Iterable[T], *, workers: int, waiting: int) -> Iterator[U]:
    """Results of `work` in the order of `items`, made in threads, at most `waiting` of them ahead."""
    with ThreadPoolExecutor(workers, thread_name_prefix="sterna-decode") as pool:
        queue: deque[Future[U]] = deque()
        try:
            for item in items:
                queue.append(pool.submit(work, item))
                if len(queue) > waiting:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            for future in queue:
                future.cancel()
