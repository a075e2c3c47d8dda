"""Karpathy's `dataset_flickr8k.json`, `dataset_flickr30k.json` and `dataset_coco.json`.

Karpathy, Fei-Fei: Deep Visual-Semantic Alignments for Generating Image Descriptions, 2015.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sterna.data._captioned import CaptionedImages
from sterna.data._collect import Collector
from sterna.data._photographs import Photographs
from sterna.data._source import Source, matching_files
from sterna.data._text import read_foreign_json, start_of
from sterna.errors import DataError

__all__ = ["claims", "read"]

_SENTENCES = re.compile(r'"sentences"\s*:')


def claims(path: Path) -> bool:
    """Whether `path` is a JSON file of this kind or a folder with one."""
    return bool(matching_files(path, _is_data_set))


def read(source: Source) -> CaptionedImages:
    """Read images with their sentences; ids are `imgid` and `sentid`, else the file's name and `NAME#K`.

    `restval` images (30,504 of COCO) are in the split `train`, or left out where `source.restval` is false.
    """
    files = matching_files(source.path, _is_data_set)
    if not files:
        raise DataError(f"{source.path}: no dataset_*.json with images and their sentences found")
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{source.path}: there are several data sets ({names}); point at one of them")
    value = read_foreign_json(files[0])
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list):
        raise DataError(f"{files[0]}: holds no list named 'images'")
    collector = Collector(source, kind="karpathy")
    photographs = source.photographs()
    for number, image in enumerate(images):
        where = collector.where(files[0], f"images[{number}]")
        if not isinstance(image, dict) or not isinstance(image.get("filename"), str):
            collector.problem(where, "has no 'filename'")
            continue
        if image.get("split") == "restval" and not source.restval:
            continue
        name = "/".join(part for part in (image.get("filepath"), image["filename"]) if isinstance(part, str))
        name = photographs.relative(name)
        _read_image(collector, image, where, name=name, photographs=photographs)
    return collector.finish()


def _is_data_set(file: Path) -> bool:
    return file.suffix.lower() == ".json" and bool(_SENTENCES.search(start_of(file)))


def _read_image(
    collector: Collector,
    image: Mapping[str, object],
    where: str,
    *,
    name: str,
    photographs: Photographs,
) -> None:
    image_id = name if image.get("imgid") is None else str(image["imgid"])
    position = collector.image(name, where, photographs=photographs, image_id=image_id)
    if position is None:
        return
    split = image.get("split")
    if isinstance(split, str):
        collector.put_in_split(position, "train" if split == "restval" else split, where)
    sentences = image.get("sentences")
    for index, sentence in enumerate(sentences if isinstance(sentences, list) else []):
        text = _text_of(sentence)
        if text is None:
            collector.problem(where, f"sentences[{index}] has neither 'raw' nor 'tokens'")
            continue
        number = sentence.get("sentid")
        caption_id = f"{image_id}#{index}" if number is None else str(number)
        collector.caption(position, text, f"{where}.sentences[{index}]", caption_id=caption_id)


def _text_of(sentence: object) -> str | None:
    if not isinstance(sentence, dict):
        return None
    if isinstance(sentence.get("raw"), str):
        return str(sentence["raw"])
    tokens = sentence.get("tokens")
    return " ".join(map(str, tokens)) if isinstance(tokens, list) else None
