"""Flickr8k's and Flickr30k's own layout: `NAME.jpg#K<TAB>caption` and lists of names for the splits.

Hodosh, Young, Hockenmaier: Framing Image Description as a Ranking Task, 2013; Young et al., 2014.
"""

from __future__ import annotations

import re
from pathlib import Path

from sterna.data._captioned import CaptionedImages
from sterna.data._collect import TEXT_FOLDERS, Collector, Source
from sterna.data._photographs import Photographs
from sterna.data._text import is_damaged, read_lines, start_of
from sterna.errors import DataError

__all__ = ["claims", "read"]

_TOKEN_FILE = re.compile(r".*\.token(\.txt)?|captions(\.token)?\.txt", re.IGNORECASE)
_ROW = re.compile(r"[^\t\n]+#\d+\t")
_SPLIT_LIST = re.compile(r"(?:flickr_?\d+k(?:\w*)?[._-])?([\w-]+?)[_-]?images\.txt", re.IGNORECASE)
_BARE_SPLIT_LIST = re.compile(r"(?:flickr_?\d+k[._-])?(train|dev|val|test)\.txt", re.IGNORECASE)


def claims(path: Path) -> bool:
    """Whether `path` is a caption file of this kind or a folder with one."""
    return bool(_token_files(path))


def read(source: Source) -> CaptionedImages:
    """Read captions and split lists; ids are `NAME.jpg` and `NAME.jpg#K`.

    Split lists lie beside the caption file or in the folder: `trainImages.txt`, `Flickr_8k.devImages.txt` and so on
    (the split's name is what stands before `Images`), or `train.txt`, `val.txt`, `test.txt`.
    """
    files = _token_files(source.path)
    if not files:
        raise DataError(f"{source.path}: no caption file with lines NAME.jpg#K<TAB>caption found")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{source.path}: several caption files ({names}); point at one of them")
    collector = Collector(source, format="flickr")
    photographs = source.photographs()
    _read_captions(collector, files[0], photographs)
    for split, file in _split_lists(files[0], source.folder):
        _read_split(collector, split, file, photographs)
    return collector.finish()


def _token_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if _ROW.match(start_of(path)) else []
    for folder in (path, *(path / name for name in TEXT_FOLDERS)):
        if not folder.is_dir():
            continue
        files = [
            file for file in sorted(folder.iterdir()) if _TOKEN_FILE.fullmatch(file.name) and file.is_file()
        ]
        files = [file for file in files if ".lemma." not in file.name.lower() and _ROW.match(start_of(file))]
        if files:
            return files
    return []


def _split_lists(captions: Path, folder: Path) -> list[tuple[str, Path]]:
    lists: dict[Path, str] = {}
    for where in dict.fromkeys((folder, captions.parent)):
        for file in sorted(where.iterdir()):
            match = _SPLIT_LIST.fullmatch(file.name) or _BARE_SPLIT_LIST.fullmatch(file.name)
            if match and file.is_file():
                lists[file] = match[1].lower()
    return [(split, file) for file, split in lists.items()]


def _read_captions(collector: Collector, file: Path, photographs: Photographs) -> None:
    for number, line in read_lines(file):
        where = collector.where(file, number)
        key, tab, text = line.partition("\t")
        name, _, index = key.strip().rpartition("#")
        if not (tab and name and index.isdecimal()) or is_damaged(key):
            collector.problem(where, "not a line NAME.jpg#K<TAB>caption")
            continue
        position = collector.image(name, where, photographs=photographs)
        if position is not None:
            collector.caption(position, text, where, caption_id=f"{name}#{int(index)}")


def _read_split(collector: Collector, split: str, file: Path, photographs: Photographs) -> None:
    for number, line in read_lines(file):
        where = collector.where(file, number)
        name = line.strip()
        if "." not in name:  # Flickr30k Entities lists bare numbers
            name += ".jpg"
        position = collector.image(name, where, photographs=photographs)
        if position is not None:
            collector.put_in_split(position, split, where)
