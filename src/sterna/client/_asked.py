"""What callers ask for, checked, and as a service takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlencode

from sterna.errors import PhotoError, UsageError, check_finite, check_whole
from sterna.files import system_reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Operand: TypeAlias = str | int | NDArray[Any]

__all__ = [
    "address",
    "as_id",
    "content",
    "filters",
    "least_score",
    "operand",
    "photo_of",
    "weighed",
    "with_query",
]


def as_id(name: str, number: object) -> int:
    """The id of a photograph or job; raise `UsageError` where it is none."""
    return check_whole(name, number, least=0)


def with_query(path: str, asked: Mapping[str, object]) -> str:
    """An address with what is asked of it; what is `None` is left out."""
    told = {name: _written(value) for name, value in asked.items() if value is not None}
    return f"{path}?{urlencode(told, errors='surrogateescape')}" if told else path


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def filters(
    *,
    folder: str | Path | None,
    after: str | date | None,
    before: str | date | None,
    orientation: str | None,
    min_size: int | None,
    max_size: int | None,
    name: str | None,
    caption: str | None,
) -> dict[str, object]:
    """The filters that are given, as a service takes them; raise `UsageError` for a size that is none."""
    given = {
        "folder": None if folder is None else str(folder),
        "after": None if after is None else str(after),
        "before": None if before is None else str(before),
        "orientation": orientation,
        "min_size": _size("min_size", min_size),
        "max_size": _size("max_size", max_size),
        "name": name,
        "caption": caption,
    }
    return {key: value for key, value in given.items() if value is not None}


def least_score(score: object) -> float | str | None:
    """The least score, "model" or `None` for none; raise `UsageError` for anything else."""
    if score is None or (isinstance(score, str) and score == "model"):
        return score
    return check_finite("min_score", score)


def _size(name: str, pixels: object) -> int | None:
    return None if pixels is None else check_whole(name, pixels, least=1)


def address(name: str, url: object) -> str | None:
    """The address of an image elsewhere, `None` for none; raise `UsageError` where it is no text."""
    if url is not None and not isinstance(url, str):
        raise UsageError(
            f"{name}={url!r}: the address of an image is needed, such as https://example.org/a.jpg"
        )
    return url


def operand(what: Operand | None) -> dict[str, Any]:
    """What is looked for; raise `UsageError` where it is no sentence, id or vector."""
    if what is None:
        return {}
    if isinstance(what, str):
        return {"text": what}
    if isinstance(what, Integral) and not isinstance(what, bool):
        return {"photo": as_id("query", what)}
    if getattr(what, "ndim", 0) == 1 and hasattr(what, "tolist"):
        return {"vector": [check_finite("a number of the vector", number) for number in what.tolist()]}
    raise UsageError(f"{what!r}: a sentence, the id of a photograph or a vector is needed")


def weighed(*, plus: object, minus: object) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is added and what is taken away; what has a weight below 0 changes sides.

    Raises `UsageError` for anything but pairs (weight, what).
    """
    added, taken = _pairs("plus", plus), _pairs("minus", minus)
    return (
        [part for part in added if part["weight"] >= 0] + _turned(taken),
        [part for part in taken if part["weight"] >= 0] + _turned(added),
    )


def _turned(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**part, "weight": -part["weight"]} for part in parts if part["weight"] < 0]


def _pairs(name: str, pairs: object) -> list[dict[str, Any]]:
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise UsageError(f"{name}: a list of (weight, what) is needed, such as [(0.5, 'sunset')]")
    found: list[dict[str, Any]] = []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise UsageError(f"{name}: {pair!r} is no (weight, what), such as (0.5, 'sunset')")
        found.append({"weight": check_finite(f"{name}: weight", pair[0]), **operand(pair[1])})
    return found


def photo_of(photo: Any) -> tuple[int | None, list[bytes]]:
    """A photograph as the id of one of the library, or as the bytes of one that is here and is sent."""
    if isinstance(photo, Integral) and not isinstance(photo, bool):
        return as_id("photo", photo), []
    return None, [content(photo)]


def content(image: object) -> bytes:
    """The bytes of a photograph; raise `PhotoError` where its file cannot be read."""
    if isinstance(image, bytes):
        return image
    if not isinstance(image, str | Path):
        raise UsageError(f"{image!r}: no photograph; a path or a file's bytes are needed")
    try:
        return Path(image).read_bytes()
    except (OSError, ValueError) as error:
        reason = system_reason(error) if isinstance(error, OSError) else "no such file"
        raise PhotoError(reason, path=str(image)) from error
