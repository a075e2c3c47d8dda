"""What other people call an image or a caption, and what the data calls it."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from sterna.errors import DataError, UsageError
from sterna.files import read_json, system_reason

if TYPE_CHECKING:
    from sterna.features._extract import Captioned
    from sterna.features._foreign import Kind

__all__ = ["Names", "cocos_number", "read_table", "unique"]

_T = TypeVar("_T")
_Table = Mapping[str, str]
_NUMBER = re.compile(r"(?:.*_)?0*(\d+)")
_PADDED = re.compile(r"(?:.*_)?\d{12}")  # as COCO writes the numbers of its images


class Names:
    """From names of a source to ids: through a map of the user's, then the data, where there are such.

    Each can be looked up in several ways (by id, by file name, by number); which one a source means is
    decided once, by its first names.

    Arguments:
        kind: "images" or "captions".
        ids: a file that maps names: JSON, CSV, one id a line, or Karpathy's or COCO's JSON.
        data: whose ids are wanted.
        by: the way in which the data, or else the map, is looked up, where it is not to be found out: a key
            of its tables.
    """

    def __init__(
        self, kind: Kind, *, ids: Path | None = None, data: Captioned | None = None, by: str | None = None
    ) -> None:
        self._stages: list[tuple[str, dict[str, _Table]]] = []
        if ids is not None:
            self._stages.append((str(ids), _file_tables(ids, kind)))
        if data is not None:
            tables = _image_tables(data) if kind == "images" else _caption_tables(data)
            self._stages.append(("the data", tables))
        if by is not None:
            self._settle(by, kind)
        self._chosen: list[_Table] = []

    def _settle(self, by: str, kind: Kind) -> None:
        """Look up the last stage that knows it in this way alone."""
        for place, (where, tables) in reversed(list(enumerate(self._stages))):
            if by in tables:
                self._stages[place] = (where, {by: tables[by]})
                return
        if not self._stages:
            raise UsageError(f"names={by!r}: says how the data calls its {kind}, and no data is given")
        known = dict.fromkeys(key for _, tables in self._stages for key in tables)
        raise UsageError(f"names={by!r}: names of {kind} are one of {', '.join(known)}")

    def decide(self, names: Sequence[str], *, source: Path) -> None:
        """Choose the way of looking up by which most of a source's first names are found.

        Raises `DataError` where there is none, `UsageError` where two ways find as many and differ.
        """
        self._chosen = []
        for where, tables in self._stages:
            known = [mapped for name in names if (mapped := self(name)) is not None]
            hits = {
                by: sum(_look_up(table, one) is not None for one in known) for by, table in tables.items()
            }
            best = max(hits.values(), default=0)
            if not best:
                examples = [next(iter(table)) for table in tables.values() if table][:3]
                raise DataError(
                    f"{source}: none of its first {len(names)} names ({', '.join(map(repr, names[:3]))}) is "
                    f"known to {where} (which has {', '.join(map(repr, examples))}); give a map as ids"
                )
            ways = [by for by, count in hits.items() if count == best]
            for by in ways[1:]:
                if any(_look_up(tables[ways[0]], one) != _look_up(tables[by], one) for one in known):
                    raise UsageError(
                        f"{source}: its names can be taken for {ways[0]} or {by} of {where}; "
                        "say which with names"
                    )
            self._chosen.append(tables[ways[0]])

    def __call__(self, name: str) -> str | None:
        """The id of what the source calls `name`, or `None` where it has none."""
        found: str | None = name
        for table in self._chosen:
            found = None if found is None else _look_up(table, found)
        return None if found is None else unicodedata.normalize("NFC", found)  # as the data has its ids


def _look_up(table: _Table, name: str) -> str | None:
    composed = unicodedata.normalize("NFC", name)  # file systems have names in either form
    for spelling in (name, composed, PurePosixPath(composed).name, name.lstrip("0") or "0"):
        if spelling in table:
            return table[spelling]
    return None


def _image_tables(data: Captioned) -> dict[str, _Table]:
    pairs = list(zip(data.image_ids, data.paths, strict=True))
    return {
        "id": {identity: identity for identity, _ in pairs},
        "file": unique((path.name, identity) for identity, path in pairs),
        "stem": unique((path.stem, identity) for identity, path in pairs),
        "number": unique((cocos_number(path.stem), identity) for identity, path in pairs),
    }


def _caption_tables(data: Captioned) -> dict[str, _Table]:
    ids = list(data.caption_ids)
    return {
        "id": {one: one for one in ids},
        "stem": unique((_without_suffix(one), one) for one in ids),
        "position": {str(place): one for place, one in enumerate(ids)},
    }


def _without_suffix(caption_id: str) -> str:
    image, mark, number = caption_id.rpartition("#")
    return f"{PurePosixPath(image).stem}#{number}" if mark else caption_id


def cocos_number(stem: str) -> str | None:
    """The number at the end of a file's name as COCO writes it, without zeros in front."""
    return _NUMBER.sub(r"\1", stem) if _PADDED.fullmatch(stem) else None


def unique(pairs: Iterable[tuple[str | None, _T]]) -> dict[str, _T]:
    """Names that mean one thing; those that mean several, and `None`, are left out."""
    table: dict[str, _T] = {}
    several = set()
    for name, meant in pairs:
        if name is not None and table.setdefault(name, meant) != meant:
            several.add(name)
    return {name: meant for name, meant in table.items() if name not in several}


def _file_tables(path: Path, kind: Kind) -> dict[str, _Table]:
    if path.suffix.lower() != ".json":
        rows = list(read_table(path))
        if all(len(cells) == 1 for _, cells in rows):
            return {"line": {str(number): cells[0] for number, (_, cells) in enumerate(rows)}}
        return {"map": {cells[0]: cells[1] for _, cells in rows if len(cells) >= 2}}
    value = read_json(path, error=DataError)
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        return _listed_images(path, value["images"], kind)
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return {"position": {str(place): str(one) for place, one in enumerate(value)}}
    if isinstance(value, dict) and all(isinstance(one, str | int) for one in value.values()):
        return {"map": {name: str(one) for name, one in value.items()}}
    raise DataError(
        f"{path}: is no map of names; an object of names and ids, a list of ids, or Karpathy's or COCO's "
        "JSON is needed"
    )


def _listed_images(path: Path, images: list[Any], kind: Kind) -> dict[str, _Table]:
    """The tables of Karpathy's and COCO's JSON: from numbers to file names, or `FILE#K` of a caption."""
    tables: dict[str, list[tuple[str, str]]] = {}
    for place, image in enumerate(images):
        name = image.get("filename", image.get("file_name")) if isinstance(image, dict) else None
        if not isinstance(name, str):
            raise DataError(f"{path}: images[{place}] has no 'filename'")
        if kind == "captions":
            for number, sentence in enumerate(image.get("sentences") or []):
                known = sentence.get("sentid") if isinstance(sentence, dict) else None
                if known is not None:
                    tables.setdefault("sentid", []).append((str(known), f"{name}#{number}"))
            continue
        keys = [(key, image[key]) for key in ("imgid", "cocoid", "id") if image.get(key) is not None]
        for key, value in (
            *keys,
            ("position", place),
            ("filename", name),
            ("stem", PurePosixPath(name).stem),
        ):
            tables.setdefault(key, []).append((str(value), name))
    return {key: unique(pairs) for key, pairs in tables.items()}


def read_table(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV or TSV file with their numbers; a first row of column names is left out.

    Raises `DataError`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{path}: {system_reason(error)}") from None
    first = text.partition("\n")[0]
    delimiter = max(",\t;", key=first.count)
    rows: Callable[[], Iterator[list[str]]] = lambda: csv.reader(  # noqa: E731
        io.StringIO(text, newline=""), delimiter=delimiter
    )
    number = 0
    try:
        for cells in rows():
            number += 1
            stripped = [cell.strip() for cell in cells]
            is_header = number == 1 and len(cells) > 1 and stripped[0].lower() in _HEADERS
            if any(stripped) and not is_header:
                yield number, stripped
    except csv.Error as error:
        raise DataError(f"{path}:{number + 1}: not a row ({error})") from None


_HEADERS = {
    "name",
    "index",
    "id",
    "image",
    "image_id",
    "imgid",
    "cocoid",
    "filename",
    "file_name",
    "caption",
    "key",
}
