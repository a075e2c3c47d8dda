"""What the service tells of itself and its library, and the way in with a token."""

from __future__ import annotations

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, RedirectResponse, Response

from sterna._version import __version__
from sterna.server._answered import (
    FailureAnswer,
    FailuresAnswer,
    ModelAnswer,
    ModelsAnswer,
    RootStatusAnswer,
    StatusAnswer,
)
from sterna.server._described import PROBLEMS, binary
from sterna.server._guard import COOKIE
from sterna.server._metrics import METRICS_TYPE
from sterna.server._plain import plain
from sterna.server._problems import Problem, busy
from sterna.server._service import service_of

__all__ = ["remember", "router"]

router = APIRouter(responses=PROBLEMS, tags=["status"])

_DAYS = 30 * 24 * 3600  # seconds that a browser stays known


class GenerationAnswer(BaseModel):
    """A number that is another one once what can be found has changed."""

    generation: int

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"generation": 12}]})


@router.get("/api/status", response_model=StatusAnswer)
async def status(request: Request) -> StatusAnswer:
    """Count what the library holds."""
    service = service_of(request)
    found = await service.workers.run(service.library.status)
    service.metrics.photos.set(found.indexed)
    return StatusAnswer(
        version=__version__,
        indexed=found.indexed,
        stale=found.stale,
        failed=len(found.failed),
        bytes=found.bytes,
        roots=[
            RootStatusAnswer(
                id=root.root_id,
                name=plain(root.path.name),
                path=plain(root.path),
                online=root.online,
                photos=root.photos,
                removable=service.roots.removable(root),
            )
            for root in found.roots
        ],
        may_add=[plain(folder) for folder in service.roots.may_add],
        problems=[plain(f"{problem.path}: {problem.reason}") for problem in found.problems],
    )


@router.get("/api/failures", response_model=FailuresAnswer)
async def failures(
    request: Request,
    offset: int = Query(0, ge=0, lt=1 << 31, examples=[0]),
    limit: int = Query(100, ge=1, le=1000, examples=[100]),
) -> FailuresAnswer:
    """List files and folders that cannot be read, by path."""
    service = service_of(request)
    failed = (await service.workers.run(service.library.status)).failed
    page = failed[offset : offset + limit]
    return FailuresAnswer(
        total=len(failed),
        failures=[FailureAnswer(path=plain(one.path), reason=plain(one.reason)) for one in page],
    )


@router.get("/api/generation", response_model=GenerationAnswer)
async def generation(request: Request) -> GenerationAnswer:
    """Tell a number that is another one once the library has changed; asking takes no time."""
    service = service_of(request)
    return GenerationAnswer(generation=await service.workers.run(lambda: service.library.generation))


@router.get("/api/models", response_model=ModelsAnswer)
async def models(request: Request) -> ModelsAnswer:
    """List the models that the library has vectors of, and that a request may name."""
    service = service_of(request)
    found = (await service.workers.run(service.library.status)).models
    return ModelsAnswer(
        models=[
            ModelAnswer(
                name=one.name,
                fingerprint=one.fingerprint,
                dim=one.dim,
                photos=one.photos,
                stale=one.stale,
                default=one.default,
            )
            for one in found
        ]
    )


@router.get("/healthz", responses={200: {"content": {"application/json": {"example": {"status": "ok"}}}}})
async def healthz() -> Response:
    """Say that the service runs."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses={200: {"content": {"application/json": {"example": {"status": "ready"}}}}})
async def readyz(request: Request) -> Response:
    """Say whether searches can be answered: 503 while the model is being loaded."""
    if await service_of(request).ready() is not None:
        raise busy("searches cannot be answered yet")
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response, responses=binary("text/plain", example="sterna_photos 9.0"))
async def metrics(request: Request) -> Response:
    """Tell what is counted, as Prometheus reads it."""
    service = service_of(request)
    service.count_waiting()
    return Response(service.metrics.text(), headers={"Content-Type": METRICS_TYPE})


@router.get("/login", status_code=303, response_class=Response, responses={303: {"description": "Go to /."}})
async def login(request: Request, token: str = Query("", max_length=1000, examples=["TOKEN"])) -> Response:
    """Let a browser in that shows the token, and remember it."""
    service = service_of(request)
    if not service.guard.is_token(token):
        raise Problem(401, "this is not the token of this service")
    return remember(request, RedirectResponse("/", status_code=303))


def remember(request: Request, answer: Response) -> Response:
    """An answer that lets the browser that gets it in from now on."""
    # a proxy in front speaks TLS and says so; somebody else who says it harms nobody but himself
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    answer.set_cookie(
        COOKIE, service_of(request).guard.session, max_age=_DAYS, httponly=True, samesite="lax", secure=secure
    )
    return answer
