"""`/api/photos` and `/api/folders`: photographs without a question, the newest first, and where they lie."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from sterna.library import FolderRecord
from sterna.server._answered import PhotoAnswer, RootAnswer
from sterna.server._asked import GoneRequest
from sterna.server._body import read_request
from sterna.server._described import PROBLEMS, body
from sterna.server._plain import plain
from sterna.server._problems import Problem
from sterna.server._searching import photo_facts
from sterna.server._service import Service, service_of

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["photos"])

_MOST_FOLDERS = 10_000  # of a page
_EVERY = 1 << 31
Folders: TypeAlias = list[
    tuple[str, int, str, int]
]  # of each its path, its root's id and name, and its photos


class PhotosAnswer(BaseModel):
    """A page of photographs, and the `offset` of the next one."""

    photos: list[PhotoAnswer]
    next: int | None

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"photos": [], "next": None}]})


class FolderAnswer(BaseModel):
    """A folder that photographs lie in; `path` is below its root, and empty for the root itself."""

    path: str
    root: RootAnswer
    photos: int = Field(description="How many different photographs lie in it and below.")

    model_config = ConfigDict(frozen=True)


class FoldersAnswer(BaseModel):
    """A page of folders, and the `offset` of the next one."""

    folders: list[FolderAnswer]
    next: int | None

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {"folders": [{"path": "2019/trips", "root": {"id": 1, "name": "Pictures"}, "photos": 12}],
                 "next": None}
            ]
        }
    )  # fmt: skip


class GoneAnswer(BaseModel):
    """The ids, of those that were sent, that the library has no photograph of."""

    gone: list[int]

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"gone": [7]}]})


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


@router.post("/api/photos/gone", response_model=GoneAnswer, openapi_extra=body(GoneRequest))
async def gone(request: Request) -> GoneAnswer:
    """Tell which of some photographs the library has no more."""
    service = service_of(request)
    asked, _ = await read_request(request, GoneRequest, limits=service.settings.limits)
    return GoneAnswer(gone=await service.workers.run(service.library.gone, asked.ids))


@router.get("/api/folders", response_model=FoldersAnswer)
async def folders(
    request: Request,
    k: int = Query(1000, ge=1, le=_MOST_FOLDERS, examples=[1000]),
    offset: int = Query(0, ge=0, lt=1 << 31, examples=[0]),
) -> FoldersAnswer:
    """List the folders that photographs lie in, each with how many there are in it and below."""
    service = service_of(request)
    every = await service.listing.run(_every_folder, service)
    return FoldersAnswer(
        folders=[
            FolderAnswer(path=path, root=RootAnswer(id=root_id, name=name), photos=count)
            for path, root_id, name, count in every[offset : offset + k]
        ],
        next=offset + k if offset + k < len(every) else None,
    )


def _every_folder(service: Service) -> Folders:
    """All folders: pages, and whoever asks again, have those that were found last while nothing changes.

    One thread does this, so what is kept needs no lock; it is of the edition that was there when it began.
    """
    edition = (service.edition, service.library.generation)
    state = service.listed
    if state is not None and state[0] == edition:
        kept: Folders = state[1]
        return kept
    service.listed = None
    every = [_folder(one) for one in service.library.folders(k=_EVERY)]
    service.listed = (edition, every)
    return every


def _folder(one: FolderRecord) -> tuple[str, int, str, int]:
    below = one.path.relative_to(one.root)
    return ("" if below == below.parent else plain(below), one.root_id, plain(one.root.name), one.photos)
