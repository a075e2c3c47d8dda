"""`/api/search`: weigh what is asked into vectors, embedded with those of other requests, and find pages."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from numpy.typing import NDArray

from sterna.library import Hit, PhotoRecord, Sentence
from sterna.server._answered import HitAnswer, RootAnswer, SearchAnswer
from sterna.server._asked import SearchRequest, Short, WeightedPart
from sterna.server._body import read_request
from sterna.server._described import PROBLEMS, body
from sterna.server._model import Model
from sterna.server._plain import plain
from sterna.server._problems import Problem
from sterna.server._service import Service, service_of
from sterna.server._settings import Limits

__all__ = ["check_texts", "photo_facts", "router"]

router = APIRouter(responses=PROBLEMS, tags=["search"])
_Operand = int | Sentence | NDArray[np.float32]


@router.post(
    "/api/search", response_model=SearchAnswer, openapi_extra=body(SearchRequest, images="What to find.")
)
async def search(request: Request) -> SearchAnswer:
    """Find photographs by a sentence, a photograph, a vector, an image sent or fetched, or a sum of them."""
    service = service_of(request)
    asked, images = await read_request(request, SearchRequest, limits=service.settings.limits, images=1)
    return await _find(service, asked, images)


@router.get("/api/photos/{photo_id}/similar", response_model=SearchAnswer)
async def similar(
    request: Request,
    photo_id: int = InPath(ge=0, lt=1 << 63, examples=[7]),
    k: int = Query(10, ge=1, examples=[10]),
    cursor: Annotated[Short | None, Query()] = None,
    model: Annotated[Short | None, Query()] = None,
) -> SearchAnswer:
    """Find photographs like one of the library."""
    service = service_of(request)
    await service.workers.run(service.library.photo, photo_id)
    asked = SearchRequest(photo=photo_id, k=k, cursor=cursor, model=model, exclude_self=True)
    return await _find(service, asked, [])


async def _find(service: Service, asked: SearchRequest, images: Sequence[bytes]) -> SearchAnswer:
    limits = service.settings.limits
    _check(asked, images, limits=limits)
    mark = _mark(asked, images)
    offset = _offset(asked.cursor, mark=mark, limits=limits)
    model = await service.model(asked.model)
    async with service.fetcher.beside(images, asked.image_url) as every:
        plus, minus = await _operands(service, model, asked, every)
    said = asked.text is not None or any(part.text is not None for part in asked.plus)
    alone = said and len(plus) == 1 and not minus
    least = asked.min_score
    if least == "model":
        least = getattr(model.encoder, "min_score", None) if alone else None
    look = partial(
        service.library.search,
        plus=plus,
        minus=minus,
        exclude_self=asked.exclude_self,
        fold=asked.fold,
        model=model.name,
        **asked.filters.model_dump(),
    )
    # reading photographs again takes seconds, and must not hold back other searches
    workers = service.reranking if asked.rerank else service.workers
    hits = await workers.run(look, k=asked.k + 1, offset=offset, min_score=least, rerank=asked.rerank)
    nearest: list[Hit] = []
    if not hits and not offset and least is not None:
        nearest = await service.workers.run(look, k=1, min_score=None)
    after = offset + asked.k
    more = len(hits) > asked.k
    return SearchAnswer(
        model=model.encoder.name,
        hits=[_answer(hit) for hit in hits[: asked.k]],
        next=_cursor(after, mark=mark) if more and after <= limits.offset else None,
        more=more,
        min_score=None if least is None else round(least, 6),
        nearest=round(nearest[0].score, 6) if nearest else None,
        message=None if hits or offset else _nothing(nearest),
    )


def _nothing(nearest: Sequence[Hit]) -> str:
    if not nearest:
        return "nothing found"
    return f"nothing here looks like that (the nearest scores {nearest[0].score:.3f})"


async def _operands(
    service: Service, model: Model, asked: SearchRequest, images: Sequence[bytes]
) -> tuple[list[tuple[float, _Operand]], list[tuple[float, _Operand]]]:
    """What is added and what is taken away, each an id, a vector, or a sentence whose words are needed."""
    own = [WeightedPart(text=asked.text)] if asked.text is not None else []
    own += [WeightedPart(photo=asked.photo)] if asked.photo is not None else []
    own += [WeightedPart(vector=asked.vector)] if asked.vector is not None else []
    parts = [*own, *asked.plus, *asked.minus]
    texts = [part.text for part in parts if part.text is not None and not asked.rerank]
    vectors, found = await asyncio.gather(
        model.texts(texts), asyncio.gather(*(_uploaded(service, model, image) for image in images))
    )
    rows = iter(vectors)

    def operand(part: WeightedPart) -> tuple[float, _Operand]:
        if part.text is not None:
            return part.weight, Sentence(part.text) if asked.rerank else next(rows)
        numbers = part.numbers()
        return part.weight, part.photo if numbers is None and part.photo is not None else _given(numbers)

    weighed = [operand(part) for part in parts]
    added = len(weighed) - len(asked.minus)
    return [*weighed[:added], *((1.0, one) for one in found)], weighed[added:]


def _given(numbers: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if numbers is None:
        raise Problem(422, "one of text, photo and vector is needed")
    return numbers


async def _uploaded(service: Service, model: Model, image: bytes) -> _Operand:
    """The id of an uploaded image that the library has a vector of, or its own vector."""
    known = await service.workers.run(service.library.photo_id, image, model=model.name)
    if known is not None:
        return known
    vector: NDArray[np.float32] = (await service.image_vectors(model, [image]))[0]
    return vector


def _check(asked: SearchRequest, images: Sequence[bytes], *, limits: Limits) -> None:
    if asked.k > limits.k:
        raise Problem(422, f"k: at most {limits.k} hits come on a page; `next` leads to more")
    if asked.rerank > limits.rerank:
        raise Problem(422, f"rerank: at most {limits.rerank} photographs are read again")
    one = asked.photo is not None or asked.vector is not None or asked.image_url is not None or images
    if asked.rerank and (one or any(part.text is None for part in (*asked.plus, *asked.minus))):
        raise Problem(
            422,
            "rerank: words are compared with photographs, and there is a photograph or a vector in the "
            "query; ask with sentences alone, or without rerank",
        )
    if len(asked.plus) + len(asked.minus) > limits.parts:
        raise Problem(422, f"plus, minus: at most {limits.parts} parts can be weighed")
    check_texts([part.text or "" for part in (asked, *asked.plus, *asked.minus)], limits=limits)


def check_texts(texts: Sequence[str], *, limits: Limits) -> None:
    """Raise `Problem` for too many texts, or one that is too long or empty."""
    if len(texts) > max(limits.texts, limits.parts + 1):
        raise Problem(422, f"at most {limits.texts} texts can be sent at one time")
    if any(len(text) > limits.text for text in texts):
        raise Problem(422, f"a text has at most {limits.text:,} letters")
    if any(text and not text.strip() for text in texts):
        raise Problem(422, "a text is empty; describe what the photographs show")


def _mark(asked: SearchRequest, images: Sequence[bytes]) -> str:
    """What tells a query from others, so that a cursor goes with its own alone."""
    digest = hashlib.sha256(asked.model_dump_json(exclude={"cursor"}).encode())
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()[:16]


def _cursor(offset: int, *, mark: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([offset, mark]).encode()).decode().rstrip("=")


def _offset(cursor: str | None, *, mark: str, limits: Limits) -> int:
    if cursor is None:
        return 0
    try:
        offset, own = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        offset, own = None, None
    if not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset <= limits.offset:
        raise Problem(422, "cursor: not one that this service gave", kind="cursor")
    if own != mark:
        raise Problem(422, "cursor: it belongs to another query; send it with the same one", kind="cursor")
    return offset


def _answer(hit: Hit) -> HitAnswer:
    aligned = None if hit.alignment is None else round(hit.alignment, 6)
    return HitAnswer(
        rank=hit.rank,
        score=round(hit.score, 6),
        alignment=aligned,
        folded=hit.folded,
        **photo_facts(hit),
    )


def photo_facts(photo: Hit | PhotoRecord) -> dict[str, Any]:
    """What is told of a photograph; its path is below its root."""
    return {
        "id": photo.photo_id,
        "path": plain(_below(photo.path, photo.root)),
        "root": RootAnswer(id=photo.root_id, name=plain(photo.root.name)),
        "width": photo.width,
        "height": photo.height,
        "taken_at": None if photo.taken_at is None else photo.taken_at.isoformat(),
        "file_date": None if photo.file_date is None else photo.file_date.isoformat(),
        "captions": [plain(caption) for caption in photo.captions],
        "online": photo.online,
    }


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
