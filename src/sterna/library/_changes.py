"""What the system tells of changes in folders, through `watchfiles`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Collection, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import MissingExtraError

if TYPE_CHECKING:
    from watchfiles.main import FileChange

__all__ = ["Changes", "check_extra"]

_TICK = 0.25  # seconds that one wait lasts where nothing happens
_STEP = 50  # ms between two looks at whether to stop
_TRIES = 5
_BURST = 0.25  # of the system's queue: after so many at once some may have been lost
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


def check_extra() -> None:
    """Raise `MissingExtraError` where the system's notices cannot be had."""
    try:
        import watchfiles  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("Watching folders", extra="watch") from error


class Changes:
    """Notices of what changes in folders; `watchfiles` does not tell when the system has lost some.

    On Linux every folder is watched by itself, so that only those are that a walk comes to: not hidden and
    excluded ones, and not what a link leads out to. Elsewhere a folder stands for all below it.

    Arguments:
        stop: ends a wait at once.
    """

    each_folder = sys.platform == "linux"

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._notices: Generator[set[FileChange], None, None] | None = None
        self._left: set[FileChange] = set()
        self._lost = False
        self._burst = _burst()

    def watch(self, folders: Collection[str]) -> None:
        """Watch these folders in place of those before; no notice of one that is in both is lost.

        Raises `OSError` where the system refuses, most often because it watches too many.
        """
        old, self._notices = self._notices, None
        try:
            for _ in range(_TRIES):
                there = [folder for folder in folders if os.path.isdir(folder)]  # noqa: PTH112 (thousands)
                if not there:
                    break
                try:
                    self._notices = self._begin(there)
                except FileNotFoundError:  # one went since it was listed
                    self._lost = True
                    continue
                break
        finally:
            if old is not None:
                self._take(old)
                old.close()

    def wait(self) -> set[FileChange] | None:
        """What changed, none where nothing does for a moment; `None` where notices were lost and all has to
        be looked at and watched anew.
        """
        if self._notices is None:
            self._stop.wait(_TICK)
        else:
            self._take(self._notices)
        changes, self._left = self._left, set()
        lost, self._lost = self._lost, False
        return None if lost or len(changes) > self._burst else changes

    def close(self) -> None:
        """Watch nothing any more."""
        if self._notices is not None:
            self._notices.close()
            self._notices = None

    def _begin(self, folders: list[str]) -> Generator[set[FileChange], None, None]:
        from watchfiles import watch

        notices = watch(
            *folders,
            watch_filter=None,
            debounce=round(1000 * _TICK),
            step=_STEP,
            stop_event=self._stop,
            rust_timeout=round(1000 * _TICK),
            yield_on_timeout=True,
            force_polling=False,
            recursive=not self.each_folder,
            ignore_permission_denied=True,
        )
        try:
            self._left |= next(notices, set())  # it watches from here on
        except RuntimeError as error:
            if "creating" in str(error):  # too many watch already
                raise OSError(str(error)) from error
            self._lost = True
        return notices

    def _take(self, notices: Generator[set[FileChange], None, None]) -> None:
        try:
            self._left |= next(notices, set())
        except (RuntimeError, OSError):  # a name that is no text, among others: it tells nothing any more
            self._lost = True


def _burst() -> int:
    try:
        return int(_BURST * int(_QUEUE.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 4096
