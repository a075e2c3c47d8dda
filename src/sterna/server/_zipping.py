"""`/api/photos/zip`: the files of several photographs as one, written while it is sent."""

from __future__ import annotations

import contextlib
import io
import re
import time
import unicodedata
import zipfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sterna.errors import PhotoError, UnknownPhotoError
from sterna.library import Library, Original
from sterna.server._described import PROBLEMS, binary
from sterna.server._photos import next_block
from sterna.server._plain import plain
from sterna.server._problems import Problem
from sterna.server._service import Service, service_of

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["photos"])

_MOST = 500  # photographs of a file: their ids fit into an address that every proxy takes
_PORTION = 20  # photographs that are looked at before others have their turn, and whoever left is noticed
_ABSENT = "not-there.txt"
_LONGEST = 255  # bytes of a name that every drive takes
_LONGEST_ENDING = 32  # what is longer is no ending
_UNSEEN = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"  # controls, and what turns the writing round
_CONTROL = re.compile(f"[{_UNSEEN}]")
_UNSAFE = re.compile(rf'[{_UNSEEN}<>:"/\\|?*]')  # what no name may have where it is unpacked
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[1-9¹²³]) *(\.|$)", re.IGNORECASE)  # of Windows
_FIRST, _LAST = 1980, 2107  # years that such a file can tell


class _Pipe(io.RawIOBase):
    """What is written and not yet sent; nobody can go back in it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Keep some bytes."""
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """All that was written since this was asked last."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


@dataclass(frozen=True)
class _Wanted:
    """A photograph that goes into the file; `name` is no other one's there."""

    photo_id: int
    name: str


@router.get(
    "/api/photos/zip",
    response_class=StreamingResponse,
    responses=binary("application/zip", example="A ZIP of the files, not compressed."),
)
async def archive(
    request: Request,
    ids: Annotated[
        list[Annotated[int, Field(ge=0, lt=1 << 63)]],
        Query(min_length=1, max_length=_MOST, description="Ids of photographs.", examples=[[1, 7]]),
    ],
) -> StreamingResponse:
    """Give several photographs as one ZIP, with a text that names those whose files are not there."""
    return _Archive(service_of(request), list(dict.fromkeys(ids)))


class _Archive(StreamingResponse):
    """The answer; it has its turn until all is sent, or whoever asked has gone."""

    def __init__(self, service: Service, ids: Sequence[int]) -> None:
        headers = {
            "Content-Disposition": 'attachment; filename="photographs.zip"',
            "Cache-Control": "no-store",
        }
        super().__init__((), headers=headers, media_type="application/zip")
        self._service = service
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the files, and send them; nothing is sent where none is there."""
        async with self._service.zipping.turn():
            wanted, absent = await _looked_at(self._service, self._ids)
            if scope["method"] == "HEAD":
                await super().__call__(scope, receive, send)
                return
            async with contextlib.aclosing(_blocks(self._service, wanted, absent)) as blocks:
                self.body_iterator = blocks
                await super().__call__(scope, receive, send)


async def _looked_at(service: Service, ids: Sequence[int]) -> tuple[list[_Wanted], list[str]]:
    """What goes into the file, and a line for each photograph whose file is not there.

    Raises `Problem` where none is, so that nobody gets a file of nothing.
    """
    wanted: list[_Wanted] = []
    absent: list[str] = []
    taken = {_key(_ABSENT)}
    for start in range(0, len(ids), _PORTION):
        names, lines = await service.packing.run(_names, service.library, ids[start : start + _PORTION])
        wanted += [_Wanted(number, _free_name(name, taken)) for number, name in names]
        absent += lines
    if not wanted:
        raise Problem(404, "none of these photographs is there now", kind="photo-not-there")
    return wanted, absent


def _names(library: Library, ids: Sequence[int]) -> tuple[list[tuple[int, str]], list[str]]:
    """Ids and names of a few photographs, and a line for each whose file is not there."""
    names: list[tuple[int, str]] = []
    absent: list[str] = []
    for number in ids:
        try:
            with library.open_photo(number) as opened:
                names.append((number, plain(opened.path.name)))
        except PhotoError as error:
            name = plain(error.path or f"photograph {number}")
            absent.append(f"{PurePath(name).name}: {error.reason}")
        except UnknownPhotoError as error:  # just deleted: the others are wanted all the same
            absent.append(plain(error))
    return names, absent


def _free_name(name: str, taken: set[str]) -> str:
    """A name that is not taken, even where capitals do not matter; from then on it is."""
    safe = _UNSAFE.sub("_", name).rstrip(". ") or "_"
    if _DEVICE.match(safe):
        safe = f"_{safe}"
    stem, dot, ending = safe.rpartition(".")
    stem, ending = (stem, f"{dot}{ending}") if stem else (safe, "")
    if len(ending.encode()) > _LONGEST_ENDING:
        stem, ending = safe, ""
    free, number = _fitting(stem, ending), 1
    while _key(free) in taken:
        number += 1
        free = _fitting(stem, f" ({number}){ending}")
    taken.add(_key(free))
    return free


def _fitting(stem: str, ending: str) -> str:
    """A name, cut before its ending where no drive would take it."""
    cut = stem.encode()[: _LONGEST - len(ending.encode())].decode("utf-8", "ignore")
    return cut + ending if ending else cut.rstrip(". ")


def _key(name: str) -> str:
    """What is the same for names that are one where capitals, and ways to write an accent, do not matter."""
    return unicodedata.normalize("NFC", name).casefold()


async def _blocks(
    service: Service, wanted: Sequence[_Wanted], absent: list[str]
) -> AsyncGenerator[bytes, None]:
    """The file, block by block, of which no more is in memory; one photograph is open at a time."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as file:
        for one in wanted:
            try:
                opened = await service.reading.run(service.library.open_photo, one.photo_id)
            except (PhotoError, UnknownPhotoError) as error:  # it was there a moment ago
                reason = error.reason if isinstance(error, PhotoError) else "no longer in the library"
                absent.append(f"{one.name}: {reason}")
                continue
            try:
                # closed before the file around it is, which cannot end while a photograph is written
                packed = _packed(service, file, opened, name=one.name, pipe=pipe)
                async with contextlib.aclosing(packed) as blocks:
                    async for block in blocks:
                        yield block
            finally:
                service.reading.leave(opened.file.close)
        if absent:
            text = "These photographs are not there now:\n" + "".join(
                f"{_CONTROL.sub('_', line)}\n" for line in absent
            )
            file.writestr(zipfile.ZipInfo(_ABSENT, _moment(time.time())), text)
    yield pipe.taken()


async def _packed(
    service: Service, file: zipfile.ZipFile, opened: Original, *, name: str, pipe: _Pipe
) -> AsyncGenerator[bytes, None]:
    info = zipfile.ZipInfo(name, _moment(opened.mtime_ns / 1e9))
    info.external_attr = 0o644 << 16
    info.file_size = opened.size
    left = opened.size
    with file.open(info, "w", force_zip64=opened.size >= zipfile.ZIP64_LIMIT) as inside:
        while left > 0:
            block = await next_block(service, opened, left=left)
            left -= len(block)
            inside.write(block)
            yield pipe.taken()


def _moment(seconds: float) -> tuple[int, int, int, int, int, int]:
    """A time as such a file tells it: local, and of the years that it can tell."""
    with contextlib.suppress(OverflowError, OSError, ValueError):
        found = time.localtime(seconds)
        if _FIRST <= found.tm_year <= _LAST:
            return found[:6]
    return (_FIRST, 1, 1, 0, 0, 0)
