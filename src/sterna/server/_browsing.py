"""`/api/photos`: photographs without a question, the newest first."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from sterna.server._answered import PhotoAnswer
from sterna.server._described import PROBLEMS
from sterna.server._problems import Problem
from sterna.server._searching import photo_facts
from sterna.server._service import service_of

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["photos"])


class PhotosAnswer(BaseModel):
    """A page of photographs, and the `offset` of the next one."""

    photos: list[PhotoAnswer]
    next: int | None

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"photos": [], "next": None}]})


@router.get("/api/photos", response_model=PhotosAnswer)
async def photos(
    request: Request,
    *,
    k: int = Query(60, ge=1, examples=[60]),
    offset: int = Query(0, ge=0, examples=[0]),
    folder: str | None = Query(None, min_length=1, max_length=1000),
    after: str | None = Query(None, min_length=1, max_length=1000),
    before: str | None = Query(None, min_length=1, max_length=1000),
    orientation: Literal["landscape", "portrait", "square"] | None = Query(None),
    min_size: int | None = Query(None, ge=1, lt=1 << 31),
    max_size: int | None = Query(None, ge=1, lt=1 << 31),
    name: str | None = Query(None, min_length=1, max_length=1000),
    caption: str | None = Query(None, min_length=1, max_length=1000),
) -> PhotosAnswer:
    """List photographs, the newest first; filters are those of a search."""
    service = service_of(request)
    limits = service.settings.limits
    if k > limits.k or offset > limits.offset:
        raise Problem(422, f"k, offset: at most {limits.k} come on a page, and {limits.offset} before it")
    found = await service.workers.run(
        service.library.photos,
        k=k + 1,
        offset=offset,
        folder=folder,
        after=after,
        before=before,
        orientation=orientation,
        min_size=min_size,
        max_size=max_size,
        name=name,
        caption=caption,
    )
    more = len(found) > k and offset + k <= limits.offset
    return PhotosAnswer(
        photos=[PhotoAnswer(**photo_facts(one)) for one in found[:k]], next=offset + k if more else None
    )
