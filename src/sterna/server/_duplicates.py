"""`/api/duplicates`: photographs that look the same, in pages."""

from __future__ import annotations

import time
from typing import TypeAlias

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from sterna.library import LIKENESS, Hit
from sterna.server._answered import HitAnswer
from sterna.server._described import PROBLEMS
from sterna.server._plain import plain
from sterna.server._searching import photo_facts
from sterna.server._service import Service, service_of

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["search"])

_FRESH = 60.0  # seconds for which pages are of one comparison
_MOST = 100  # photographs that are told of one group
_LEAST = 0.5  # below it nearly every photograph is like every other
Groups: TypeAlias = list[tuple[Hit, ...]]


class DuplicateAnswer(HitAnswer):
    """A photograph of a group; `score` is its likeness to the best, `also` are paths of equal copies."""

    also: list[str]


class GroupAnswer(BaseModel):
    """Photographs that look the same, the best first; `size` counts those that are not told, too."""

    size: int
    photos: list[DuplicateAnswer]

    model_config = ConfigDict(frozen=True)


class DuplicatesAnswer(BaseModel):
    """A page of groups, and the `offset` of the next one."""

    min_score: float = Field(description="The least likeness that was asked for.")
    total: int = Field(description="Groups there are.")
    groups: list[GroupAnswer]
    next: int | None

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"min_score": LIKENESS, "total": 0, "groups": [], "next": None}]},
    )


@router.get("/api/duplicates", response_model=DuplicatesAnswer)
async def duplicates(
    request: Request,
    *,
    min_score: float = Query(
        LIKENESS, ge=_LEAST, le=1, description="The least likeness.", examples=[LIKENESS]
    ),
    copies: bool = Query(
        False,
        description="Also tell of photographs that nothing looks like but equal copies of their own file.",
        examples=[True],
    ),
    offset: int = Query(0, ge=0, lt=1 << 31, examples=[0]),
    limit: int = Query(20, ge=1, le=100, examples=[20]),
    skip: int = Query(
        0,
        ge=0,
        lt=1 << 31,
        examples=[0],
        description=f"Photographs of each group to pass over; {_MOST} of a group are told at one time.",
    ),
    model: str | None = Query(None, max_length=1000),
) -> DuplicatesAnswer:
    """Group photographs that look the same."""
    service = service_of(request)
    chosen = await service.model(model)
    key = (min_score, copies, chosen.encoder.fingerprint)
    groups = await service.comparing.run(_found, service, key, name=chosen.name)
    page = groups[offset : offset + limit]
    return DuplicatesAnswer(
        min_score=min_score,
        total=len(groups),
        groups=[
            GroupAnswer(size=len(group), photos=[_answer(hit) for hit in group[skip : skip + _MOST]])
            for group in page
        ],
        next=offset + limit if offset + limit < len(groups) else None,
    )


def _found(service: Service, key: tuple[float, bool, str], *, name: str | None) -> Groups:
    """All groups; pages that are asked for one after the other are of one comparison.

    One thread does this, so what is kept needs no lock; it is of the edition that was there when it began.
    """
    edition = service.edition
    state = service.compared
    if state is not None and state[:2] == (key, edition) and time.monotonic() < state[2] + _FRESH:
        kept: Groups = state[3]
        return kept
    service.compared = None
    least, copies, _ = key
    groups = service.library.duplicates(min_score=least, copies=copies, model=name)
    service.compared = (key, edition, time.monotonic(), groups)
    return groups


def _answer(hit: Hit) -> DuplicateAnswer:
    also = [plain(path.relative_to(hit.root) if path.is_relative_to(hit.root) else path) for path in hit.also]
    return DuplicateAnswer(rank=hit.rank, score=round(hit.score, 6), also=also, **photo_facts(hit))
