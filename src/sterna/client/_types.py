"""What a service answers with, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

__all__ = [
    "Page",
    "RemoteCaption",
    "RemoteForgotten",
    "RemoteHit",
    "RemoteJob",
    "RemotePhoto",
    "read_captions",
    "read_forgotten",
    "read_job",
    "read_page",
    "read_photo",
]


@dataclass(frozen=True)
class RemotePhoto:
    """What a library elsewhere knows of a photograph, with the names of `sterna.library.Hit`.

    `path` is below its root, `root` that folder's name; `file_date` is when the file was last changed, by the
    clock of the service.
    """

    photo_id: int
    path: PurePosixPath
    root: str
    root_id: int
    width: int
    height: int
    taken_at: datetime | None
    captions: tuple[str, ...]
    online: bool
    file_date: datetime | None


@dataclass(frozen=True)
class RemoteHit(RemotePhoto):
    """A photograph that was found elsewhere; `score` is a cosine, `alignment` is said at `Hit`."""

    rank: int
    score: float
    alignment: float | None = None


@dataclass(frozen=True)
class Page:
    """A page of hits: `next` is the cursor of the next one, `more` whether there are more hits."""

    hits: list[RemoteHit]
    next: str | None
    more: bool


@dataclass(frozen=True)
class RemoteCaption:
    """A sentence that fits a photograph."""

    rank: int
    score: float
    caption: str


@dataclass(frozen=True)
class RemoteJob:
    """A run of indexing elsewhere.

    `state` is "running", "done", "failed" or "cancelled"; `progress` what it told last, `report` what it
    found and did once it is done, `error` a sentence where it failed.
    """

    job_id: int
    state: str
    progress: Mapping[str, Any]
    report: Mapping[str, Any] | None
    error: str | None


@dataclass(frozen=True)
class RemoteForgotten:
    """A folder that was taken out of a library elsewhere, with the names of `sterna.library.Forgotten`."""

    path: PurePosixPath
    files: int
    photos: int


def _facts(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "photo_id": said["id"],
        "path": PurePosixPath(said["path"]),
        "root": said["root"]["name"],
        "root_id": said["root"]["id"],
        "width": said["width"],
        "height": said["height"],
        "taken_at": _time(said["taken_at"]),
        "file_date": _time(said.get("file_date")),  # as `alignment`, it came later
        "captions": tuple(said["captions"]),
        "online": said["online"],
    }


def _time(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said)


def read_photo(said: Mapping[str, Any]) -> RemotePhoto:
    """A photograph as a service tells of it."""
    return RemotePhoto(**_facts(said))


def read_page(said: Mapping[str, Any]) -> Page:
    """A page of hits as a service tells of it."""
    hits = [
        RemoteHit(**_facts(one), rank=one["rank"], score=one["score"], alignment=one.get("alignment"))
        for one in said["hits"]
    ]
    return Page(hits, said["next"], said["more"])


def read_captions(said: Mapping[str, Any]) -> list[RemoteCaption]:
    """Sentences as a service tells of them."""
    return [RemoteCaption(one["rank"], one["score"], one["caption"]) for one in said["captions"]]


def read_forgotten(said: Mapping[str, Any]) -> RemoteForgotten:
    """A folder that was taken out as a service tells of it."""
    return RemoteForgotten(PurePosixPath(said["path"]), int(said["files"]), int(said["photos"]))


def read_job(said: Mapping[str, Any]) -> RemoteJob:
    """A job as a service tells of it."""
    return RemoteJob(said["id"], said["state"], said["progress"], said["report"], said["error"])
