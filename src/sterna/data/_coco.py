"""COCO's captions: `captions.json`, or one `captions_*.json` a split, as in 2014's and 2017's annotations.

Chen et al.: Microsoft COCO Captions: Data Collection and Evaluation Server, 2015.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sterna.data._captioned import CaptionedImages
from sterna.data._collect import Collector
from sterna.data._source import Source, matching_files
from sterna.data._text import read_foreign_json, start_of
from sterna.errors import DataError

__all__ = ["claims", "read"]

_NAME = re.compile(r"captions(?:[_-](?P<part>.+))?\.json", re.IGNORECASE)
_YEAR = re.compile(r"[_-]?20\d\d$")
_LOOKS = re.compile(r'"(info|images|annotations|licenses)"\s*:')


@dataclass(frozen=True)
class _Part:
    """One file: its split, the name of its own folder of photographs, and what it holds."""

    file: Path
    split: str | None
    folder: str | None
    images: list[object]
    annotations: list[object]

    def ids(self, entries: Iterable[object]) -> set[str]:
        found = (entry.get("id") for entry in entries if isinstance(entry, dict))
        return {str(one) for one in found if one is not None}


def claims(path: Path) -> bool:
    """Whether `path` is a JSON file of this kind or a folder with one."""
    return bool(matching_files(path, _looks_right if path.is_file() else _is_captions_file))


def read(source: Source) -> CaptionedImages:
    """Read images and annotations; ids are COCO's own.

    The split is what stands after `captions_` without a year (`captions_val2014.json`: `val`). Photographs
    are looked for in a folder of the split's name (`val2014`, `images/val2014`, `val`) before the usual ones.
    Where several files count images or annotations from the same number, `SPLIT/` is put before the ids.
    """
    files = matching_files(source.path, _looks_right if source.path.is_file() else _is_captions_file)
    if not files:
        raise DataError(
            f"{source.path}: no captions.json or captions_*.json with images and annotations found"
        )
    parts = [_load(file) for file in files]
    splits = [part.split for part in parts]
    if len(set(splits)) < len(splits):
        names = ", ".join(file.name for file in files)
        raise DataError(
            f"{source.path}: several files of captions for one split ({names}); point at one of them"
        )
    collector = Collector(source, kind="coco")
    clash = _overlap([part.ids(part.images) for part in parts])
    caption_clash = clash or _overlap([part.ids(part.annotations) for part in parts])
    for part in parts:
        _read_part(collector, source, part, prefix=clash, caption_prefix=caption_clash)
    return collector.finish()


def _is_captions_file(file: Path) -> bool:
    return bool(_NAME.fullmatch(file.name)) and _looks_right(file)


def _looks_right(file: Path) -> bool:
    start = start_of(file)
    return file.suffix.lower() == ".json" and bool(_LOOKS.search(start)) and '"sentences"' not in start


def _load(file: Path) -> _Part:
    value = read_foreign_json(file)
    lists = [value.get(name) if isinstance(value, dict) else None for name in ("images", "annotations")]
    for name, entries in zip(("images", "annotations"), lists, strict=True):
        if not isinstance(entries, list):
            raise DataError(f"{file}: holds no list named {name!r}")
    match = _NAME.fullmatch(file.name)
    folder = match["part"] if match else None
    split = _YEAR.sub("", folder) or folder if folder else None
    images, annotations = lists
    return _Part(file, split, folder, images or [], annotations or [])


def _overlap(sets: list[set[str]]) -> bool:
    return sum(map(len, sets)) > len(set().union(*sets))


def _read_part(
    collector: Collector, source: Source, part: _Part, *, prefix: bool, caption_prefix: bool
) -> None:
    folders = [name for name in (part.folder, part.split) if name]
    first = tuple(place for name in dict.fromkeys(folders) for place in (name, f"images/{name}"))
    photographs = source.photographs(first=first)
    before = f"{part.split}/" if prefix else ""
    before_caption = f"{part.split}/" if caption_prefix else ""
    positions: dict[str, int | None] = {}
    for number, image in enumerate(part.images):
        where = collector.where(part.file, f"images[{number}]")
        fields = image if isinstance(image, dict) else {}
        name, identity = fields.get("file_name"), fields.get("id")
        if identity is None or not isinstance(name, str):
            collector.problem(where, "has no 'id' or no 'file_name'")
            continue
        key = str(identity)
        if key in positions:
            collector.problem(where, f"the image id {key} was used before in this file")
            continue
        position = collector.image(name, where, photographs=photographs, image_id=before + key)
        positions[key] = position
        if position is not None and part.split is not None:
            collector.put_in_split(position, part.split, where)
    for number, annotation in enumerate(part.annotations):
        where = collector.where(part.file, f"annotations[{number}]")
        fields = annotation if isinstance(annotation, dict) else {}
        owner, text, identity = fields.get("image_id"), fields.get("caption"), fields.get("id")
        if owner is None or not isinstance(text, str):
            collector.problem(where, "has no 'image_id' or no 'caption'")
        elif str(owner) not in positions:
            collector.problem(where, f"names the image id {owner}, which is not among the images")
        elif (position := positions[str(owner)]) is not None:
            caption_id = before_caption + (f"{owner}#{number}" if identity is None else str(identity))
            collector.caption(position, text, where, caption_id=caption_id)
