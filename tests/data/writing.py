"""Small data sets on disk; reading captions never opens a photograph, so these are empty files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from sterna.data import CaptionedImages


def touch(folder: Path, names: Iterable[str]) -> None:
    """Make empty files, and the folders that they lie in."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, text: str) -> Path:
    """Write text as it is, without the system's line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
    return path


def write_json(path: Path, value: object) -> Path:
    return write(path, json.dumps(value))


def by_image(data: CaptionedImages) -> dict[str, tuple[str | None, list[str]]]:
    """The split and the captions of each image, by its id."""
    found: dict[str, tuple[str | None, list[str]]] = {
        image: (split, []) for image, split in zip(data.image_ids, data.splits, strict=True)
    }
    for owner, caption in zip(data.owners, data.captions, strict=True):
        found[data.image_ids[owner]][1].append(caption)
    return found
