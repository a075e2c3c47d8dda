"""What goes wrong while a library is watched: told once, with a growing pause before it is tried again."""

from __future__ import annotations

from collections.abc import Callable

from sterna.errors import LockedError, SternaError

__all__ = ["Trouble"]

_FIRST, _LONGEST = 1.0, 300.0  # seconds
_LOCKED = 5.0  # the longest pause where another process writes, which is nothing wrong


class Trouble:
    """Keeps in mind what failed last.

    Arguments:
        tell: takes a sentence.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._last = ""
        self._pause = _FIRST

    def met(self, error: Exception) -> float:
        """Take an error; returns for how many seconds to let things be."""
        sentence = _sentence(error)
        if sentence != self._last:
            self._tell(sentence)
            self._last, self._pause = sentence, _FIRST
        pause = min(self._pause, _LOCKED if isinstance(error, LockedError) else _LONGEST)
        self._pause *= 2
        return pause

    def over(self) -> None:
        """Nothing fails now."""
        if self._last:
            self._tell("it goes on")
            self._last, self._pause = "", _FIRST


def _sentence(error: Exception) -> str:
    if isinstance(error, LockedError):
        return "another process writes to this library; waiting for it"
    if isinstance(error, SternaError):
        return f"{error}; what changed is tried again later"
    return f"an error that Sterna did not expect: {type(error).__name__}: {error}; it is tried again later"
