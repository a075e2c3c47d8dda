"""`/api/roots`: take a folder out of the library."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath

from sterna.server._answered import ForgottenAnswer
from sterna.server._described import PROBLEMS
from sterna.server._plain import plain
from sterna.server._service import service_of

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["roots"])


@router.delete("/api/roots/{root_id}", response_model=ForgottenAnswer)
async def forget(
    request: Request,
    root_id: int = InPath(ge=0, lt=1 << 63, examples=[1]),
    path: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=4096,
            description="The folder that is meant, as `/api/status` tells it; 409 where it is another one.",
            examples=["/home/me/Pictures"],
        ),
    ] = None,
) -> ForgottenAnswer:
    """Take a folder out of the library; its photographs stay where they are."""
    gone = await service_of(request).roots.forget(root_id, path=path)
    return ForgottenAnswer(id=root_id, path=plain(gone.path), files=gone.files, photos=gone.photos)
