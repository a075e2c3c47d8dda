"""The way in: what every request goes through, from its first byte to the line in the log."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, MutableMapping
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sterna.server._body import Bodies, GoneError, read_body
from sterna.server._guard import SHOWN, Guard
from sterna.server._logs import Line, Log
from sterna.server._metrics import Metrics
from sterna.server._problems import Problem, busy, problem_response
from sterna.server._settings import Limits

__all__ = ["Entrance"]

_STRANGER = 8192  # bytes of a body at an address that answers anybody: a token fits
_STRANGER_SECONDS = 5.0
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SIGNS = {"/healthz", "/readyz"}  # signs of life are given however many ask for other things
_GONE = 499  # in the log alone: whoever asked did not wait for the answer
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Entrance:
    """An ASGI application around another one.

    Arguments:
        app: answers what may come in, with its body read.
        guard: says who may.
        bodies: says which requests have one, and how much all may hold; what comes to an address that answers
            anybody is short, and no part of it.
        limits: of a body and of requests at one time.
        log, metrics: are told of every request.
    """

    def __init__(
        self, app: ASGIApp, guard: Guard, *, bodies: Bodies, limits: Limits, log: Log, metrics: Metrics
    ) -> None:
        self._app = app
        self._guard = guard
        self._bodies = bodies
        self._limits = limits
        seconds = min(limits.upload_seconds, _STRANGER_SECONDS)
        self._strangers = limits.model_copy(update={"body": _STRANGER, "upload_seconds": seconds})
        # room of their own, so that they take none from those who may come in
        self._apart = Bodies(limits.requests * _STRANGER, routes=())
        self._log = log
        self._metrics = metrics
        self._inside: Counter[bool] = Counter()  # by whether they are at an address that answers anybody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; see the ASGI specification."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        line = Line(_request_id(headers), scope["method"])
        scope.setdefault("state", {})["request_id"] = line.request_id
        start = time.perf_counter()
        stranger = self._guard.is_open(scope["path"])
        self._inside[stranger] += 1
        try:
            page = headers.get("origin") if self._guard.allows_page(headers) else None
            told = _told(send, line, page=page)
            await self._answer(scope, receive, told, headers=headers, line=line, stranger=stranger)
        finally:
            self._inside[stranger] -= 1
            line.route = _route(scope)
            line.seconds = time.perf_counter() - start
            self._metrics.request(line)
            self._log.request(line)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, *, headers: Headers, line: Line, stranger: bool
    ) -> None:
        body = b""
        bodies, limits = (self._apart, self._strangers) if stranger else (self._bodies, self._limits)
        try:
            if self._inside[stranger] > self._limits.requests and scope["path"] not in _SIGNS:
                raise busy("too many requests at one time")
            if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may heed the other
                sentence = "a request has a Content-Length or a Transfer-Encoding, and not both"
                raise Problem(400, sentence, headers={"Connection": "close"})
            self._guard.check(method=scope["method"], path=scope["path"], headers=headers)
            if self._bodies.wanted(scope, headers):
                body = await read_body(receive, headers, limits=limits, bodies=bodies)
            if not await _while_there(self._app, scope, body, receive=receive, send=send, line=line):
                line.status = _GONE
        except Problem as problem:
            await self._refuse(problem, scope, send, line)
        except GoneError:
            line.status = _GONE
        except asyncio.CancelledError:
            line.status = line.status or _GONE
            raise
        except Exception as error:  # nothing that was asked gets into the log with it
            line.fault = _fault(error)
            if line.status == 0:
                await self._refuse(Problem(500, "an error that Sterna did not expect"), scope, send, line)
        finally:
            bodies.give(len(body))

    async def _refuse(self, problem: Problem, scope: Scope, send: Send, line: Line) -> None:
        if line.status:  # the answer has begun
            return
        response = problem_response(problem, request_id=line.request_id)
        with contextlib.suppress(OSError):

            async def nothing() -> Message:
                return {"type": "http.disconnect"}

            await response(scope, nothing, send)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def _told(send: Send, line: Line, *, page: str | None) -> Send:
    """Send an answer with the headers that all have, and note what is sent.

    `page` is the origin of a page of another site that may read it, refusals and faults included.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            line.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Request-ID"] = line.request_id
            if page is not None and "Access-Control-Allow-Origin" not in headers:
                headers["Access-Control-Allow-Origin"] = page
                headers["Access-Control-Expose-Headers"] = ", ".join(SHOWN)
                headers.add_vary_header("Origin")
        elif message["type"] == "http.response.body":
            line.bytes += len(message.get("body", b""))
            line.whole = not message.get("more_body", False)
        await send(message)

    return sending


async def _while_there(
    app: ASGIApp, scope: Scope, body: bytes, *, receive: Receive, send: Send, line: Line
) -> bool:
    """Run `app` while whoever asks waits for it; returns whether it came to its end."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    gone = asyncio.Event()

    async def replay() -> Message:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    answering = asyncio.ensure_future(_awaited(app(scope, replay, send)))
    watching = asyncio.ensure_future(watch())
    try:
        await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and not line.whole:
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await answering
            return False
        await answering
        return True
    finally:
        for task in (answering, watching):
            task.cancel()


async def _awaited(answer: Awaitable[None]) -> None:
    await answer


def _route(scope: MutableMapping[str, Any]) -> str:
    """The pattern that the path fitted: paths themselves may hold anything."""
    return str(getattr(scope.get("route"), "path", "-"))


def _fault(error: BaseException) -> str:
    """What went wrong and where, without the error's own words, which may repeat what was asked."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}"
