"""Which differences a run may act on: those that stayed as they are for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sterna.library._look import Part, Sign

__all__ = ["Settling", "Signs"]

Signs = dict[bytes, dict[bytes, Sign]]  # for each root, by its path, what files were seen to be

_AGAIN, _SLOWER = 1.5, 2.0  # the first pause before the next try, in quiet times, and how it grows
_SLOWEST = 3600.0  # seconds
_PATIENCE = 5.0  # quiet times that what is settled waits for what is not
_PARTNER = 30.0  # quiet times that a file that is gone may wait for it to turn up elsewhere


@dataclass(slots=True)
class _State:
    sign: Sign
    due: float
    tries: int = 0


class Settling:
    """Keeps what looks at the roots found, each with the time when it may be acted upon.

    Arguments:
        quiet: seconds for which a file has to stay as it is.
    """

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._states: dict[bytes, dict[bytes, _State]] = defaultdict(dict)
        self._next_try = float("inf")

    def touch(self, root: bytes, path: bytes, *, now: float) -> None:
        """Take notice that a file changes, be its size and time the same."""
        state = self._states[root].get(path)
        if state is not None:
            state.due, state.tries = now + self._quiet, 0

    def update(self, root: bytes, *, part: Part, found: Mapping[bytes, Sign], now: float) -> None:
        """Take what a look at a part of a root found."""
        states = self._states[root]
        for path in [path for path in states if path not in found and part.covers(path)]:
            del states[path]
        for path, sign in found.items():
            state = states.get(path)
            if state is None or state.sign != sign:
                states[path] = _State(sign, now + self._quiet)

    def forget(self, root: bytes) -> None:
        """Drop what was found in a root."""
        self._states.pop(root, None)

    def unsettled(self, root: bytes, *, now: float) -> set[bytes]:
        """The files of a root that are to be looked at again soon."""
        return {path for path, one in self._states[root].items() if one.tries == 0 or one.due <= now}

    def ready(self, now: float) -> Signs:
        """What a run is to act on now: all that is settled, once nothing else is about to be or that is long
        ago; nothing is let go while another file is still being written, which may be the same one.
        """
        ready = self._settled(now)
        states = [state for found in self._states.values() for state in found.values()]
        if not any(state.tries == 0 and state.due > now for state in states):
            return ready
        oldest = min((state.due for state in states if state.due <= now), default=now)
        if now - oldest < _PATIENCE * self._quiet:
            return {}
        for root, signs in ready.items():
            for path in [path for path, sign in signs.items() if sign is None]:
                if now - self._states[root][path].due < _PARTNER * self._quiet:
                    del signs[path]
        return {root: signs for root, signs in ready.items() if signs}

    def tried(self, acted: Signs, *, now: float) -> None:
        """A run acted on these: what is still there is tried again later, and later each time."""
        for root, signs in acted.items():
            for path, sign in signs.items():
                state = self._states[root].get(path)
                if state is not None and state.sign == sign:
                    pause = min(_AGAIN * self._quiet * _SLOWER ** min(state.tries, 24), _SLOWEST)
                    state.due, state.tries = now + pause, state.tries + 1
                    self._next_try = min(self._next_try, state.due)

    def to_try_again(self, now: float) -> Signs:
        """What was tried before and is due again."""
        if now < self._next_try:
            return {}
        tried = [state.due for found in self._states.values() for state in found.values() if state.tries]
        self._next_try = min((due for due in tried if due > now), default=float("inf"))
        return self._settled(now)

    def _settled(self, now: float) -> Signs:
        settled = {
            root: {path: one.sign for path, one in found.items() if one.due <= now}
            for root, found in self._states.items()
        }
        return {root: signs for root, signs in settled.items() if signs}
