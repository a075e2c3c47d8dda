"""Photographs as they were taken, without a question: the newest first."""

from __future__ import annotations

from dataclasses import fields

from sterna.library._arguments import check_k, check_offset
from sterna.library._catalog import Catalog
from sterna.library._query import Filters
from sterna.library._roots import known_roots
from sterna.library._searching import FILES, hits_of
from sterna.library._types import PhotoRecord

__all__ = ["browse"]

# A date inside the photograph is local time, and so is what stands in for it.
_WHEN = "MAX(COALESCE(photos.taken_at, strftime('%Y-%m-%dT%H:%M:%S', files.mtime_ns / 1000000000, 'unixepoch', 'localtime')))"  # noqa: E501


def browse(catalog: Catalog, *, k: int, offset: int, filters: Filters) -> list[PhotoRecord]:
    """Photographs that can be read and pass the filters; see `Library.photos`."""
    check_k(k)
    check_offset(offset)
    condition, values = filters.condition([(root.number, root.path) for root in known_roots(catalog)])
    query = (
        f"SELECT photos.id {FILES} WHERE photos.reason IS NULL AND {condition} "
        f"GROUP BY photos.id ORDER BY {_WHEN} DESC, photos.id LIMIT ? OFFSET ?"
    )
    found = [(0.0, int(photo)) for (photo,) in catalog.rows(query, [*values, k, offset])]
    hits = hits_of(catalog, found, condition=condition, values=values)
    names = [field.name for field in fields(PhotoRecord)]
    return [PhotoRecord(**{name: getattr(hit, name) for name in names}) for hit in hits]
