"""A line on stderr that tells how far a long command is; nothing where stderr is not a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from sterna.files import printable

__all__ = ["ProgressLine", "duration", "progress_line"]

_SECONDS_BETWEEN = 0.1


class ProgressLine:
    """Show `verb`, how many of how many, the rate, and the time left; redrawn a few times a second.

    Arguments:
        verb: what is being done ("indexing").
        unit: what is counted ("photographs").
    """

    def __init__(self, verb: str, *, unit: str) -> None:
        self.verb = verb
        self.unit = unit
        self._shown = sys.stderr.isatty()
        self._start = time.monotonic()
        self._drawn = 0.0
        self._first: int | None = None

    def __call__(self, done: int, total: int | None = None, *, detail: str = "") -> None:
        """Tell that `done` of `total` are done; `total` may be unknown."""
        if self._first is None:
            self._first = done  # what an earlier run did says nothing about this one's rate
        now = time.monotonic()
        if not self._shown or (now - self._drawn < _SECONDS_BETWEEN and done != total):
            return
        self._drawn = now
        self._draw(self._text(done, total, seconds=now - self._start, detail=detail))

    def close(self) -> None:
        """Remove the line, so that what follows starts on an empty one."""
        if self._shown and self._drawn:
            self._draw("")

    def _text(self, done: int, total: int | None, *, seconds: float, detail: str) -> str:
        parts = [f"{self.verb} {done:,}" + (f" of {total:,}" if total else "") + f" {self.unit}"]
        rate = (done - (self._first or 0)) / seconds if seconds > 0 else 0.0
        if rate > 0:
            parts.append(f"{rate:.1f} a second")
            if total:
                parts.append(f"{duration((total - done) / rate)} left")
        return " · ".join([*parts, detail] if detail else parts)

    def _draw(self, text: str) -> None:
        with contextlib.suppress(
            OSError
        ):  # not knowing the width, or a closed terminal, is no reason to stop
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write(f"\r\x1b[2K{printable(text)[: width - 1]}")
            sys.stderr.flush()


@contextlib.contextmanager
def progress_line(verb: str, *, unit: str) -> Iterator[ProgressLine]:
    """Give a `ProgressLine` and remove it from the screen at the end, however that comes."""
    line = ProgressLine(verb, unit=unit)
    try:
        yield line
    finally:
        line.close()


def duration(seconds: float) -> str:
    """A length of time for people: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
