"""Forget vectors that are damaged, and give back the room of those that nothing names any more."""

from __future__ import annotations

import contextlib

import numpy as np

from sterna.library._captions import sentence_file
from sterna.library._catalog import Catalog
from sterna.library._segments import Segment, SegmentWriter, map_rows, segment_files, segments_of
from sterna.library._sound import examine, sums_of

__all__ = ["compact", "forget_damaged", "forget_superseded", "remove_strays"]

_WORTH = 10_000  # rows that hold nothing before a segment is written anew, and
_SHARE = 0.5  # the least share of its rows
_BATCH = 8192
_BEHIND = "FROM vectors WHERE model = ? AND segment = ? AND row >= ?"


def remove_strays(catalog: Catalog) -> None:
    """Remove the files of models and segments that the catalogue does not name.

    A process was killed before or after it did, or forgot them.
    """
    named = {catalog.folder / path for (path,) in catalog.rows("SELECT path FROM segments")}
    named |= {sentence_file(catalog.folder, one) for (one,) in catalog.rows("SELECT fingerprint FROM models")}
    for file in [*segment_files(catalog.folder), *sentence_file(catalog.folder, "").parent.glob("*")]:
        if file not in named:
            with contextlib.suppress(OSError):
                file.unlink()


def forget_damaged(catalog: Catalog) -> None:
    """Take out of the catalogue the vectors whose rows are not what was written, to be embedded again.

    All vectors of all models are read. What is left of a damaged segment is written into a new one.
    Raises `LibraryError` where a file may not be read.
    """
    for (model,) in catalog.rows("SELECT id FROM models"):
        for segment in reversed(segments_of(catalog, model)):  # what is left goes behind the newest
            lost, fresh = examine(segment, sums_of(catalog, segment))
            behind = (model, segment.number, segment.rows)
            if lost.any() or catalog.value(f"SELECT 1 {_BEHIND} LIMIT 1", behind):
                with catalog.transaction():
                    catalog.run(f"DELETE {_BEHIND}", behind)
                    catalog.run_many(
                        "DELETE FROM vectors WHERE model = ? AND segment = ? AND row = ?",
                        [(model, segment.number, row) for row in np.flatnonzero(lost).tolist()],
                    )
                    _replace(catalog, model, segment=segment)
                remove_strays(catalog)
            elif fresh:
                with catalog.transaction():
                    catalog.run_many(
                        "INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?)",
                        [(segment.number, *one) for one in fresh],
                    )


def forget_superseded(catalog: Catalog, model: int) -> None:
    """Forget what was embedded by other weights of the same name, once all photographs have a new vector.

    Nothing can load those weights by that name any more, so nothing can be found with their vectors.
    """
    others = catalog.rows(
        "SELECT other.id FROM models AS this JOIN models AS other ON other.spec = this.spec "
        "WHERE this.id = ? AND other.id != this.id AND this.spec NOT LIKE 'object:%'",
        (model,),
    )
    missing = others and catalog.value(
        "SELECT 1 FROM photos WHERE EXISTS (SELECT 1 FROM vectors WHERE photo = photos.id AND model != ?) "
        "AND NOT EXISTS (SELECT 1 FROM vectors WHERE photo = photos.id AND model = ?) LIMIT 1",
        (model, model),
    )
    if others and not missing:
        with catalog.transaction():
            for other in others:
                for table, column in (("vectors", "model"), ("segments", "model"), ("models", "id")):
                    catalog.run(f"DELETE FROM {table} WHERE {column} = ?", other)  # noqa: S608  # nosec B608
            catalog.touch(losses=True)
        remove_strays(catalog)


def compact(catalog: Catalog) -> None:
    """Write the living rows of half-empty segments into new ones; the old files go once that is committed.

    Nothing is looked at where nothing was lost since the last time.
    """
    if catalog.fact("compacted") == catalog.fact("losses"):
        return
    for (model,) in catalog.rows("SELECT id FROM models"):
        _compact_model(catalog, model)
    catalog.set_fact("compacted", catalog.fact("losses") or 0)


def _compact_model(catalog: Catalog, model: int) -> None:
    for segment in segments_of(catalog, model):
        living = int(
            catalog.value(
                "SELECT COUNT(*) FROM vectors WHERE model = ? AND segment = ?", (model, segment.number)
            )
        )
        dead = segment.rows - living
        if dead >= _WORTH and dead >= _SHARE * segment.rows:
            with catalog.transaction():
                _replace(catalog, model, segment=segment)
            remove_strays(catalog)


def _replace(catalog: Catalog, model: int, *, segment: Segment) -> None:
    """Write the living rows of a segment into newer ones, and forget it."""
    rows, photos = catalog.numbers(
        "SELECT row AS a, photo AS b FROM vectors WHERE model = ? AND segment = ?", (model, segment.number)
    )
    catalog.run("DELETE FROM vectors WHERE model = ? AND segment = ?", (model, segment.number))
    writer = SegmentWriter(catalog, model, behind=segment.number)
    block = map_rows(segment)
    for start in range(0, len(rows), _BATCH):
        part = slice(start, start + _BATCH)
        number, first = writer.append(np.asarray(block[rows[part]], dtype=np.float32))
        catalog.run_many(
            "INSERT INTO vectors VALUES (?, ?, ?, ?)",
            [(model, number, first + offset, photo) for offset, photo in enumerate(photos[part].tolist())],
        )
    catalog.run("DELETE FROM segments WHERE id = ?", (segment.number,))
    catalog.touch(losses=True)
