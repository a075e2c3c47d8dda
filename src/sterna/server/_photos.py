"""`/api/photos/ID`: what is known of a photograph, a small picture of it, and its file, by id alone."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from sterna.errors import PhotoError
from sterna.library import Library, Original
from sterna.server._answered import PhotoAnswer
from sterna.server._described import PROBLEMS, binary
from sterna.server._plain import plain
from sterna.server._problems import Problem
from sterna.server._ranges import has_already, http_date, part_of
from sterna.server._searching import photo_facts
from sterna.server._service import Service, service_of

__all__ = ["next_block", "read", "router", "unreadable"]

router = APIRouter(responses=PROBLEMS, tags=["photos"])

_SIDES = (128, 256, 512, 1024)
_MOST = 256_000_000  # bytes of a file that is decoded
_BLOCK = 1 << 18
_KEEP = "private, max-age=3600"
_FILES = binary("image/jpeg", "image/png", "image/webp", example="The photograph's file.")
_FILES |= {
    206: {**_FILES[200], "description": "A part of it."},
    416: {"description": "The part begins behind the file's end.", "content": PROBLEMS["default"]["content"]},
}
_ALONE = "default-src 'none'; sandbox; frame-ancestors 'none'"  # an image is looked at and does nothing


@router.get("/api/photos/{photo_id}", response_model=PhotoAnswer)
async def photo(request: Request, photo_id: int = Path(ge=0, lt=1 << 63, examples=[7])) -> PhotoAnswer:
    """Tell what the library knows of a photograph."""
    service = service_of(request)
    return PhotoAnswer(**photo_facts(await service.workers.run(service.library.photo, photo_id)))


@router.head("/api/photos/{photo_id}/thumbnail", include_in_schema=False)
@router.get(
    "/api/photos/{photo_id}/thumbnail",
    response_class=Response,
    responses=binary("image/jpeg", example="A JPEG whose longer side has `size` pixels."),
)
async def thumbnail(
    request: Request,
    photo_id: int = Path(ge=0, lt=1 << 63, examples=[7]),
    size: int = Query(256, description="Pixels of the longer side: 128, 256, 512 or 1024.", examples=[256]),
) -> Response:
    """Show a photograph small."""
    if size not in _SIDES:
        raise Problem(422, f"size: one of {', '.join(map(str, _SIDES))} is needed")
    service = service_of(request)
    tag = await service.reading.run(_looked_at, service.library, photo_id, side=size)
    headers = {"ETag": tag, "Cache-Control": _KEEP, "Content-Security-Policy": _ALONE}
    if has_already(request, tag):
        return Response(status_code=304, headers=headers)
    picture = service.thumbnails.get(tag)
    service.metrics.thumbnails.labels("yes" if picture else "no").inc()
    if picture is None:
        picture = await service.drawing.run(_drawn, service, photo_id, size)
        service.thumbnails.keep(tag, picture)
    return Response(picture, headers=headers, media_type="image/jpeg")


@router.head("/api/photos/{photo_id}/original", include_in_schema=False)
@router.get(
    "/api/photos/{photo_id}/original",
    response_class=Response,
    responses=_FILES,
)
async def original(request: Request, photo_id: int = Path(ge=0, lt=1 << 63, examples=[7])) -> Response:
    """Give the file of a photograph, or a part of it (`Range: bytes=0-999`, one part at a time)."""
    service = service_of(request)
    opened = await service.reading.run(_opened, service.library, photo_id)
    try:
        answer = _file_answer(request, opened, tag=_tag(opened, photo_id, 0))
    except BaseException:
        service.reading.leave(opened.file.close)
        raise
    if answer.status_code == 304 or request.method == "HEAD":
        service.reading.leave(opened.file.close)
    return answer


def _file_answer(request: Request, opened: Original, *, tag: str) -> Response:
    """A file, a part of it, or what is said of it; whoever sends it closes it."""
    changed = http_date(opened.mtime_ns)
    headers = {"ETag": tag, "Cache-Control": _KEEP, "Content-Security-Policy": _ALONE}
    headers |= {"Accept-Ranges": "bytes"} | ({} if changed is None else {"Last-Modified": changed})
    if has_already(request, tag, changed=changed):
        return Response(status_code=304, headers=headers)
    part = part_of(request, size=opened.size, tag=tag, changed=changed)
    start, end = part or (0, opened.size)
    headers["Content-Length"] = str(end - start)
    headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(plain(opened.path.name), safe='')}"
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{opened.size}"
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=opened.media_type)
    blocks = _blocks(service_of(request), opened, start=start, end=end)
    return StreamingResponse(blocks, status, headers=headers, media_type=opened.media_type)


async def _blocks(service: Service, opened: Original, *, start: int, end: int) -> AsyncIterator[bytes]:
    left = end - start
    try:
        if start:
            await service.reading.run(opened.file.seek, start)
        while left > 0:
            block = await next_block(service, opened, left=left)
            left -= len(block)
            yield block
    finally:
        service.reading.leave(opened.file.close)  # it waits for a read that is under way, as nobody else may


async def next_block(service: Service, opened: Original, *, left: int) -> bytes:
    """The next bytes of a file of which so many are to be sent; `PhotoError` where it ends before."""
    block = await service.reading.run(opened.file.read, min(_BLOCK, left))
    if not block:  # an end would be taken for the whole; so the connection ends instead
        raise PhotoError("the file has become shorter while it was sent")
    return block


def _opened(library: Library, photo_id: int) -> Original:
    try:
        return library.open_photo(photo_id)
    except PhotoError as error:
        sentence = f"the photograph cannot be shown: {error.reason}"
        raise Problem(404, sentence, kind="photo-not-there") from None


def _looked_at(library: Library, photo_id: int, *, side: int) -> str:
    with _opened(library, photo_id) as opened:
        return _tag(opened, photo_id, side)


def _drawn(service: Service, photo_id: int, side: int) -> bytes:
    data = _read(service.library, photo_id, to_be="shown")
    try:
        return service.decoders.thumbnail(data, side)
    except PhotoError as error:
        raise unreadable(error.reason, to_be="shown") from None


async def read(service: Service, photo_id: int, *, to_be: str) -> bytes:
    """The bytes of a photograph's file; `Problem` where it is not there, or too long to be decoded."""
    return await service.reading.run(_read, service.library, photo_id, to_be=to_be)


def _read(library: Library, photo_id: int, *, to_be: str) -> bytes:
    with _opened(library, photo_id) as opened:  # closed here, by nobody who has other things to do
        if opened.size > _MOST:
            raise unreadable(f"the file is longer than {_MOST:,} bytes", to_be=to_be)
        return opened.file.read(_MOST)


def unreadable(reason: str, *, to_be: str) -> Problem:
    """The problem of a photograph whose file is there, and cannot be decoded or is too large for it."""
    return Problem(422, f"the photograph cannot be {to_be}: {reason}", kind="unreadable-photo")


def _tag(opened: Original, photo_id: int, side: int) -> str:
    """What tells this picture of this file, as it is now, from all others."""
    facts = f"{opened.path!r} {opened.size} {opened.mtime_ns} {photo_id} {side}"
    return f'"{hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'
