"""Flickr8k's and Flickr30k's own layout: `NAME.jpg#K<TAB>caption` and lists of names for the splits.

Hodosh, Young, Hockenmaier: Framing Image Description as a Ranking Task, 2013; Young et al., 2014.
"""

from __future__ import annotations

import re
from pathlib import Path

from sterna.data._captioned import CaptionedImages
from sterna.data._collect import Collector
from sterna.data._photographs import Photographs
from sterna.data._source import Source, matching_files
from sterna.data._text import is_damaged, read_lines, start_of
from sterna.errors import DataError

__all__ = ["claims", "read"]

_CAPTION_FILE = re.compile(r".*\.token(\.txt)?|captions\.txt", re.IGNORECASE)
_ROW = re.compile(r"^[^\t\n]+#\d+\t", re.MULTILINE)
_SPLIT_LIST = re.compile(r"(?:flickr_?\d+k\w*[._-])?([\w-]+?)[_-]?images\.txt", re.IGNORECASE)
_BARE_SPLIT_LIST = re.compile(r"(?:flickr_?\d+k[._-])?(train|dev|val|test)\.txt", re.IGNORECASE)


def claims(path: Path) -> bool:
    """Whether `path` is a caption file of this kind or a folder with one."""
    return bool(matching_files(path, _holds_captions if path.is_file() else _is_caption_file))


def read(source: Source) -> CaptionedImages:
    """Read captions and split lists; ids are `NAME.jpg` and `NAME.jpg#K`.

    Split lists lie beside the caption file or in the folder: `trainImages.txt`, `Flickr_8k.devImages.txt`
    and so on (the split's name is what stands before `Images`), or `train.txt`, `val.txt`, `test.txt`.
    """
    files = matching_files(source.path, _holds_captions if source.path.is_file() else _is_caption_file)
    if not files:
        raise DataError(f"{source.path}: no caption file with lines NAME.jpg#K<TAB>caption found")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{source.path}: there are several caption files ({names}); point at one of them")
    collector = Collector(source, kind="flickr")
    photographs = source.photographs()
    _read_captions(collector, files[0], photographs)
    for file, split in _split_lists(files[0], source.folder).items():
        _read_split(collector, split, file, photographs)
    return collector.finish()


def _is_caption_file(file: Path) -> bool:
    lemmas = ".lemma." in file.name.lower()  # Flickr8k brings its captions a second time, as dictionary forms
    return bool(_CAPTION_FILE.fullmatch(file.name)) and not lemmas and _holds_captions(file)


def _holds_captions(file: Path) -> bool:
    return bool(_ROW.search(start_of(file)))


def _split_lists(captions: Path, folder: Path) -> dict[Path, str]:
    lists = {}
    for place in dict.fromkeys((folder, captions.parent)):
        for file in sorted(place.iterdir()):
            match = _SPLIT_LIST.fullmatch(file.name) or _BARE_SPLIT_LIST.fullmatch(file.name)
            if match and file.is_file():
                lists[file] = match[1].lower()
    return lists


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
        if not Path(name).suffix:  # Flickr30k Entities lists bare numbers
            name += ".jpg"
        position = collector.image(name, where, photographs=photographs)
        if position is not None:
            collector.put_in_split(position, split, where)
