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
_ROW = re.compile(r"(?:^|\r)[^\t\r\n]+#\d+\t", re.MULTILINE)
_SPLIT_LIST = re.compile(r"(?:flickr_?\d+k\w*[._-])?([\w-]+?)[_-]?images\.txt", re.IGNORECASE)
_SPLITS = ("train", "dev", "val", "test")
_BARE_SPLIT_LIST = re.compile(rf"(?:flickr_?\d+k[._-])?({'|'.join(_SPLITS)})\.txt", re.IGNORECASE)


def claims(path: Path) -> bool:
    """Whether `path` is a caption file of this kind or a folder with one."""
    return bool(matching_files(path, _holds_captions if path.is_file() else _is_caption_file))


def read(source: Source) -> CaptionedImages:
    """Read captions and split lists; ids are `NAME.jpg` and `NAME.jpg#K`.

    Split lists lie beside the caption file or in the folder: `trainImages.txt`, `Flickr_8k.devImages.txt`
    and so on (the split's name is what stands before `Images`), or `train.txt`, `val.txt`, `test.txt`.
    `allImages.txt` is no split, nor is a list that names every image and stands beside other lists, unless it
    is called train, dev, val or test.
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
    splits = _split_lists(files[0], source.folder)
    listed = {file: _read_list(collector, file, photographs) for file in splits}
    for file, split in splits.items():
        whole = len({position for position, _ in listed[file]}) == len(collector)
        if split == "all" or (whole and len(splits) > 1 and split not in _SPLITS):
            continue
        for position, where in listed[file]:
            collector.put_in_split(position, split, where)
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
        name = photographs.relative(name)
        position = collector.image(name, where, photographs=photographs)
        if position is not None:
            collector.caption(position, text, where, caption_id=f"{name}#{int(index)}")


def _read_list(collector: Collector, file: Path, photographs: Photographs) -> list[tuple[int, str]]:
    """The positions of the images that a list names, and where it does."""
    found = []
    for number, line in read_lines(file):
        where = collector.where(file, number)
        name = line.strip()
        if not Path(name).suffix:  # Flickr30k Entities lists bare numbers
            name += ".jpg"
        position = collector.image(photographs.relative(name), where, photographs=photographs)
        if position is not None:
            found.append((position, where))
    return found
