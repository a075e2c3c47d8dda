"""Photographs of one library that look the same, told by their vectors alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sterna.library._catalog import Catalog
from sterna.library._folding import LIKENESS, NOTED
from sterna.library._gallery import Gallery
from sterna.library._searching import hits_of
from sterna.library._types import Hit, Progress, Reporter

__all__ = ["LIKENESS", "find_duplicates"]

# of each photograph its pixels, when it was taken (where that is not known: written), its bytes, and the
# second that its camera noted
_QUALITY = (
    "SELECT photos.id AS a, COALESCE(width * height, 0) AS b, "  # noqa: S608  # nosec B608
    "COALESCE(CAST(strftime('%s', taken_at, 'utc') AS INTEGER), MIN(mtime_ns) / 1000000000) AS c, "
    f"MAX(size) AS d, {NOTED} AS e "
    "FROM photos JOIN files ON files.photo = photos.id GROUP BY photos.id"
)
_COPIES = "SELECT photo FROM files WHERE photo IS NOT NULL GROUP BY photo HAVING COUNT(*) > 1"


def find_duplicates(
    catalog: Catalog, gallery: Gallery, *, min_score: float, copies: bool, report: Reporter
) -> list[tuple[Hit, ...]]:
    """Groups of near-duplicates; see `Library.duplicates`."""
    photos, pixels, seconds, sizes, noted = catalog.numbers(_QUALITY)
    best_first = np.lexsort((photos, -sizes, seconds, -pixels))
    near = gallery.groups(
        photos[best_first],
        kinds=noted[best_first],  # of two moments, however alike, are two photographs
        min_score=min_score,
        report=lambda done, total: report(Progress("comparing", done, total)),
    )
    groups = [list(zip(scores.tolist(), ids.tolist(), strict=True)) for ids, scores in near]
    if copies:
        grouped = {photo for group in groups for _, photo in group}
        groups += [[(1.0, photo)] for (photo,) in catalog.rows(_COPIES) if photo not in grouped]
    told = _told(catalog, groups)
    found = [group for group in told if len(group) > 1 or (copies and group and group[0].also)]
    return sorted(found, key=lambda group: group[0].path)


def _told(catalog: Catalog, groups: Sequence[Sequence[tuple[float, int]]]) -> list[tuple[Hit, ...]]:
    hits = {hit.photo_id: hit for hit in hits_of(catalog, [one for group in groups for one in group])}
    told = []
    for group in groups:
        there = [hits[photo] for _, photo in group if photo in hits]
        told.append(tuple(replace(hit, rank=rank) for rank, hit in enumerate(there, start=1)))
    return told
