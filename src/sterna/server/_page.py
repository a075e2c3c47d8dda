"""The page for people: `/`, its files below `/page/`, and the way in for whoever types the token."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from sterna.server._asked import LoginRequest
from sterna.server._body import read_request
from sterna.server._described import PROBLEMS, body
from sterna.server._problems import Problem
from sterna.server._ranges import has_already
from sterna.server._service import service_of
from sterna.server._telling import remember

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["page"])

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"


@dataclass(frozen=True)
class _File:
    data: bytes
    media_type: str
    tag: str


@cache
def _files() -> dict[str, _File]:
    """Every file of the page by its name: no name that is asked for becomes a path."""
    found: dict[str, _File] = {}
    for one in (files("sterna.server") / "page").iterdir():
        media_type = _TYPES.get("." + one.name.rpartition(".")[2])
        if media_type is not None:
            data = one.read_bytes()
            found[one.name] = _File(data, media_type, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found


@router.get("/", include_in_schema=False)
async def index(request: Request) -> Response:
    """Show the page."""
    return _answer(request, _INDEX)


@router.get("/page/{name}", include_in_schema=False)
async def page_file(request: Request, name: str = Path(max_length=100)) -> Response:
    """Give a file of the page."""
    return _answer(request, name)


@router.post("/login", status_code=204, response_class=Response, openapi_extra=body(LoginRequest))
async def enter(request: Request) -> Response:
    """Let a browser in that sends the token, and remember it."""
    service = service_of(request)
    asked, _ = await read_request(request, LoginRequest, limits=service.settings.limits)
    if not service.guard.is_token(asked.token):
        raise Problem(401, "this is not the token of this service")
    return remember(request, Response(status_code=204))


def _answer(request: Request, name: str) -> Response:
    file = _files().get(name)
    if file is None:
        raise Problem(404, "nothing is at this address")
    # asked again each time, so that modules of two versions never meet
    headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
    if has_already(request, file.tag):
        return Response(status_code=304, headers=headers)
    return Response(file.data, headers=headers, media_type=file.media_type)
