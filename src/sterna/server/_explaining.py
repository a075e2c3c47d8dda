"""`/api/photos/ID/explain`: where a photograph speaks for the words of a sentence."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from sterna.errors import PhotoError
from sterna.explanations import Explanation
from sterna.explanations import explain as look
from sterna.server._asked import ExplainRequest
from sterna.server._body import read_request
from sterna.server._described import PROBLEMS, body
from sterna.server._photos import read, unreadable
from sterna.server._searching import check_texts
from sterna.server._service import service_of

if TYPE_CHECKING:
    from PIL import Image

    from sterna.encoders import Encoder

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["explain"])


class WordAnswer(BaseModel):
    """A word, how much of the score it carries, and its map."""

    word: str
    span: tuple[int, int] = Field(description="Where it begins and ends in the sentence.")
    contribution: float = Field(description="How much the score falls without it.")
    share: float = Field(description="Its part of all contributions, 0 to 1.")
    score: float = Field(description="Of the photograph for the word alone.")
    cells: list[list[float]]

    model_config = ConfigDict(frozen=True)


class ExplainAnswer(BaseModel):
    """Maps of a sentence and its words over a photograph, row by row: positive speaks for it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    model: str
    sentence: str
    method: Literal["occlusion", "alignment"]
    score: float
    area: list[float] = Field(description="Left, top, right and bottom of the maps, 0 to 1.")
    cells: list[list[float]]
    words: list[WordAnswer]
    boxes: list[list[list[float]]] = Field(
        description="Left, top, right and bottom of each cell, in 0 to 1 of the upright photograph."
    )

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"schema": 1, "model": "sterna-base", "sentence": "dog", "method": "occlusion", "score": 0.4,
                 "area": [0, 0, 1, 1], "cells": [[0.1, 0], [0, 0]],
                 "words": [{"word": "dog", "span": [0, 3], "contribution": 0.4, "share": 1, "score": 0.4,
                            "cells": [[0.1, 0], [0, 0]]}],
                 "boxes": [[[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5]], [[0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]]}
            ]
        },
    )  # fmt: skip


@router.post(
    "/api/photos/{photo_id}/explain", response_model=ExplainAnswer, openapi_extra=body(ExplainRequest)
)
async def explain(request: Request, photo_id: int = Path(ge=0, lt=1 << 63, examples=[7])) -> ExplainAnswer:
    """Tell which parts of a photograph speak for a sentence, and for each of its words; takes seconds."""
    service = service_of(request)
    limits = service.settings.limits
    asked, _ = await read_request(request, ExplainRequest, limits=limits)
    check_texts([asked.text], limits=limits)
    model = await service.model(asked.model)
    gone = threading.Event()
    try:
        # the file, and what it is decoded to, are held by one at a time
        async with (
            service.explaining.turn(),
            service.decoded(await read(service, photo_id, to_be="explained")) as image,
        ):
            found = await service.looking.run(_look, image, asked, encoder=model.encoder, gone=gone)
    except PhotoError as error:
        raise unreadable(error.reason, to_be="explained") from None
    finally:
        gone.set()  # whoever asked may have left: nobody waits for the rest
    return ExplainAnswer.model_validate(found.as_json())


class _Gone(Exception):  # noqa: N818 (it is no error)
    """Whoever asked has left."""


def _look(
    image: Image.Image, asked: ExplainRequest, *, encoder: Encoder, gone: threading.Event
) -> Explanation:
    def heed(done: int, total: int) -> None:
        if gone.is_set():
            raise _Gone

    return look(image, asked.text, model=encoder, grid=asked.grid, progress=heed)
