"""`/api/jobs`: bring the library up to date, follow how far that is, and stop it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sterna.server._answered import JobAnswer, JobsAnswer
from sterna.server._asked import JobRequest
from sterna.server._body import read_request
from sterna.server._described import PROBLEMS, binary, body
from sterna.server._jobs import Job
from sterna.server._plain import plain
from sterna.server._problems import Problem, busy
from sterna.server._service import Service, service_of

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["jobs"])


@router.post("/api/jobs", status_code=202, response_model=JobAnswer, openapi_extra=body(JobRequest))
async def start(request: Request, response: Response) -> JobAnswer:
    """Bring all folders of the library up to date, or some; new ones only where that was allowed."""
    service = service_of(request)
    asked, _ = await read_request(request, JobRequest, limits=service.settings.limits)
    if not service.can_index:
        raise Problem(409, "the library's model was given as a Python object, which a job cannot load")
    job = await service.roots.look_at(asked.roots)
    response.headers["Location"] = f"/api/jobs/{job.number}"
    return _answer(job)


@router.get("/api/jobs", response_model=JobsAnswer)
async def jobs(request: Request) -> JobsAnswer:
    """List jobs, the last first."""
    return JobsAnswer(jobs=[_answer(job) for job in service_of(request).jobs.all()])


@router.get("/api/jobs/{job_id}", response_model=JobAnswer)
async def job(request: Request, job_id: int = InPath(ge=0, lt=1 << 31, examples=[1])) -> JobAnswer:
    """Tell how far a job is."""
    return _answer(service_of(request).jobs.get(job_id))


@router.delete("/api/jobs/{job_id}", response_model=JobAnswer)
async def cancel(request: Request, job_id: int = InPath(ge=0, lt=1 << 31, examples=[1])) -> JobAnswer:
    """Stop a job; what it has committed is kept."""
    runner = service_of(request).jobs
    found = runner.get(job_id)
    await runner.cancel(found)
    return _answer(found)


@router.get(
    "/api/jobs/{job_id}/events",
    response_class=Response,
    responses=binary("text/event-stream", example='event: job\ndata: {"id": 1, "state": "running"}\n\n'),
)
async def events(request: Request, job_id: int = InPath(ge=0, lt=1 << 31, examples=[1])) -> Response:
    """Follow a job as server-sent events, each the job as it is then, to its end."""
    service = service_of(request)
    found = service.jobs.get(job_id)
    if service.watchers >= service.settings.limits.watchers:
        raise busy("too many follow a job at one time", seconds=5)
    return _Following(service, found)


class _Following(StreamingResponse):
    """A job as server-sent events; from its making to its end it counts among those who follow one."""

    def __init__(self, service: Service, found: Job) -> None:
        self._service = service
        service.watchers += 1
        at_once = {"X-Accel-Buffering": "no"}  # a proxy in front would keep them until there are many
        super().__init__(_told(service, found), media_type="text/event-stream", headers=at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._service.watchers -= 1


async def _told(service: Service, found: Job) -> AsyncIterator[str]:
    async for one in service.jobs.follow(found):
        yield (
            ": still here\n\n" if one is None else f"event: job\ndata: {_answer(one).model_dump_json()}\n\n"
        )


def _answer(found: Job) -> JobAnswer:
    return JobAnswer(
        id=found.number,
        state=found.state,
        roots=[plain(root) for root in found.roots],
        progress=found.progress,
        report=found.report,
        error=None if found.error is None else plain(found.error),
    )
