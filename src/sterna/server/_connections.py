"""Connections: so many at one time, and none that is held for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sterna.server._problems import Problem, problem_response

__all__ = ["Connection", "accept_quietly", "bounded", "most_connections"]

_MOST = 2048
_FILES = 65_536  # that are asked of the system
_OTHERS = 128  # files that are no connections
_HEAD_SECONDS = 15.0  # that the head of a request may take to come
_STALLED_SECONDS = 30.0  # in which whoever asked reads nothing of an answer
_REST = 1 << 18  # bytes of a body that are still taken once its request has been answered
_REST_SECONDS = 3.0  # and how long they may take to come
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


class _Patient:
    """A transport that, where it is closed while a body is coming, sends its end first, and takes a rest.

    What is closed with bytes unread may take the answer along that was sent last.

    Arguments:
        transport: what is closed.
        is_coming: whether a body is.
    """

    def __init__(self, transport: asyncio.Transport, is_coming: Callable[[], bool]) -> None:
        self._transport = transport
        self._is_coming = is_coming
        self.is_waiting = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether it is to be closed."""
        return self.is_waiting or self._transport.is_closing()

    def close(self) -> None:
        """Close it, now or once the rest has come; told twice, now."""
        if self.is_closing() or not self._is_coming() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self.is_waiting = True
        self._transport.write_eof()
        self._transport.resume_reading()


class Connection(H11Protocol):
    """One connection of `most` that there may be; `waiting` are those without a head, oldest first."""

    most: ClassVar[int] = _MOST
    waiting: ClassVar[dict[Connection, float]] = {}
    _beat: asyncio.TimerHandle | None = None
    _unsent = 0
    _moved = 0.0  # when something of an answer was taken last
    _rest = 0  # bytes of a body that came after its answer
    _counted: object = None  # the request that these two are of
    _answered = 0.0  # when that was sent, 0 where no body is coming after its answer
    _patient: _Patient

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; of too many, the one gives way whose head has been missing for longest."""
        self._patient = _Patient(transport, self._is_coming)
        super().connection_made(cast("asyncio.Transport", self._patient))
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
        """Take what has come; of a body that nobody reads any more, no more than a rest."""
        if self._is_late():
            self._rest += len(data)
            if self._rest > _REST:
                self._patient.is_waiting = True
                self._patient.close()
            if self._patient.is_waiting:
                return
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

    def _is_coming(self) -> bool:
        """Whether what was asked has not come to its end."""
        return self.conn.their_state in {h11.SEND_BODY, h11.ERROR}

    def _is_late(self) -> bool:
        """Whether a body is coming whose request has been answered."""
        late = self._patient.is_waiting or (
            self.cycle is not None and self.cycle.response_complete and self._is_coming()
        )
        # of one body: the next head may come together with its end, and nobody have looked between them
        if not late or self._counted is not self.cycle:
            self._rest, self._answered = 0, 0.0
            self._counted = self.cycle
        if late and not self._answered:
            self._answered = time.monotonic()
        return late

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
        late = self._is_late() and now - self._answered > _REST_SECONDS
        if late or now - self.waiting.get(self, now) > _HEAD_SECONDS or now - self._moved > _STALLED_SECONDS:
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
