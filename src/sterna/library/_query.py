"""What is asked: operands and their weights, and the filters on paths, dates, sizes and words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError, is_whole
from sterna.library._arguments import check_filters, checked_vector, weighted
from sterna.library._words import bytes_of, folded

if TYPE_CHECKING:
    from sterna.images import PhotoSource

    Operand: TypeAlias = str | PhotoSource | int | NDArray[Any]

__all__ = [
    "Filters",
    "Orientation",
    "Sentence",
    "Weighed",
    "as_photo",
    "names_a_photo",
    "operands",
    "read_date",
]

Orientation = Literal["landscape", "portrait", "square"]
"""The shape of a photograph; it is square where no side is more than a twentieth longer than the other."""

_NS = 1_000_000_000
_LAST_NS = (1 << 63) - 1
_WIDER, _HIGHER = "photos.width * 20 > photos.height * 21", "photos.height * 20 > photos.width * 21"
_SHAPES = {"landscape": _WIDER, "portrait": _HIGHER, "square": f"NOT ({_WIDER} OR {_HIGHER})"}
_SAYS = (
    "((photos.captions != '[]' AND says(photos.captions, ?)) OR EXISTS (SELECT 1 FROM sidecars "
    "WHERE sidecars.root = files.root AND sidecars.path IN (CAST(files.path || '.txt' AS BLOB), "
    "text_beside(files.path)) AND says(sidecars.captions, ?)))"
)


class Sentence(str):
    """Text of a query that is a sentence, even where a file has its name."""

    __slots__ = ()


def names_a_photo(operand: Operand) -> bool:
    """Whether an operand is a photograph: all but text, and text that is the name of an existing file."""
    if not isinstance(operand, str):
        return True
    if isinstance(operand, Sentence):
        return False
    try:
        return Path(operand).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a NUL
        return False


def _is_photo_file(query: str) -> bool:
    """Whether text is the name of an existing file that is named as a photograph."""
    if not names_a_photo(query):  # nearly every sentence; what is imported below is slow
        return False
    from sterna.images import PHOTO_SUFFIXES

    return Path(query).suffix.lower() in PHOTO_SUFFIXES


@dataclass(frozen=True)
class Weighed:
    """One operand: its weight, and either a sentence, or a photograph, its id, or a vector [E]."""

    weight: float
    text: str | None
    photo: PhotoSource | int | NDArray[np.float32] | None


def operands(
    query: Operand | None,
    image: PhotoSource | int | NDArray[Any] | None,
    *,
    plus: Sequence[tuple[float, Operand]],
    minus: Sequence[tuple[float, Operand]],
) -> list[Weighed]:
    """All operands of a search; raise `UsageError` for none, an empty one, or one without a fit weight."""
    parts: list[Weighed] = []
    if isinstance(query, str) and not _is_photo_file(query):
        parts.append(Weighed(1.0, query, None))
    elif query is not None:
        parts.append(Weighed(1.0, None, as_photo(query)))
    if image is not None:
        parts.append(Weighed(1.0, None, as_photo(image)))
    for sign, pairs in ((1.0, weighted(plus, "plus")), (-1.0, weighted(minus, "minus"))):
        for weight, what in pairs:
            if isinstance(what, str) and not names_a_photo(what):
                parts.append(Weighed(sign * weight, what, None))
            else:
                parts.append(Weighed(sign * weight, None, as_photo(what)))
    if not parts:
        raise UsageError("nothing to search for: give a sentence, a photograph, or both")
    if any(part.text is not None and not part.text.strip() for part in parts):
        raise UsageError("the sentence to search for is empty; describe what the photographs show")
    return parts


def as_photo(operand: Any) -> PhotoSource | int | NDArray[np.float32]:
    """An operand that is no sentence: an id as a number of Python's, a vector of unit length, or as it is."""
    if isinstance(operand, np.ndarray) and operand.ndim:
        return checked_vector(operand)
    if isinstance(operand, bool | np.bool_):
        raise UsageError(f"{operand!r}: no sentence and no photograph; an id is a whole number")
    return int(operand) if is_whole(operand) else operand


def read_date(value: str | date, *, name: str) -> datetime:
    """The first moment, local time, of a year ("2019"), month ("2019-05"), day, time or date object.

    Raises `UsageError` that names the argument.
    """
    if isinstance(value, datetime):
        return value.astimezone().replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    text = str(value).strip()
    for pattern in ("%Y", "%Y-%m", "%Y-%m-%d"):
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    try:
        return read_date(datetime.fromisoformat(text), name=name)
    except ValueError:
        raise UsageError(
            f"{name}={text!r}: not a date; write a year, month or day such as 2019, 2019-05 or 2019-05-31"
        ) from None


@dataclass(frozen=True)
class Filters:
    """Which files may answer.

    Arguments:
        folder: an absolute path, or names of one or more folders that follow each other anywhere in a path,
            from the root's own name on.
        after, before: the first moment that passes, and the first that does not, of a photograph's own date
            or, where it has none, its file's.
        orientation: the photograph's shape.
        min_size, max_size: pixels that its longer side has at least, and at most.
        name: a part of the file's name, or an `fnmatch` pattern of all of it; capitals do not matter.
        caption: a text in one of its sentences, inside it or beside it; capitals do not matter.
    """

    folder: str | Path | None = None
    after: str | date | None = None
    before: str | date | None = None
    orientation: Orientation | None = None
    min_size: int | None = None
    max_size: int | None = None
    name: str | None = None
    caption: str | None = None

    def __post_init__(self) -> None:
        check_filters(
            orientation=(self.orientation, tuple(_SHAPES)),
            sizes={"min_size": self.min_size, "max_size": self.max_size},
            texts={"name": self.name, "caption": self.caption},
        )

    @property
    def empty(self) -> bool:
        """Whether everything passes."""
        return self == Filters()

    def condition(self, roots: Sequence[tuple[int, bytes]]) -> tuple[str, list[Any]]:
        """An SQL condition on `files`, `photos` and `roots` (given: their ids and paths), and its values."""
        _check_dates(self.after, self.before)
        conditions = ["1"]
        values: list[Any] = []
        if self.folder is not None:
            condition, more = _within(self.folder, roots)
            conditions.append(condition)
            values += more
        for name, sign, limit in (("after", ">=", self.after), ("before", "<", self.before)):
            if limit is not None:
                moment = read_date(limit, name=name)
                conditions.append(f"COALESCE(photos.taken_at {sign} ?, files.mtime_ns {sign} ?)")
                values += [moment.isoformat(timespec="seconds"), _nanoseconds(moment)]
        for sign, size in ((">=", self.min_size), ("<=", self.max_size)):
            if size is not None:
                conditions.append(f"MAX(photos.width, photos.height) {sign} ?")
                values.append(min(size, _LAST_NS))
        if self.orientation is not None:
            conditions.append(f"({_SHAPES[self.orientation]})")
        if self.name is not None:
            conditions.append("is_named(files.path, ?)")
            values.append(bytes_of(folded(self.name)))
        if self.caption is not None:
            conditions.append(_SAYS)
            values += [bytes_of(folded(self.caption))] * 2
        return " AND ".join(conditions), values


def _within(folder: str | Path, roots: Sequence[tuple[int, bytes]]) -> tuple[str, list[Any]]:
    text = str(folder)
    if not text.strip():
        raise UsageError("folder is empty; name a folder, such as trips")
    try:
        path = Path(text).expanduser()
        if path.is_absolute() or text.split("/", maxsplit=1)[0] in (".", ".."):
            # links stay in the first: a root that is not there cannot be resolved
            plain, real = os.path.abspath(path), path.resolve()  # noqa: PTH100
            return _below({os.fsencode(plain), os.fsencode(real)}, roots)
        names = b"/" + os.fsencode(path) + b"/"
    except (OSError, RuntimeError, ValueError):  # of a user who is not known; links in circles; a NUL
        raise UsageError(f"folder={text!r}: no folder can have this name") from None
    conditions: list[str] = []
    values: list[Any] = []
    for number, root in roots:
        conditions.append("(files.root = ? AND instr(CAST(? || files.path AS BLOB), ?))")
        values += [number, root[root.rindex(b"/") :] + b"/", names]
    return f"({' OR '.join(conditions) or '0'})", values


def _below(folders: set[bytes], roots: Sequence[tuple[int, bytes]]) -> tuple[str, list[Any]]:
    conditions = ["0"]
    values: list[Any] = []
    for folder in sorted(folders):
        for number, root in roots:
            base = root.rstrip(b"/") + b"/"
            if root == folder or base.startswith(folder.rstrip(b"/") + b"/"):
                conditions.append("files.root = ?")
                values.append(number)
            elif folder.startswith(base):
                prefix = folder[len(base) :] + b"/"
                conditions.append("(files.root = ? AND substr(files.path, 1, ?) = ?)")
                values += [number, len(prefix), prefix]
    return f"({' OR '.join(conditions)})", values


def _check_dates(after: str | date | None, before: str | date | None) -> None:
    """Raise `UsageError` where no moment lies between both."""
    if after is None or before is None:
        return
    if read_date(after, name="after") >= read_date(before, name="before"):
        raise UsageError(
            f"after={str(after)!r} is not earlier than before={str(before)!r}: nothing lies between them"
        )


def _nanoseconds(moment: datetime) -> int:
    try:
        return max(-_LAST_NS, min(_LAST_NS, int(moment.timestamp()) * _NS))
    except (OverflowError, OSError, ValueError):  # years that the system's clock cannot tell
        return _LAST_NS if moment.year > 2000 else -_LAST_NS
