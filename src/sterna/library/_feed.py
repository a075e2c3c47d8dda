"""From files to look into to photographs to embed: contents are hashed ahead, each is embedded once."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from sterna.errors import PhotoError
from sterna.library._found import why
from sterna.library._record import Item, Recorder

__all__ = ["Feed"]

_BLOCK = 1 << 20
_AHEAD = 48  # files hashed before they are asked for
_THREADS = 4
_YOUNG = 2_000_000_000  # ns; a file may change again within its drive's tick, on some drives of 2 s


class Feed:
    """Hands the photographs that need a vector to an encoder, and everything else to the recorder.

    Arguments:
        items: what to look into.
        recorder: takes what needs no vector: known contents, files that cannot be read.
    """

    def __init__(self, items: Iterable[Item], recorder: Recorder) -> None:
        self.waiting: deque[Item] = deque()  # handed over, in order, and not yet answered
        self._items = iter(items)
        self._recorder = recorder

    def paths(self) -> Iterator[str]:
        """The paths to embed; `waiting` holds their items. May be run by another thread than the answers."""
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sterna-hash")
        ahead: deque[Future[Item]] = deque()
        try:
            while True:
                while len(ahead) < _AHEAD and (item := next(self._items, None)) is not None:
                    ahead.append(pool.submit(_hashed, item))
                if not ahead:
                    return
                item = ahead.popleft().result()
                if self._recorder.wants_vector(item):
                    self.waiting.append(item)
                    yield item.full
        finally:
            pool.shutdown(cancel_futures=True)


def _hashed(item: Item) -> Item:
    """The item with its content's hash, or the reason why there is none; `skip` where it still changes."""
    if item.digest is not None or item.reason is not None:
        return item
    from sterna.images import check_bytes  # brings Pillow, which searching for a sentence does without

    young = 0 <= time.time_ns() - item.mtime_ns < _YOUNG
    digest = hashlib.sha256()
    try:
        check_bytes(item.size)  # before all of it is read
        handle = os.open(item.full, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # never waits for a pipe
        with os.fdopen(handle, "rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except PhotoError as error:
        return replace(item, reason=error.reason)
    except FileNotFoundError:
        return replace(item, skip=True)
    except OSError as error:
        return replace(item, reason=f"cannot be read: {why(error)}", keep=True)
    return replace(item, digest=digest.digest(), again=young, skip=not item.unchanged())
