"""Tables of captions, one caption a row: CSV, TSV and Parquet with named columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sterna.data import _rows
from sterna.data._captioned import CaptionedImages
from sterna.data._collect import Collector
from sterna.data._photographs import Photographs
from sterna.data._source import Source, matching_files
from sterna.data._text import is_damaged
from sterna.errors import DataError, MissingExtraError

__all__ = ["claims", "read"]

# What a column may be called where it is not said; the first that is there is taken.
_KNOWN = {
    "image": (
        *("image", "image_path", "imagepath", "image_name", "image_file", "filename", "file_name"),
        *("filepath", "file_path", "file", "path", "photo", "img"),
    ),
    "caption": ("caption", "text", "sentence", "description", "comment", "captions", "raw"),
    "image_id": ("image_id", "imgid"),
    "caption_id": ("caption_id", "sentid"),
    "id": ("id",),
    "split": ("split", "subset", "partition"),
}
_NEEDED = ("image", "caption")
_SPLIT_NAME = re.compile(r"(?:.*[._-])?(train|dev|val|valid|validation|test)", re.IGNORECASE)


@dataclass(frozen=True)
class _Part:
    """One file, its split, and its rows with their lines."""

    file: Path
    split: str | None
    rows: list[tuple[int, dict[str, str]]]

    def differs(self, what: str) -> bool:
        cells = [row[what] for _, row in self.rows if row.get(what)]
        return len(set(cells)) == len(cells)


def claims(path: Path) -> bool:
    """Whether `path` is a table with columns for images and captions, or a folder with one."""
    return bool(matching_files(path, _rows.is_table if path.is_file() else _looks_right))


def read(source: Source) -> CaptionedImages:
    """Read the rows of one table, or of one table a split (`train.csv`, `captions_dev.tsv`).

    Ids are those of the columns `image_id` and `caption_id` where there are such, and of a column `id`, which
    is the captions' where no two rows of a file share one and the images' otherwise. Else an image's id is
    its name as written (of an absolute path, what follows the folder of photographs), and a caption's is
    `NAME#K` for the image's K-th row, from 0. Where several files use one id for different things, as when
    each counts from 1, `SPLIT/` is put before the ids. A row without a caption adds its image alone.
    """
    named = source.columns or source.path.is_file()
    files = matching_files(source.path, _rows.is_table if named else _looks_right)
    if not files:
        raise DataError(
            f"{source.path}: no CSV, TSV or Parquet file with columns for images and captions found"
        )
    splits = [_split_of(file) for file in files] if len(files) > 1 else [None]
    if len(files) > 1 and (None in splits or len(set(splits)) < len(files)):
        names = ", ".join(file.name for file in files)
        raise DataError(f"{source.path}: there are several tables ({names}); point at one of them")
    collector = Collector(source, kind="table")
    photographs = source.photographs()
    parts = [
        _load(collector, file, split=split, named=source.columns or {})
        for file, split in zip(files, splits, strict=True)
    ]
    _settle_ids(parts)
    for part in parts:
        _read_part(collector, part, photographs)
    return collector.finish()


def _looks_right(file: Path) -> bool:
    if not _rows.is_table(file):
        return False
    try:
        header = _rows.header(file)
    except MissingExtraError:
        return True  # reading it will say what to install
    except DataError:
        return False
    return all(_choose(header, what) for what in _NEEDED)


def _split_of(file: Path) -> str | None:
    match = _SPLIT_NAME.fullmatch(file.stem)
    return match[1].lower() if match else None


def _choose(header: list[str], what: str) -> str | None:
    folded = {name.strip().lower().replace(" ", "_"): name for name in reversed(header)}
    return next((folded[name] for name in _KNOWN[what] if name in folded), None)


def _columns(file: Path, named: Mapping[str, str]) -> dict[str, str]:
    """The names of the columns to read by what they hold."""
    header = _rows.header(file)
    present = ", ".join(header)
    for what, name in named.items():
        if what not in _KNOWN:
            raise DataError(f"columns: {what!r} is not something that is read; known: {', '.join(_KNOWN)}")
        if name not in header:
            raise DataError(f"{file}: no column {name!r} for {what}; its columns are {present}")
    chosen = {what: named.get(what) or _choose(header, what) for what in _KNOWN}
    for what in _NEEDED:
        if chosen[what] is None:
            raise DataError(
                f"{file}: no column holds {what}, going by the names ({present}); say which with columns"
            )
    return {what: name for what, name in chosen.items() if name is not None}


def _load(collector: Collector, file: Path, *, split: str | None, named: Mapping[str, str]) -> _Part:
    def problem(line: int, what: str) -> None:
        collector.problem(collector.where(file, line), what)

    return _Part(file, split, list(_rows.rows(file, _columns(file, named), problem)))


def _settle_ids(parts: Sequence[_Part]) -> None:
    """Make a column `id` the images' or the captions', and put `SPLIT/` before ids of several meanings."""
    id_is = "caption_id" if all(part.differs("id") for part in parts) else "image_id"
    for part in parts:
        for _, row in part.rows:
            row.setdefault(id_is, row.get("id", ""))
    for what, of in (("image_id", ("image",)), ("caption_id", ("image", "caption"))):
        if _clash(parts, what, of):
            for part in parts:
                for _, row in part.rows:
                    if row.get(what):
                        row[what] = f"{part.split}/{row[what]}"


def _clash(parts: Sequence[_Part], what: str, of: tuple[str, ...]) -> bool:
    met: dict[str, list[str]] = {}
    for part in parts:
        own = {row[what]: [row[name] for name in of] for _, row in part.rows if row.get(what)}
        if any(met.setdefault(identity, thing) != thing for identity, thing in own.items()):
            return True
    return False


def _read_part(collector: Collector, part: _Part, photographs: Photographs) -> None:
    for line, row in part.rows:
        name, where = photographs.relative(row["image"]), collector.where(part.file, line)
        if not name or is_damaged(name):
            collector.problem(where, "names no photograph")
            continue
        image_id = row.get("image_id") or None
        position = collector.image(name, where, photographs=photographs, image_id=image_id)
        if position is None:
            continue
        if belongs := row.get("split") or part.split:
            collector.put_in_split(position, belongs, where)
        if row["caption"]:
            number = collector.number(position)
            caption_id = row.get("caption_id") or f"{image_id or name}#{number}"
            collector.caption(position, row["caption"], where, caption_id=caption_id)
