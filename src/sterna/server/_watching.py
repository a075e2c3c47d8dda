"""Watching beside a service: what `sterna watch` does, in a thread, until the service stops."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sterna.errors import MissingExtraError, SternaError
from sterna.library import IndexReport

if TYPE_CHECKING:
    from sterna.library import Library

__all__ = ["Watching", "check_watching"]

_BETWEEN = 2.0  # seconds between two looks at whether something is indexed
_NICE = 10  # a search that comes meanwhile goes first


def check_watching() -> None:
    """Raise `MissingExtraError` where changes cannot be noticed."""
    if importlib.util.find_spec("watchfiles") is None:
        raise MissingExtraError("Watching folders", extra="watch")


class Watching:
    """Keeps a library up to date in a thread of its own.

    Arguments:
        library: whose folders are watched, as soon as something is indexed.
        changed: called with the report of every run that changed something, and of the first.
        notice: called with a sentence on what is watched and what goes wrong.
    """

    def __init__(
        self, library: Library, *, changed: Callable[[IndexReport], None], notice: Callable[[str], None]
    ) -> None:
        self._library = library
        self._changed = changed
        self._notice = notice
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sterna-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; what is being indexed is kept."""
        self._stop.set()

    def close(self) -> None:
        """Wait until it has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)  # of this thread alone
        try:
            self._await_folders()
            if self._stop.is_set():
                return
            self._library.watch(stop=self._stop, on_report=self._changed, on_notice=self._notice)
        except SternaError as error:
            self._notice(f"folders are not watched any more: {error}")
        except Exception as error:  # searches go on without it
            self._notice(f"folders are not watched any more: an unexpected {type(error).__name__}")

    def _await_folders(self) -> None:
        """Come back once the library has folders, or is to stop."""
        told = False
        while not self._stop.is_set() and not self._library.roots():
            if not told:
                self._notice("nothing is indexed yet; folders are watched as soon as something is")
                told = True
            self._stop.wait(_BETWEEN)
