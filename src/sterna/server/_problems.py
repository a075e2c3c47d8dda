"""Every error as a problem of RFC 9457: a type, a status, and one sentence."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from sterna.errors import (
    DiskError,
    LibraryError,
    LockedError,
    MissingExtraError,
    ModelError,
    PhotoError,
    SternaError,
    UnknownPhotoError,
    UsageError,
)
from sterna.server._wording import complaints

__all__ = ["AGAIN", "Problem", "add_handlers", "busy", "invalid", "problem_of", "problem_response"]

_TYPES: dict[int, str] = {
    400: "malformed", 401: "token-needed", 403: "forbidden", 404: "not-found", 405: "not-allowed",
    408: "too-slow", 409: "conflict", 413: "too-large", 415: "wrong-kind", 416: "no-such-part",
    421: "wrong-host", 422: "invalid", 500: "internal", 501: "missing-part", 503: "busy", 507: "disk-full",
}  # fmt: skip
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
AGAIN = {"Retry-After": "2"}  # where somebody else is at the library
# The first class that an error is of decides; subclasses stand before their parents.
_STATUS: tuple[tuple[type[SternaError], int, str], ...] = (
    (UnknownPhotoError, 404, "unknown-photo"),
    (UsageError, 422, "invalid"),
    (MissingExtraError, 501, "missing-part"),
    (PhotoError, 422, "unreadable-photo"),
    (LockedError, 409, "library-locked"),
    (LibraryError, 409, "library"),
    (ModelError, 503, "model"),
    (DiskError, 507, "disk-full"),
)


class Problem(Exception):  # noqa: N818 (the word of RFC 9457)
    """What is answered where something is wrong.

    Arguments:
        status: the HTTP status.
        detail: one sentence for a person.
        kind: the last part of the problem's type; `None` for the usual one of the status.
        errors: for each wrong field its name and what is wrong.
        headers: to be sent with it.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.detail = detail
        self.kind = kind or _TYPES.get(status, "error")
        self.errors = list(errors)
        self.headers = dict(headers or {})
        super().__init__(detail)


def busy(what: str, *, seconds: int = 1) -> Problem:
    """The problem of a full queue."""
    sentence = f"{what}; ask again in {'a second' if seconds == 1 else f'{seconds} seconds'}"
    return Problem(503, sentence, headers={"Retry-After": str(seconds)})


def invalid(errors: Sequence[Any], *, kind: type[BaseModel] | None = None) -> Problem:
    """The problem of what pydantic refuses to make a `kind` of."""
    found = complaints(errors, kind=kind)
    sentence = "; ".join(
        f"{one['field']}: {one['detail']}" if one["field"] else one["detail"] for one in found
    )
    malformed = any(error["type"] == "json_invalid" for error in errors)
    return Problem(400 if malformed else 422, sentence, kind="malformed" if malformed else None, errors=found)


def problem_of(error: SternaError) -> Problem:
    """The problem that an error of ours is."""
    detail = error.reason if isinstance(error, PhotoError) else str(error)
    for kind, status, name in _STATUS:
        if isinstance(error, kind):
            again = AGAIN if isinstance(error, LockedError) else None
            return Problem(status, detail, kind=name, headers=again)
    return Problem(500, detail)


def problem_response(problem: Problem, *, request_id: str) -> Response:
    """A problem as an answer."""
    content: dict[str, Any] = {
        "type": f"urn:sterna:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail.encode("utf-8", "replace").decode(),
        "request_id": request_id,
    }
    if problem.errors:
        content["errors"] = problem.errors
    return JSONResponse(
        content, problem.status, headers=problem.headers, media_type="application/problem+json"
    )


def add_handlers(app: FastAPI) -> None:
    """Answer every error that a route raises with a problem."""

    def answer(request: Request, problem: Problem) -> Response:
        return problem_response(problem, request_id=request.scope["state"]["request_id"])

    async def ours(request: Request, error: Exception) -> Response:
        return answer(request, error if isinstance(error, Problem) else problem_of(_as_ours(error)))

    async def validation(request: Request, error: Exception) -> Response:
        errors = error.errors() if isinstance(error, RequestValidationError) else []
        return answer(request, invalid(errors))

    async def http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = getattr(error, "headers", None)
        sentences = {404: "nothing is at this address", 405: "this address does not take this method"}
        detail = sentences.get(status) or str(getattr(error, "detail", error))
        return answer(request, Problem(status, detail, headers=headers))

    async def unexpected(request: Request, _: Exception) -> Response:
        return answer(request, Problem(500, "an error that Sterna did not expect"))

    async def system(request: Request, error: Exception) -> Response:
        if getattr(error, "errno", None) not in _FULL:
            raise error
        return answer(request, Problem(507, "the disk of the service is full"))

    app.add_exception_handler(Problem, ours)
    app.add_exception_handler(SternaError, ours)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(OSError, system)
    app.add_exception_handler(Exception, unexpected)


def _as_ours(error: Exception) -> SternaError:
    return error if isinstance(error, SternaError) else SternaError("an error that Sterna did not expect")
