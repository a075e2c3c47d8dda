"""What is answered, as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "CaptionAnswer",
    "CaptionsAnswer",
    "EmbedAnswer",
    "FailureAnswer",
    "FailuresAnswer",
    "ForgottenAnswer",
    "HitAnswer",
    "JobAnswer",
    "JobsAnswer",
    "ModelAnswer",
    "ModelsAnswer",
    "PhotoAnswer",
    "ProblemAnswer",
    "RootAnswer",
    "RootStatusAnswer",
    "SearchAnswer",
    "StatusAnswer",
]


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True)


class RootAnswer(_Answered):
    """A folder of the library."""

    id: int
    name: str


class PhotoAnswer(_Answered):
    """What the library knows of a photograph; `path` is below its root."""

    id: int
    path: str
    root: RootAnswer
    width: int
    height: int
    taken_at: str | None
    file_date: str | None = Field(default=None, description="When its file was last changed, local time.")
    captions: list[str]
    online: bool

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 7, "path": "2019/beach.jpg", "root": {"id": 1, "name": "Pictures"}, "width": 4000,
                    "height": 3000, "taken_at": "2019-05-31T12:00:00", "file_date": "2019-06-02T18:20:00",
                    "captions": [], "online": True,
                }
            ]
        }
    )  # fmt: skip


class HitAnswer(PhotoAnswer):
    """A photograph that was found; `score` is a cosine."""

    rank: int
    score: float
    alignment: float | None = Field(
        default=None, description="Where the search was re-ranked: how well its regions fit the words."
    )
    folded: int = Field(default=0, description="How many others that look the same it stands for.")


class SearchAnswer(_Answered):
    """A page of hits, and the cursor of the next one."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    model: str
    hits: list[HitAnswer]
    next: str | None
    more: bool = Field(description="Whether there are more; without `next`, they are beyond all pages.")
    min_score: float | None = Field(description="The least score that counted: asked for, or the model's.")
    nearest: float | None = Field(description="Where nothing was found: what the nearest photograph scores.")
    message: str | None = Field(description="Where nothing was found: a sentence that says so.")

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"schema": 1, "model": "sterna-base", "hits": [], "next": None, "more": False,
                 "min_score": 0.14, "nearest": 0.12,
                 "message": "nothing here looks like that (the nearest scores 0.120)"}
            ]
        },
    )  # fmt: skip


class EmbedAnswer(_Answered):
    """Vectors of unit length: those of the texts, then those of the images."""

    model: str
    fingerprint: str
    dim: int
    vectors: list[list[float] | str]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "sterna-base", "fingerprint": "1f0c", "dim": 2, "vectors": [[0.6, 0.8]]}]
        }
    )


class CaptionAnswer(_Answered):
    """A sentence and how well it fits."""

    rank: int
    score: float
    caption: str


class CaptionsAnswer(_Answered):
    """Sentences, best first."""

    model: str
    captions: list[CaptionAnswer]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "sterna-base", "captions": [{"rank": 1, "score": 0.41, "caption": "a dog"}]}
            ]
        }
    )


class ModelAnswer(_Answered):
    """A model with vectors in the library."""

    name: str
    fingerprint: str
    dim: int
    photos: int
    stale: int
    default: bool


class ModelsAnswer(_Answered):
    """The models that a request may name."""

    models: list[ModelAnswer]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"models": [{"name": "sterna-base", "fingerprint": "1f0c", "dim": 512, "photos": 9,
                             "stale": 0, "default": True}]}
            ]
        }
    )  # fmt: skip


class RootStatusAnswer(RootAnswer):
    """A folder of the library, and whether it is there."""

    path: str
    online: bool
    photos: int
    removable: bool = Field(description="Whether `DELETE /api/roots/ID` may take it out of the library.")


class ForgottenAnswer(_Answered):
    """A folder that was taken out of the library.

    `files` are its paths that were known, `photos` the photographs among them that no other folder holds.
    """

    id: int
    path: str
    files: int
    photos: int

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": 1, "path": "/home/me/Pictures", "files": 12, "photos": 9}],
        }
    )


class StatusAnswer(_Answered):
    """What the library holds."""

    version: str
    indexed: int
    stale: int
    failed: int
    bytes: int
    roots: list[RootStatusAnswer]
    may_add: list[str] = Field(
        description="`POST /api/jobs` may add these folders, and those inside them, to the library."
    )
    problems: list[str]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"version": "0.1.0", "indexed": 9, "stale": 0, "failed": 1, "bytes": 123456, "problems": [],
                 "roots": [{"id": 1, "name": "Pictures", "path": "/home/me/Pictures", "online": True,
                            "photos": 9, "removable": True}],
                 "may_add": ["/home/me"]}
            ]
        }
    )  # fmt: skip


class FailureAnswer(_Answered):
    """A file or folder that cannot be read."""

    path: str
    reason: str


class FailuresAnswer(_Answered):
    """A page of files and folders that cannot be read."""

    total: int
    failures: list[FailureAnswer]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "total": 1,
                    "failures": [{"path": "/home/me/Pictures/a.jpg", "reason": "the file is damaged"}],
                }
            ]
        }
    )


class JobAnswer(_Answered):
    """A run of indexing: its `progress` while it runs, its `report` once it is done."""

    id: int
    state: Literal["running", "done", "failed", "cancelled"]
    roots: list[str]
    progress: dict[str, Any]
    report: dict[str, Any] | None
    error: str | None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": 1, "state": "running", "roots": [], "report": None, "error": None,
                 "progress": {"phase": "embedding", "done": 64, "total": 900}}
            ]
        }
    )  # fmt: skip


class JobsAnswer(_Answered):
    """Jobs, the last first."""

    jobs: list[JobAnswer]

    model_config = ConfigDict(json_schema_extra={"examples": [{"jobs": []}]})


class ProblemAnswer(_Answered):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, str]] = []

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "urn:sterna:problem:invalid", "title": "Unprocessable Content", "status": 422,
                 "detail": "k: 0 came; at least 1 is needed", "request_id": "5f0c9b1d2a3e4f60"}
            ]
        }
    )  # fmt: skip
