"""Of hits that look the same, the best alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sterna.library._catalog import Catalog
from sterna.library._gallery import Gallery

__all__ = ["FOLDED", "LIKENESS", "NOTED", "fold_hits"]

LIKENESS = 0.86  # measured by benchmarks/duplicates.py; see docs/library.md
FOLDED = 2000  # of the best hits; it is the same number for every page, so that pages go together
# the second that a photograph's camera noted, as a number above 0, or -1: of two moments, however alike, are
# two photographs
NOTED = "COALESCE(CAST(strftime('%s', taken_at) AS INTEGER) + 100000000000, -1)"
_TIMES = f"SELECT id, {NOTED} FROM photos WHERE id IN ({{keys}})"  # noqa: S608  # nosec B608


def fold_hits(
    catalog: Catalog, gallery: Gallery, *, found: Sequence[tuple[float, int]]
) -> tuple[list[tuple[float, int]], dict[int, int]]:
    """The best hits (score, id) without those that look like a better one, and how many each stands for.

    Arguments:
        found: the hits, best first; those behind the first `FOLDED` are left out.
    """
    found = found[:FOLDED]
    times = dict(catalog.rows_for(_TIMES, [photo for _, photo in found]))
    photos = np.array([photo for _, photo in found], np.int64)
    noted = np.array([times.get(photo, -1) for _, photo in found], np.int64)
    groups = gallery.near(photos, kinds=noted, min_score=LIKENESS)
    stands = {int(ids[0]): len(ids) - 1 for ids, _ in groups}
    others = {int(one) for ids, _ in groups for one in ids[1:]}
    return [(score, photo) for score, photo in found if photo not in others], stands
