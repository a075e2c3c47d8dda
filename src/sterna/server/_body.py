"""Read a request's body, no longer and no slower than allowed, and what it says."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive

from sterna.server._problems import Problem, busy, invalid
from sterna.server._settings import Limits

__all__ = ["read_body", "read_request"]

M = TypeVar("M", bound=BaseModel)
_FIELD = 1 << 20  # bytes of the JSON beside an image


async def read_body(receive: Receive, headers: Headers, *, limits: Limits, room: int) -> bytes:
    """All of a body; `room` is how many bytes may still be held.

    Raises `Problem` where it is too long, or takes too long to come.
    """
    stated = headers.get("content-length", "0")
    if stated.isdecimal() and len(stated) < 19:
        _check_length(int(stated), limits=limits, room=room)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            return await _read(receive, limits=limits, room=room)
    except TimeoutError:
        sentence = f"the request took longer than {limits.upload_seconds:g} seconds to come"
        raise Problem(408, sentence, headers={"Connection": "close"}) from None


async def _read(receive: Receive, *, limits: Limits, room: int) -> bytes:
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        _check_length(length, limits=limits, room=room)
        if not message.get("more_body", False):
            return b"".join(parts)


def _check_length(length: int, *, limits: Limits, room: int) -> None:
    if length > limits.body:
        sentence = f"the request is longer than {limits.body:,} bytes"
        raise Problem(413, sentence, headers={"Connection": "close"})
    if length > room:
        raise busy("too much is being sent at one time", seconds=2)


async def read_request(
    request: Request, kind: type[M], *, limits: Limits, images: int = 0
) -> tuple[M, list[bytes]]:
    """What a request says, as `kind`, and its uploaded images.

    The body is JSON, or, where up to `images` may come, a form: the same JSON in its field `json`, and files
    named `image`. Raises `Problem` for anything else.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/json":
        return _parsed(kind, await request.body()), []
    if media == "multipart/form-data" and images:
        return await _read_form(request, kind, limits=limits, images=images)
    needed = "application/json" + (" or multipart/form-data" if images else "")
    raise Problem(415, f"the body has to be {needed}, and its Content-Type has to say so")


async def _read_form(
    request: Request, kind: type[M], *, limits: Limits, images: int
) -> tuple[M, list[bytes]]:
    try:
        form = await request.form(max_files=images, max_fields=1, max_part_size=_FIELD)
    except HTTPException as error:
        raise Problem(400, f"the form cannot be read: {error.detail}") from None
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
        raise invalid(error.errors(include_url=False, include_input=False, include_context=False)) from None
