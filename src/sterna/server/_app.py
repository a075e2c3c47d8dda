"""The application: every route, behind the way in."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from sterna._version import __version__
from sterna.server import (
    _browsing,
    _duplicates,
    _embedding,
    _explaining,
    _job_routes,
    _page,
    _photos,
    _root_routes,
    _searching,
    _telling,
    _zipping,
)
from sterna.server._body import Bodies
from sterna.server._described import describe
from sterna.server._entrance import Entrance
from sterna.server._guard import SHOWN
from sterna.server._parameters import check_parameters
from sterna.server._problems import add_handlers
from sterna.server._service import Service
from sterna.server._settings import ServerSettings
from sterna.server._watching import check_watching

if TYPE_CHECKING:
    from sterna.library import Library

__all__ = ["build"]

_HEADERS = ("Authorization", "Content-Type", "If-None-Match", "If-Range", "Range", "X-Request-ID")
# what lets a browser in, what never ends, and those that answer HEAD themselves
_NO_HEADS = {
    "/login",
    "/api/jobs/{job_id}/events",
    "/api/photos/{photo_id}/original",
    "/api/photos/{photo_id}/thumbnail",
}
_ROOMS = (
    _searching,
    _embedding,
    _browsing,
    _zipping,  # before those of one photograph, for "zip" is no id
    _photos,
    _explaining,
    _duplicates,
    _telling,
    _job_routes,
    _root_routes,
    _page,
)


def _heads(routes: Sequence[BaseRoute]) -> APIRouter:
    """What answers HEAD as GET is answered; the server leaves the body away."""
    router = APIRouter()
    gets = [one for one in routes if isinstance(one, APIRoute) and one.methods == {"GET"}]
    for one in gets:
        if one.path not in _NO_HEADS:
            router.add_api_route(
                one.path,
                one.endpoint,
                methods=["HEAD"],
                response_model=one.response_model,
                include_in_schema=False,
            )
    return router


def build(
    library: Library, settings: ServerSettings, *, notice: Callable[[str], None] | None = None
) -> tuple[Entrance, Service]:
    """An ASGI application, and the service that it shows; see `create_app`."""
    if settings.watch:
        check_watching()
    routes = [one for room in _ROOMS for one in room.router.routes]
    heads = _heads(routes)
    bodies = Bodies(settings.limits.bodies, routes=[*routes, *heads.routes])
    service = Service(library, settings, bodies=bodies, notice=notice)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="Sterna",
        version=__version__,
        description="Find photographs by describing them.",
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,  # they load scripts of others
        redoc_url=None,
        dependencies=[Depends(check_parameters)],
        redirect_slashes=False,  # behind a proxy it would lead to an address without TLS
        # it tells others nothing, whatever the environment says: what is asked is nobody's business
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.service = service
    for room in _ROOMS:
        app.include_router(room.router)
    app.include_router(heads)
    add_handlers(app)
    describe(app)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=_HEADERS,
            expose_headers=SHOWN,
        )
    entrance = Entrance(
        app,
        service.guard,
        bodies=bodies,
        limits=settings.limits,
        log=service.log,
        metrics=service.metrics,
    )
    return entrance, service
