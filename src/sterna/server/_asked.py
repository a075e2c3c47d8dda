"""What is asked, as JSON; a name that is not known is refused."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "EmbedRequest",
    "ExplainRequest",
    "FilterShape",
    "GoneRequest",
    "JobRequest",
    "LoginRequest",
    "RankRequest",
    "SearchRequest",
    "Short",
    "WeightedPart",
    "written",
]

_MOST_DIM = 8192  # numbers of a vector
_ROW = "<f4"
_LONGEST_PATH = 4096  # letters


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL is no text")
    return text


Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=100_000), AfterValidator(_no_nul)]
Short: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_no_nul)]
Url: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        description="The address of an image on the public Internet, where the service may fetch one.",
    ),
]
PhotoId: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 63)]
Numbers: TypeAlias = Annotated[list[float], Field(min_length=1, max_length=_MOST_DIM, fail_fast=True)]
Encoded: TypeAlias = Annotated[str, Field(min_length=4, max_length=_MOST_DIM * 6)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class _Operand(_Asked):
    text: Text | None = Field(default=None, description="A sentence.")
    photo: PhotoId | None = Field(default=None, description="The id of a photograph of the library.")
    vector: Numbers | Encoded | None = Field(
        default=None, description="A vector, as numbers or as base64 of little-endian float32."
    )

    @property
    def kinds(self) -> int:
        """How many of the three were given."""
        return sum(value is not None for value in (self.text, self.photo, self.vector))

    def numbers(self) -> NDArray[np.float32] | None:
        """The vector, `None` where none was given."""
        if self.vector is None or isinstance(self.vector, list):
            return None if self.vector is None else np.array(self.vector, np.float64).astype(np.float32)
        return np.frombuffer(base64.b64decode(self.vector), _ROW).astype(np.float32)

    @model_validator(mode="after")
    def _decodes(self) -> _Operand:
        if isinstance(self.vector, str):
            try:
                length = len(base64.b64decode(self.vector, validate=True))
            except (binascii.Error, ValueError):
                raise ValueError("vector: text has to be base64") from None
            if length == 0 or length % 4:
                raise ValueError(f"vector: {length} bytes are no float32 numbers of four bytes each")
        return self


class WeightedPart(_Operand):
    """A sentence, a photograph or a vector, and how much it counts."""

    weight: float = Field(default=1.0, ge=0, le=1000)

    @model_validator(mode="after")
    def _one(self) -> WeightedPart:
        if self.kinds != 1:
            raise ValueError("one of text, photo and vector is needed")
        return self


class FilterShape(_Asked):
    """Which photographs may answer; see `Library.search`."""

    folder: Short | None = None
    after: Short | None = Field(
        default=None, description="A year, month or day: 2019, 2019-05 or 2019-05-31."
    )
    before: Short | None = None
    orientation: Literal["landscape", "portrait", "square"] | None = None
    min_size: int | None = Field(default=None, ge=1, lt=1 << 31, description="Pixels of the longer side.")
    max_size: int | None = Field(default=None, ge=1, lt=1 << 31)
    name: Short | None = None
    caption: Short | None = None


class SearchRequest(_Operand):
    """A query: a sentence, a photograph, a vector, an image that is sent or fetched, or a sum of them."""

    image_url: Url | None = None
    plus: list[WeightedPart] = Field(default=[], max_length=1000)
    minus: list[WeightedPart] = Field(default=[], max_length=1000)
    k: int = Field(default=10, ge=1, description="Hits of a page.")
    min_score: float | Literal["model"] | None = Field(
        default="model",
        description='The least score, or null for none. Left out, or "model": what the model says is needed, '
        "of a sentence alone; a photograph, a vector, an image, and any sum with plus or minus has none.",
    )
    filters: FilterShape = FilterShape()
    exclude_self: bool = False
    rerank: int = Field(
        default=0,
        ge=0,
        description="Read so many of the first again, and order them by how well regions fit words.",
    )
    fold: bool = Field(
        default=False,
        description="Of photographs that look the same find the best alone, with how many it stands for "
        "(`folded`); among the best 2,000.",
    )
    model: Short | None = Field(default=None, description="The name or fingerprint of one of /api/models.")
    cursor: Short | None = Field(default=None, description="`next` of the page before, with the same query.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "two dogs in the snow", "k": 5, "filters": {"after": "2019"}}]
        }
    )


class EmbedRequest(_Asked):
    """Texts to embed; images come as files of a form, or one by its address."""

    texts: list[Text] = Field(default=[], max_length=10_000)
    image_url: Url | None = None
    encoding: Literal["numbers", "base64"] = "numbers"
    model: Short | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"texts": ["a dog", "the sea"], "encoding": "base64"}]}
    )


class RankRequest(_Asked):
    """Texts to rank by how well they fit an image: one of the library, an uploaded one, or one elsewhere."""

    texts: list[Text] = Field(min_length=1, max_length=10_000)
    photo: PhotoId | None = None
    image_url: Url | None = None
    k: int = Field(default=10, ge=1)
    model: Short | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["a dog", "a cat"], "photo": 1}]})


class GoneRequest(_Asked):
    """Ids of photographs that somebody is looking at."""

    ids: list[PhotoId] = Field(max_length=10_000, fail_fast=True)

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [1, 7]}]})


class ExplainRequest(_Asked):
    """A sentence to be looked for in a photograph; `grid` is the number of cells of a side."""

    text: Text
    grid: int = Field(default=8, ge=2, le=12, description="The model looks about grid * grid / 2 times.")
    model: Short | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "a dog in the snow", "grid": 8}]})


def _root(value: object) -> object:
    """A folder as it is named in a request: refused here in one sentence, whatever is wrong with it."""
    path = isinstance(value, str) and 1 <= len(value) <= _LONGEST_PATH and "\0" not in value
    number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
    if not path and not number:
        raise ValueError(
            f"the path of a folder ({_LONGEST_PATH:,} letters at most) or the id of one of the library "
            "is needed"
        )
    return value


Folder: TypeAlias = Annotated[
    Annotated[str, Field(min_length=1, max_length=_LONGEST_PATH)] | PhotoId, BeforeValidator(_root)
]


class JobRequest(_Asked):
    """Folders to bring up to date: paths, or ids of roots; none means all."""

    roots: list[Folder] = Field(default=[], max_length=100)

    model_config = ConfigDict(json_schema_extra={"examples": [{"roots": []}]})


class LoginRequest(_Asked):
    """The token that a person typed."""

    token: str = Field(max_length=1000)

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "TOKEN"}]})  # nosec B105 - an example


def written(vectors: NDArray[np.float32], encoding: str) -> list[list[float] | str]:
    """Vectors [N, E] as they are answered: lists of numbers, or base64."""
    if encoding == "base64":
        return [base64.b64encode(row.astype(_ROW).tobytes()).decode("ascii") for row in vectors]
    return [row.tolist() for row in vectors]
