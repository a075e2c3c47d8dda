"""A library that is watched by a thread, and waiting until what should happen has happened."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sterna.library import IndexReport, Library

PATIENCE = 60.0  # seconds; other work may run beside the tests
QUIET = 0.3
COUNTS = ("new", "changed", "moved", "removed", "failed")


def until(true: Callable[[], Any], what: Callable[[], object] = lambda: "") -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"it did not come about: {what()}"
        time.sleep(0.02)


class Watching:
    """Watches roots for the length of a `with`; `reports` and `notices` are what was told."""

    def __init__(self, library: Library, *roots: Path, **options: Any) -> None:
        self.reports: list[IndexReport] = []
        self.notices: list[str] = []
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self._ready = 1
        options = {
            "debounce": QUIET,
            "on_report": self.reports.append,
            "on_notice": self.notices.append,
        } | options
        self._thread = threading.Thread(target=self._watch, args=(library, roots, options))

    def _watch(self, library: Library, roots: tuple[Path, ...], options: dict[str, Any]) -> None:
        try:
            library.watch(*roots, stop=self.stop, **options)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Watching:
        self._thread.start()
        until(lambda: self.watches() or self.error, lambda: self.notices)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it does not stop"
        assert self.error is None, repr(self.error)

    def watches(self) -> bool:
        return any(notice.startswith("watching ") for notice in self.notices)

    def counts(self) -> Counter[str]:
        """What all runs since the first did, summed."""
        total: Counter[str] = Counter()
        for report in self.reports[1:]:
            total.update({name: getattr(report, name) for name in COUNTS})
        return +total

    def comes_to(self, **counts: int) -> None:
        """Wait until the runs since the first have done exactly this, and see that it stays."""
        until(lambda: self.counts() == counts, self.told)
        time.sleep(3 * QUIET)
        assert self.counts() == counts, self.told()

    def rests(self, looks: list[Any]) -> None:
        """Wait until it has stopped to look at folders, each of which adds to `looks`; and forget those."""
        count, since = -1, time.monotonic()

        def rested() -> bool:
            nonlocal count, since
            if len(looks) != count:
                count, since = len(looks), time.monotonic()
            return time.monotonic() - since > 3

        until(rested)
        looks.clear()

    def told(self) -> object:
        return self.reports, self.notices, self.error
