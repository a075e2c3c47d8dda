"""What a service answers with, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Groups",
    "Page",
    "RemoteCaption",
    "RemoteExplanation",
    "RemoteFolder",
    "RemoteForgotten",
    "RemoteHit",
    "RemoteJob",
    "RemotePhoto",
    "RemoteWord",
    "read_captions",
    "read_explanation",
    "read_folders",
    "read_forgotten",
    "read_groups",
    "read_job",
    "read_page",
    "read_photo",
    "read_photos",
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
    """A photograph that was found elsewhere; `score` is a cosine, `alignment` and `folded` are said at `Hit`.

    `also` are its other paths below its root; `Client.duplicates` alone tells them.
    """

    rank: int
    score: float
    alignment: float | None = None
    also: tuple[PurePosixPath, ...] = ()
    folded: int = 0


@dataclass(frozen=True)
class Page:
    """A page of hits: `next` is the cursor of the next one, `more` whether there are more hits."""

    hits: list[RemoteHit]
    next: str | None
    more: bool


@dataclass(frozen=True)
class Groups:
    """A page of groups, each with how many photographs it has; `next` is the offset of the next one."""

    groups: list[tuple[int, tuple[RemoteHit, ...]]]
    next: int | None


@dataclass(frozen=True, eq=False)
class RemoteWord:
    """One word of a sentence, with the names of `sterna.explanations.Word`."""

    text: str
    span: tuple[int, int]
    contribution: float
    share: float
    score: float
    cells: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RemoteExplanation:
    """Which parts of a photograph speak for a sentence, with the names of `sterna.Explanation`."""

    model: str
    sentence: str
    method: str
    score: float
    cells: NDArray[np.float32]
    words: tuple[RemoteWord, ...]
    area: tuple[float, float, float, float]
    boxes: NDArray[np.float32]


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
class RemoteFolder:
    """A folder elsewhere that photographs lie in; `path` is below its root, "." for the root itself."""

    path: PurePosixPath
    root: str
    root_id: int
    photos: int


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
    return Page([_hit(one) for one in said["hits"]], said["next"], said["more"])


def _hit(said: Mapping[str, Any]) -> RemoteHit:
    return RemoteHit(
        **_facts(said),
        rank=said["rank"],
        score=said["score"],
        alignment=said.get("alignment"),
        also=tuple(PurePosixPath(path) for path in said.get("also", ())),
        folded=said.get("folded", 0),
    )


def read_photos(said: Mapping[str, Any]) -> list[RemotePhoto]:
    """A page of photographs as a service tells of it."""
    return [read_photo(one) for one in said["photos"]]


def read_folders(said: Mapping[str, Any]) -> tuple[list[RemoteFolder], bool]:
    """A page of folders as a service tells of it, and whether there are more."""
    folders = [
        RemoteFolder(PurePosixPath(one["path"]), one["root"]["name"], one["root"]["id"], one["photos"])
        for one in said["folders"]
    ]
    return folders, said["next"] is not None


def read_groups(said: Mapping[str, Any]) -> Groups:
    """A page of groups as a service tells of it."""
    groups = [(int(one["size"]), tuple(_hit(hit) for hit in one["photos"])) for one in said["groups"]]
    return Groups(groups, said["next"])


def read_explanation(said: Mapping[str, Any]) -> RemoteExplanation:
    """An explanation as a service tells of it."""
    import numpy as np

    def numbers(rows: Any) -> NDArray[np.float32]:
        return np.array(rows, dtype=np.float32)

    left, top, right, bottom = said["area"]
    return RemoteExplanation(
        model=said["model"],
        sentence=said["sentence"],
        method=said["method"],
        score=said["score"],
        cells=numbers(said["cells"]),
        words=tuple(
            RemoteWord(
                text=one["word"],
                span=(one["span"][0], one["span"][1]),
                contribution=one["contribution"],
                share=one["share"],
                score=one["score"],
                cells=numbers(one["cells"]),
            )
            for one in said["words"]
        ),
        area=(left, top, right, bottom),
        boxes=numbers(said["boxes"]),
    )


def read_captions(said: Mapping[str, Any]) -> list[RemoteCaption]:
    """Sentences as a service tells of them."""
    return [RemoteCaption(one["rank"], one["score"], one["caption"]) for one in said["captions"]]


def read_forgotten(said: Mapping[str, Any]) -> RemoteForgotten:
    """A folder that was taken out as a service tells of it."""
    return RemoteForgotten(PurePosixPath(said["path"]), int(said["files"]), int(said["photos"]))


def read_job(said: Mapping[str, Any]) -> RemoteJob:
    """A job as a service tells of it."""
    return RemoteJob(said["id"], said["state"], said["progress"], said["report"], said["error"])
