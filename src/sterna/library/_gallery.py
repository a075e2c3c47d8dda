"""The vectors of one model at one moment, mapped into memory and ready to be searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.index import Index, build_index
from sterna.library._catalog import Catalog
from sterna.library._segments import Segment, map_rows, segments_of

__all__ = ["Gallery", "load_gallery"]

_FOUND = (
    "SELECT segment AS a, row AS b, photo AS c FROM vectors AS v WHERE model = ? AND segment >= ? "
    "AND EXISTS (SELECT 1 FROM files WHERE files.photo = v.photo)"
)


@dataclass(frozen=True)
class Gallery:
    """What can be found with one model.

    Arguments:
        generation, losses: those of the catalogue at that moment.
        segments: the segments, oldest first.
        ids: for each the photograph of every row, -1 where there is none: int64 [rows].
        blocks: for each its rows [rows, E].
        index: over all of them.
    """

    generation: int
    losses: int
    segments: list[Segment]
    ids: list[NDArray[np.int64]]
    blocks: list[NDArray[Any]]
    index: Index

    def vector(self, photo: int) -> NDArray[np.float32] | None:
        """The stored vector [E] of a photograph, `None` where it has none."""
        for ids, block in zip(self.ids, self.blocks, strict=True):
            rows = np.flatnonzero(ids == photo)
            if len(rows):
                return np.asarray(block[rows[0]], dtype=np.float32)
        return None


def load_gallery(catalog: Catalog, model: int, *, old: Gallery | None = None) -> Gallery:
    """The gallery of a model; what `old` still knows rightly is not read again."""
    while True:
        gallery = _load(catalog, model, old=old)
        whole = all(
            len(block) == one.rows for block, one in zip(gallery.blocks, gallery.segments, strict=True)
        )
        # a file may be gone because another process has just written its rows into a new one
        if whole or catalog.fact("generation") == gallery.generation:
            return gallery


def _load(catalog: Catalog, model: int, *, old: Gallery | None) -> Gallery:
    with catalog.reading():
        generation, losses = catalog.fact("generation") or 0, catalog.fact("losses") or 0
        if old and old.generation == generation:
            return old
        segments = segments_of(catalog, model)
        keep = len(old.segments) - 1 if old and old.losses == losses and old.segments else 0
        first = segments[keep].number if keep < len(segments) else 0
        numbers, rows, photos = catalog.numbers(_FOUND, (model, first))
        dim = int(catalog.value("SELECT dim FROM models WHERE id = ?", (model,)))
        dtype = catalog.value("SELECT dtype FROM models WHERE id = ?", (model,))
    ids = old.ids[:keep] if old else []
    blocks = old.blocks[:keep] if old else []
    for segment in segments[keep:]:
        block = map_rows(segment)
        names = np.full(len(block), -1, np.int64)
        mine = (numbers == segment.number) & (rows < len(block))
        names[rows[mine]] = photos[mine]
        ids, blocks = [*ids, names], [*blocks, block]
    if blocks:
        index = build_index(ids, blocks)
    else:
        index = build_index(np.empty(0, np.int64), np.empty((0, dim), dtype))
    return Gallery(generation, losses, segments, ids, blocks, index)
