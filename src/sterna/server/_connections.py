"""Connections: so many at one time, and none that is held for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sterna.server._problems import Problem, problem_response

__all__ = ["Connection", "accept_quietly", "bounded", "most_connections"]

_MOST = 2048
_FILES = 65_536  # that are asked of the system
_OTHERS = 128  # files that are no connections
_HEAD_SECONDS = 15.0  # that the head of a request may take to come
_STALLED_SECONDS = 30.0  # in which whoever asked reads nothing of an answer
_BEAT = 1.0  # seconds between two looks at a connection
_QUIET = 60.0  # seconds between two lines on files that are missing
_HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def most_connections() -> int:
    """How many connections there may be, once the system was asked for as many files as it gives."""
    try:
        import resource
    except ImportError:  # Windows, where connections are no files
        return _MOST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    files = _FILES if soft == resource.RLIM_INFINITY else soft
    # half, for as many again may have been accepted before the first of them is looked at
    return max(1, min(_MOST, (files - _OTHERS) // 2))


class Connection(H11Protocol):
    """One connection of `most` that there may be; `waiting` are those without a head, oldest first."""

    most: ClassVar[int] = _MOST
    waiting: ClassVar[dict[Connection, float]] = {}
    _beat: asyncio.TimerHandle | None = None
    _unsent = 0
    _moved = 0.0  # when something of an answer was taken last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; of too many, the one gives way whose head has been missing for longest."""
        super().connection_made(transport)
        self._note_head()
        if len(self.connections) > self.most:
            oldest = next(iter(self.waiting))
            oldest.drop()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.waiting.pop(self, None)
        if self._beat is not None:
            self._beat.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._note_head()

    def resume_writing(self) -> None:
        """Go on where most of what was sent has been taken."""
        self._moved = time.monotonic()
        super().resume_writing()

    def drop(self) -> None:
        """End it, whatever is still to be sent."""
        self.waiting.pop(self, None)
        self.connections.discard(self)  # now, for the next one may come before this one is closed
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem, and the headers that every answer has."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:  # an answer has begun
            self.drop()
            return
        request_id = secrets.token_hex(8)
        response = problem_response(Problem(400, "this is no request of HTTP/1.1"), request_id=request_id)
        response.headers.update({**_HEADERS, "X-Request-ID": request_id})
        for event in (
            h11.Response(status_code=400, headers=response.raw_headers, reason=b"Bad Request"),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _note_head(self) -> None:
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self.waiting.pop(self, None)
        else:
            self.waiting.setdefault(self, time.monotonic())

    def _look(self) -> None:
        """End it where its head does not come, or its answer is not taken."""
        now = time.monotonic()
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent < self._unsent:
            self._moved = now
        self._unsent = unsent
        if now - self.waiting.get(self, now) > _HEAD_SECONDS or now - self._moved > _STALLED_SECONDS:
            self.drop()
        else:
            self._beat = self.loop.call_later(_BEAT, self._look)


def bounded(most: int) -> type[Connection]:
    """Connections of one service, so many at one time."""

    class Bounded(Connection):
        waiting: ClassVar[dict[Connection, float]] = {}

    Bounded.most = most
    return Bounded


def accept_quietly(loop: asyncio.AbstractEventLoop, tell: Callable[[], Any]) -> None:
    """Have `tell` called now and then, not for each try, where connections wait since files are missing."""
    told = -_QUIET

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told
        if "socket.accept()" not in str(context.get("message")):
            loop.default_exception_handler(context)
        elif time.monotonic() - told >= _QUIET:
            told = time.monotonic()
            tell()

    loop.set_exception_handler(handle)
