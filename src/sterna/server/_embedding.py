"""`/api/embed` and `/api/rank`: vectors of texts and images, and the texts that fit an image."""

from __future__ import annotations

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from numpy.typing import NDArray

from sterna.library import CaptionHit
from sterna.server._answered import CaptionAnswer, CaptionsAnswer, EmbedAnswer
from sterna.server._asked import EmbedRequest, RankRequest, Short, written
from sterna.server._body import read_request
from sterna.server._described import PROBLEMS, body
from sterna.server._plain import plain
from sterna.server._problems import Problem
from sterna.server._searching import check_texts
from sterna.server._service import service_of

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["embed"])


@router.post(
    "/api/embed", response_model=EmbedAnswer, openapi_extra=body(EmbedRequest, images="What to embed.")
)
async def embed(request: Request) -> EmbedAnswer:
    """Turn texts and images into vectors of unit length, those of the texts first."""
    service = service_of(request)
    limits = service.settings.limits
    asked, images = await read_request(request, EmbedRequest, limits=limits, images=limits.images)
    check_texts(asked.texts, limits=limits)
    if not asked.texts and not images and asked.image_url is None:
        raise Problem(422, "nothing to embed: send texts, images, or both")
    if len(images) + (asked.image_url is not None) > limits.images:
        raise Problem(
            422, f"at most {limits.images} images can be sent at one time, one at an address included"
        )
    model = await service.model(asked.model)
    async with service.fetcher.beside(images, asked.image_url) as images:
        vectors = np.concatenate(
            await asyncio.gather(model.texts(asked.texts), service.image_vectors(model, images))
        )
    encoder = model.encoder
    return EmbedAnswer(
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        dim=encoder.dim,
        vectors=written(vectors, asked.encoding),
    )


@router.post(
    "/api/rank", response_model=CaptionsAnswer, openapi_extra=body(RankRequest, images="What to tell of.")
)
async def rank(request: Request) -> CaptionsAnswer:
    """Rank texts by how well they fit a photograph of the library or an uploaded image."""
    service = service_of(request)
    limits = service.settings.limits
    asked, images = await read_request(request, RankRequest, limits=limits, images=1)
    check_texts(asked.texts, limits=limits)
    if (asked.photo is not None) + bool(images) + (asked.image_url is not None) != 1:
        raise Problem(422, "one image is needed: a photo of the library, an uploaded one, or an image_url")
    model = await service.model(asked.model)
    photo: int | NDArray[np.float32] | None = asked.photo
    if photo is None:
        async with service.fetcher.beside(images, asked.image_url) as images:
            photo = (await service.image_vectors(model, images))[0]
    captions = service.library.captions
    hits = await service.workers.run(captions, photo, captions=asked.texts, k=asked.k, model=model.name)
    return _answer(model.encoder.name, hits)


@router.get("/api/photos/{photo_id}/captions", response_model=CaptionsAnswer)
async def captions(
    request: Request,
    photo_id: int = Path(ge=0, lt=1 << 63, examples=[7]),
    k: int = Query(10, ge=1, le=1000, examples=[10]),
    model: Annotated[Short | None, Query()] = None,
) -> CaptionsAnswer:
    """Rank the sentences that the library knows by how well they fit one of its photographs."""
    service = service_of(request)
    chosen = await service.model(model)
    hits = await service.workers.run(service.library.captions, photo_id, k=k, model=chosen.name)
    return _answer(chosen.encoder.name, hits)


def _answer(model: str, hits: list[CaptionHit]) -> CaptionsAnswer:
    return CaptionsAnswer(
        model=model,
        captions=[
            CaptionAnswer(rank=hit.rank, score=round(hit.score, 6), caption=plain(hit.caption))
            for hit in hits
        ],
    )
