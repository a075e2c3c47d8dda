"""Read a request's body, no longer and no slower than allowed, and what it says."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope

from sterna.server._problems import Problem, busy, invalid
from sterna.server._settings import Limits

__all__ = ["Bodies", "GoneError", "read_body", "read_request"]

M = TypeVar("M", bound=BaseModel)
_FIELD = 1 << 20  # bytes of the JSON beside an image
_JSON = "application/json"
_MANY = 100  # wrong fields of a body that are looked at one by one
_CLOSE = {"Connection": "close"}


class _InMemory(MultiPartParser):
    """Takes a form apart without files of its own: all of it is held already, and a disk may be full."""

    spool_max_size = sys.maxsize


class GoneError(Exception):
    """Whoever sent a request left before all of it had come."""


class Bodies:
    """What all requests together hold of bodies, those that are still coming included.

    Arguments:
        most: bytes that may be held at one time.
        routes: those of the application; one with a `requestBody` in its description takes a body.
    """

    def __init__(self, most: int, *, routes: Sequence[BaseRoute]) -> None:
        self._most = most
        self._held = 0
        self._routes = routes

    @property
    def room(self) -> int:
        """Bytes that may still come."""
        return self._most - self._held

    def take(self, size: int) -> None:
        """Hold so many bytes more; raises `Problem` where there is no room for them."""
        if size > self.room:
            raise _full()
        self._held += size

    def give(self, size: int) -> None:
        """Hold so many bytes less."""
        self._held -= size

    def wanted(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request's body is to be read; raises `Problem` where one comes that nobody reads."""
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                if "requestBody" in (getattr(route, "openapi_extra", None) or {}):
                    return True
                if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
                    raise Problem(413, "this address takes no body; send none", headers=_CLOSE)
        return False


async def read_body(receive: Receive, headers: Headers, *, limits: Limits, bodies: Bodies) -> bytes:
    """All of a body, held in `bodies` from its first piece on, until who called gives it back.

    Raises `Problem` where it is too long, takes too long to come, or there is no room for it; `GoneError`
    where the rest never comes. Nothing is held then.
    """
    most = min(limits.body, limits.json_body) if _media(headers) == _JSON else limits.body
    stated = headers.get("content-length", "0")
    if stated.isdecimal() and len(stated) < 19:
        _check_length(int(stated), most=most)
        if int(stated) > bodies.room:
            raise _full()
    try:
        async with asyncio.timeout(limits.upload_seconds):
            return await _read(receive, most=most, bodies=bodies)
    except TimeoutError:
        sentence = f"the request took longer than {limits.upload_seconds:g} seconds to come"
        raise Problem(408, sentence, headers=_CLOSE) from None


async def _read(receive: Receive, *, most: int, bodies: Bodies) -> bytes:
    parts: list[bytes] = []
    length = 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            part = message.get("body", b"")
            _check_length(length + len(part), most=most)
            bodies.take(len(part))
            parts.append(part)
            length += len(part)
            if not message.get("more_body", False):
                return b"".join(parts)
    except BaseException:
        bodies.give(length)
        raise


def _check_length(length: int, *, most: int) -> None:
    if length > most:
        raise Problem(413, f"the request is longer than {most:,} bytes", headers=_CLOSE)


def _full() -> Problem:
    return busy("too much is being sent at one time", seconds=2)


async def read_request(
    request: Request, kind: type[M], *, limits: Limits, images: int = 0
) -> tuple[M, list[bytes]]:
    """What a request says, as `kind`, and its uploaded images.

    The body is JSON, or, where up to `images` may come, a form: the same JSON in its field `json`, and files
    named `image`. Raises `Problem` for anything else.
    """
    media = _media(request.headers)
    if media == _JSON:
        return _parsed(kind, await request.body()), []
    if media == "multipart/form-data" and images:
        return await _read_form(request, kind, limits=limits, images=images)
    needed = _JSON + (" or multipart/form-data" if images else "")
    raise Problem(415, f"the body has to be {needed}, and its Content-Type has to say so")


def _media(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_form(
    request: Request, kind: type[M], *, limits: Limits, images: int
) -> tuple[M, list[bytes]]:
    parser = _InMemory(
        request.headers, request.stream(), max_files=images, max_fields=1, max_part_size=_FIELD
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read: {error.message}") from None
    except (ValueError, KeyError):
        raise Problem(400, "the form cannot be read") from None
    found: list[bytes] = []
    text = b"{}"
    try:
        for name, value in form.multi_items():
            if name == "image" and isinstance(value, UploadFile):
                if (value.size or 0) > limits.image:
                    raise Problem(413, f"an image is longer than {limits.image:,} bytes")
                found.append(await value.read())
            elif name == "json" and isinstance(value, str):
                text = value.encode("utf-8", "surrogatepass")
            else:
                raise Problem(422, "a form has a field `json` of text and files named `image`, nothing else")
    finally:
        await form.close()
    return _parsed(kind, text), found


def _parsed(kind: type[M], text: bytes) -> M:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        count = error.error_count()
        if count > _MANY:  # to tell of each would take longer than all other work
            raise Problem(
                422, f"{count:,} fields are unknown or wrong; /api/openapi.json says which there are"
            ) from None
        raise invalid(error.errors(include_url=False), kind=kind) from None
