"""The vectors of one model at one moment, mapped into memory and ready to be searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import LibraryError
from sterna.index import Index, build_index, near_groups
from sterna.library._catalog import Catalog
from sterna.library._models import index_command
from sterna.library._segments import Segment, map_rows, segments_of
from sterna.library._sound import NOT_UNIT, are_unit, complaint, flaw, shortfall

__all__ = ["Gallery", "load_gallery"]

_FOUND = (
    "SELECT segment AS a, row AS b, photo AS c FROM vectors AS v WHERE model = ? AND segment >= ? "
    "AND EXISTS (SELECT 1 FROM files WHERE files.photo = v.photo)"
)
_CHECKED = 256  # answers of one search whose vectors are looked at again


@dataclass(frozen=True)
class Gallery:
    """What can be found with one model.

    Arguments:
        generation, losses: those of the catalogue at that moment.
        segments: the segments, oldest first.
        ids: for each the photograph of every row, -1 where there is none: int64 [rows].
        blocks: for each its rows [rows, E].
        index: over all of them.
        command: makes vectors anew.
    """

    generation: int
    losses: int
    segments: list[Segment]
    ids: list[NDArray[np.int64]]
    blocks: list[NDArray[Any]]
    index: Index
    command: str

    def vector(self, photo: int) -> NDArray[np.float32] | None:
        """The stored vector [E] of a photograph, `None` where it has none.

        Raises `LibraryError` where it is not the unit vector that it was.
        """
        for segment, ids, block in zip(self.segments, self.ids, self.blocks, strict=True):
            rows = np.flatnonzero(ids == photo)
            if len(rows):
                self._check(segment, block[rows[:1]])
                return np.asarray(block[rows[0]], dtype=np.float32)
        return None

    def search(
        self, query: NDArray[np.float32], k: int, *, allow: NDArray[np.int64] | None
    ) -> list[tuple[float, int]]:
        """The photographs, with their cosines, whose vectors are nearest to a unit vector [E], best first.

        Arguments:
            k: how many at most.
            allow: int64 [A], the only photographs that may come back; `None` allows all.

        Raises `LibraryError` where one of the vectors found is not the unit vector that it was.
        """
        count = self.index.count()
        if count == 0:
            return []
        with np.errstate(all="ignore"):  # what is no number is told below
            scores, ids = self.index.search(query[None], min(k, count), allow=allow)
        found = ids[0][ids[0] >= 0]
        looked = found[:_CHECKED]
        if len(found) < min(k, count):  # some are not allowed, or what is no number
            everyone = np.concatenate(self.ids)
            allowed = everyone[(everyone >= 0) if allow is None else np.isin(everyone, allow)]
            looked = allowed if len(found) < min(k, len(allowed)) else looked
        for segment, names, block in zip(self.segments, self.ids, self.blocks, strict=True):
            self._check(segment, block[np.isin(names, looked)])
        cosines = np.minimum(scores[0][: len(found)], 1.0)
        return list(zip(cosines.tolist(), found.tolist(), strict=True))

    def groups(
        self,
        order: NDArray[np.int64],
        *,
        kinds: NDArray[np.int64],
        min_score: float,
        report: Callable[[int, int], None],
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Groups of photographs with near vectors; see `near_groups` for the arguments and the answer.

        Photographs of `order` that have no vector are left out. Raises `LibraryError` where a vector is not
        the unit vector that it was.
        """
        for segment, ids, block in zip(self.segments, self.ids, self.blocks, strict=True):
            for start in range(0, len(ids), _CHECKED):
                part = slice(start, start + _CHECKED)
                self._check(segment, block[part][ids[part] >= 0])
        if not self.blocks:
            return []
        there = np.isin(order, np.concatenate(self.ids))
        groups = near_groups(
            self.ids,
            self.blocks,
            min_score=min_score,
            order=order[there],
            kinds=kinds[there],
            report=report,
        )
        return [(ids, np.minimum(scores, np.float32(1))) for ids, scores in groups]

    def near(
        self, photos: NDArray[np.int64], *, kinds: NDArray[np.int64], min_score: float
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """As `groups`, of a few photographs, whose vectors alone are looked at."""
        parts = [
            (segment, names, block, np.flatnonzero(np.isin(names, photos)))
            for segment, names, block in zip(self.segments, self.ids, self.blocks, strict=True)
        ]
        some = [(names[rows], np.asarray(block[rows])) for _, names, block, rows in parts if len(rows)]
        for segment, _, block, rows in parts:
            self._check(segment, block[rows])
        if not some:
            return []
        there = np.isin(photos, np.concatenate([names for names, _ in some]))
        return near_groups(
            [names for names, _ in some],
            [block for _, block in some],
            min_score=min_score,
            order=photos[there],
            kinds=kinds[there],
        )

    def _check(self, segment: Segment, rows: NDArray[Any]) -> None:
        if not are_unit(rows).all():
            raise LibraryError(f"{segment.path}: {complaint(NOT_UNIT, self.command)}")


def load_gallery(catalog: Catalog, model: int, *, old: Gallery | None = None) -> Gallery:
    """The gallery of a model; what `old` still knows rightly is not read again.

    Raises `LibraryError` where a file of vectors is missing or shorter than it has to be, and where a glance
    at it shows vectors that are not of unit length.
    """
    while True:
        gallery = _load(catalog, model, old=old)
        look = shortfall if gallery is old else flaw
        reasons = [(segment.path, look(segment)) for segment in gallery.segments]
        wrong = [f"{path}: {complaint(one, gallery.command)}" for path, one in reasons if one is not None]
        if not wrong:
            return gallery
        # a file may be gone because another process has just written its rows into a new one
        if catalog.fact("generation") == gallery.generation:
            raise LibraryError(wrong[0])


def _load(catalog: Catalog, model: int, *, old: Gallery | None) -> Gallery:
    with catalog.reading():
        generation, losses = catalog.fact("generation") or 0, catalog.fact("losses") or 0
        if old and old.generation == generation:
            return old
        segments = segments_of(catalog, model)
        keep = len(old.segments) - 1 if old and old.losses == losses and old.segments else 0
        first = segments[keep].number if keep < len(segments) else 0
        numbers, rows, photos = catalog.numbers(_FOUND, (model, first))
        dim, dtype, spec = catalog.rows("SELECT dim, dtype, spec FROM models WHERE id = ?", (model,))[0]
        default = catalog.fact("model") == model
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
    return Gallery(
        generation, losses, segments, ids, blocks, index, command=index_command(spec, default=default)
    )
