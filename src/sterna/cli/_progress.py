"""A line on stderr that tells how far a long command is; nothing where stderr is not a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

from sterna.words import counted, printable

__all__ = ["ProgressLine", "duration", "progress_line"]

_SECONDS_BETWEEN = 0.1


class ProgressLine:
    """Shows what is being done, how much of it, the rate, and the time left, a few times a second."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._drawn = 0.0
        self._verb = ""
        self._start = (0.0, 0)  # when this verb began, and with how many done

    def __call__(
        self,
        verb: str,
        done: int,
        total: int | None = None,
        *,
        unit: str,
        rate: float | None = None,
        seconds_left: float | None = None,
        detail: str = "",
    ) -> None:
        """Tell that `done` of `total` of a `unit` are done.

        Arguments:
            verb: what is being done ("indexing").
            total: left out where it is not known.
            unit: what one of them is called ("photograph"); an abbreviation is in capitals ("MB").
            rate, seconds_left: a second, and until the end; worked out here where they are not given.
            detail: more to tell, at the end of the line.
        """
        if not self._shown:
            return
        now = time.monotonic()
        if verb != self._verb:
            self._verb, self._start = verb, (now, done)
        elif now - self._drawn < _SECONDS_BETWEEN and done != total:
            return
        self._drawn = now
        counts = counted(total or done, unit, unit if unit.isupper() else None)
        parts = [f"{verb} {done:,} of {counts}" if total else f"{verb} {counts}"]
        if rate is None and now > self._start[0]:
            rate = (done - self._start[1]) / (now - self._start[0])
        if rate:
            parts.append(f"{rate:.1f} a second")
            if seconds_left is None and total:
                seconds_left = (total - done) / rate
        if seconds_left is not None:
            parts.append(f"{duration(seconds_left)} left")
        self._draw(" · ".join([*parts, detail] if detail else parts))

    def begin(self, what: str) -> None:
        """Tell what is done first, where nothing of it can be counted."""
        if self._shown:
            self._drawn = time.monotonic()
            self._draw(what)

    def close(self) -> None:
        """Remove the line, so that what follows starts on an empty one."""
        if self._drawn:
            self._draw("")

    def _draw(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a terminal without a width, or one that was closed
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            sys.stderr.write(f"\r\x1b[2K{printable(text)[: width - 1]}")
            sys.stderr.flush()


@contextlib.contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """Give a `ProgressLine` and remove it from the screen at the end, however that comes."""
    line = ProgressLine()
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
