"""Small pictures of photographs, the last of them kept in memory within a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict

__all__ = ["Thumbnails"]


class Thumbnails:
    """Pictures by what they are of; the one that was not asked for the longest goes first.

    Arguments:
        most: bytes that all of them may take.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """A picture that is kept, or `None`."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: str, picture: bytes) -> None:
        """Keep a picture, and let go of others where it takes their room."""
        with self._lock:
            if key in self._kept or len(picture) > self._most:
                return
            self._kept[key] = picture
            self._size += len(picture)
            while self._size > self._most:
                _, gone = self._kept.popitem(last=False)
                self._size -= len(gone)
