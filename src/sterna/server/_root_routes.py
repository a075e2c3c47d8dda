"""`/api/roots`: take a folder out of the library."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi import Path as InPath

from sterna.errors import UsageError
from sterna.library import Forgotten
from sterna.server._answered import ForgottenAnswer
from sterna.server._described import PROBLEMS
from sterna.server._problems import Problem
from sterna.server._searching import plain
from sterna.server._service import Service, service_of

__all__ = ["no_root", "root_paths", "router"]

router = APIRouter(responses=PROBLEMS, tags=["roots"])


@router.delete("/api/roots/{root_id}", response_model=ForgottenAnswer)
async def forget(request: Request, root_id: int = InPath(ge=0, lt=1 << 63, examples=[1])) -> ForgottenAnswer:
    """Take a folder out of the library; its photographs stay where they are."""
    service = service_of(request)
    gone = await service.finish(_forget(service, root_id))
    return ForgottenAnswer(id=root_id, path=plain(gone.path), files=gone.files, photos=gone.photos)


async def _forget(service: Service, root_id: int) -> Forgotten:
    async with service.changing:
        path = await service.workers.run(_allowed, service, root_id)
        service.jobs.check_none_runs()
        try:
            gone = await service.workers.run(service.library.forget, path)
        except UsageError:  # another process has taken it out just now
            raise no_root(root_id) from None
    service.forgot(files=gone.files, photos=gone.photos)
    return gone


def _allowed(service: Service, root_id: int) -> Path:
    """The path of a root that may be forgotten; `Problem` for any other."""
    path = root_paths(service).get(root_id)
    if path is None:
        raise no_root(root_id)
    if not service.may_change(path):
        raise Problem(
            403,
            f"root {root_id}: it could not be added again from here, so it is not taken out from here; "
            "start the service with --allow-roots DIR that holds it, or use `sterna library forget`",
        )
    return path


def root_paths(service: Service) -> dict[int, Path]:
    """The folders of the library by their ids."""
    return {root.root_id: root.path for root in service.library.status().roots}


def no_root(root_id: int) -> Problem:
    """The problem of an id that no folder has."""
    return Problem(404, f"root {root_id}: the library has none with this id")
