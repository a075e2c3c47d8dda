"""The folders that photographs lie in, and which photographs are no more."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sterna.errors import check_whole
from sterna.library._arguments import check_k, check_offset
from sterna.library._catalog import Catalog
from sterna.library._paths import full_path
from sterna.library._roots import known_roots

__all__ = ["FolderRecord", "folders_of", "gone_photos"]

# the photographs of one folder come as one text of numbers: a row for each would be a Python object for each
_FOLDERS = (
    "SELECT files.root, folder_of(files.path), group_concat(files.photo) FROM files "
    "JOIN photos ON photos.id = files.photo WHERE photos.reason IS NULL GROUP BY 1, 2"
)
_THERE = (
    "SELECT id FROM photos WHERE reason IS NULL AND id IN ({keys}) "
    "AND EXISTS (SELECT 1 FROM files WHERE files.photo = photos.id)"
)


@dataclass(frozen=True)
class FolderRecord:
    """A folder that photographs lie in; `photos` is how many different ones lie in it and below."""

    path: Path
    root: Path
    root_id: int
    photos: int


def folders_of(catalog: Catalog, *, k: int, offset: int) -> list[FolderRecord]:
    """The folders of every root, the root first; see `Library.folders`."""
    check_k(k)
    check_offset(offset)
    with catalog.reading():
        roots = {root.number: (place, root.path) for place, root in enumerate(known_roots(catalog))}
        rows: list[tuple[Any, ...]] = catalog.rows(_FOLDERS)
    found = {(number, outer) for number, folder, _ in rows for outer in _outwards(folder)}
    # by names, not by bytes: what lies in "a" comes before "a b"
    order = sorted(found, key=lambda one: (roots[one[0]][0], one[1].split(b"/") if one[1] else []))
    page = order[offset : offset + k]
    counts = _counts(rows, of=set(page))
    paths = {number: Path(os.fsdecode(path)) for number, (_, path) in roots.items()}
    return [
        FolderRecord(
            path=paths[number] if not folder else Path(full_path(roots[number][1], folder)),
            root=paths[number],
            root_id=number,
            photos=counts[number, folder],
        )
        for number, folder in page
    ]


def _counts(rows: list[tuple[Any, ...]], *, of: set[tuple[int, bytes]]) -> dict[tuple[int, bytes], int]:
    """How many different photographs lie in some folders and below; no others are counted."""
    found: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    for number, folder, ids in rows:
        for outer in _outwards(folder):
            if (number, outer) in of:
                found[number, outer].append(ids)
    return {one: _different(texts) for one, texts in found.items()}


def _different(texts: list[str]) -> int:
    """How many different numbers there are in texts such as "1,5,7"."""
    if len(texts) == 1:  # most folders have none inside them, and few photographs
        return len(set(texts[0].split(",")))
    return len(np.unique(np.fromstring(",".join(texts), dtype=np.int64, sep=",")))


def _outwards(folder: bytes) -> Iterator[bytes]:
    """A folder, the one around it, and so on to the root, which is empty."""
    while folder:
        yield folder
        folder = folder.rpartition(b"/")[0]
    yield b""


def gone_photos(catalog: Catalog | None, photo_ids: Sequence[int]) -> list[int]:
    """Those ids that no photograph that can be read has; see `Library.gone`."""
    ids = [check_whole("photo_ids", one, least=0) for one in photo_ids]
    known = [one for one in ids if one < 1 << 63]  # as far as numbers of a catalogue go
    there = set() if catalog is None else {number for (number,) in catalog.rows_for(_THERE, known)}
    return [one for one in ids if one not in there]
