"""Writes what a run finds into the catalogue, a batch at a time: vectors first, then what names them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sterna.errors import PhotoError
from sterna.library._catalog import Catalog
from sterna.library._found import size_and_time
from sterna.library._roots import Root
from sterna.library._segments import SegmentWriter
from sterna.library._sound import are_unit

if TYPE_CHECKING:
    from sterna.encoders import EncodedPhoto

__all__ = ["Item", "Recorder"]

_BATCH = 32  # photographs, and
_SECONDS = 2.0  # the longest time whose work a kill may lose
_SETTLED = 500  # files without a vector that are written together


@dataclass(slots=True)
class Item:
    """A file to look into.

    Arguments:
        root: the root it lies in.
        path: below the root; `full` is the whole path, as Python writes bytes that are no text.
        size, mtime_ns: as they were when it was seen.
        digest: SHA-256 of its content, once known.
        reason: why its content cannot be known.
        again: an equal size and time will prove nothing next time.
        keep: the system refuses to read it; what was known of its content stays.
        skip: it is gone or changes right now; the next run sees it.
        listed: whether the walk found it new or changed, not merely its photograph in need of a vector.
        followers: files of the same content that came while it was being embedded.
    """

    root: Root
    path: bytes
    full: str
    size: int
    mtime_ns: int
    digest: bytes | None = None
    reason: str | None = None
    again: bool = False
    keep: bool = False
    skip: bool = False
    listed: bool = True
    followers: list[Item] = field(default_factory=list)

    def unchanged(self) -> bool:
        """Whether the file is as it was seen."""
        try:
            status = os.stat(self.full)  # noqa: PTH116 (once for every photograph)
        except OSError:
            return False
        return size_and_time(status) == (self.size, self.mtime_ns)


class Recorder:
    """Collects what is found and commits it in batches; its methods may be called by two threads.

    Arguments:
        catalog: open for writing.
        model: the id of the model that embeds.
        patience: seconds for which a file that was written just now and cannot be read is passed over.

    Attributes:
        new, changed: as in `IndexReport`.
        failed: files found unreadable in this run.
        done: files and photographs dealt with.
        arrived: for each photograph how many new paths it got without being embedded.
        retry: files to look into once more, because the one that stood for them changed.
    """

    def __init__(self, catalog: Catalog, model: int, *, patience: float = 0.0) -> None:
        self.new = self.changed = self.failed = self.done = 0
        self.arrived: Counter[int] = Counter()
        self.retry: list[Item] = []
        self._catalog = catalog
        self._model = model
        self._patience = patience * 1e9
        self._writer = SegmentWriter(catalog, model)
        self._lock = threading.RLock()
        self._claimed: dict[bytes, Item] = {}
        self._embedded: list[tuple[Item, EncodedPhoto]] = []
        self._settled: list[Item] = []
        self._since = time.monotonic()

    def wants_vector(self, item: Item) -> bool:
        """Whether an item's content needs a vector; where not, the item is dealt with here."""
        with self._lock:
            if item.skip:
                self.done += 1
                return False
            if item.digest is not None:
                first = self._claimed.get(item.digest)
                if first is not None:
                    first.followers.append(item)
                    return False
                if not self._is_known(item.digest):
                    self._claimed[item.digest] = item
                    return True
            self._settled.append(item)
            if len(self._settled) >= _SETTLED:
                self.flush()
            return False

    def take(self, item: Item, answer: EncodedPhoto) -> None:
        """Take an encoder's answer for an item that `wants_vector` let through."""
        with self._lock:
            assert item.digest is not None
            # half-written, or gone: what was seen may be no photograph of anybody's
            if not item.unchanged() or self._may_grow(item, answer):
                del self._claimed[item.digest]
                self.done += 1
                self.retry.extend(item.followers)
                return
            self._embedded.append((item, answer))
            if len(self._embedded) >= _BATCH or time.monotonic() - self._since > _SECONDS:
                self.flush()

    def flush(self) -> None:
        """Commit what was collected."""
        with self._lock:
            counts = _Counts()
            with self._catalog.transaction():
                if self._embedded:
                    self._write_embedded(counts)
                different = bool(self._embedded)
                for item in self._settled:
                    photo = self._catalog.value("SELECT id FROM photos WHERE hash = ?", (item.digest,))
                    outcome = self._write_file(item, photo, counts=counts)
                    if outcome == "new" and photo is not None:
                        counts.arrived[photo] += 1
                    different |= outcome != "same"
                if counts.replaced:
                    self._catalog.set_fact("orphans", 1)
                # a photograph without a path may have got one again: more than a vector behind the others
                losses = bool(self._catalog.fact("orphans"))
                if different or losses:
                    self._catalog.touch(losses=losses)
            self._add_up(counts)

    def _add_up(self, counts: _Counts) -> None:
        self.new += counts.new
        self.changed += counts.changed
        self.failed += counts.failed
        self.arrived.update(counts.arrived)
        self.done += len(self._settled) + sum(1 + len(item.followers) for item, _ in self._embedded)
        for item, _ in self._embedded:
            assert item.digest is not None
            del self._claimed[item.digest]
        self._embedded, self._settled = [], []
        self._since = time.monotonic()

    def _may_grow(self, item: Item, answer: EncodedPhoto) -> bool:
        return _reason(answer) is not None and 0 <= time.time_ns() - item.mtime_ns < self._patience

    def _is_known(self, digest: bytes) -> bool:
        return bool(
            self._catalog.value(
                "SELECT CASE WHEN reason IS NULL THEN EXISTS (SELECT 1 FROM vectors WHERE photo = photos.id "
                "AND model = ?) ELSE NOT again END FROM photos WHERE hash = ?",
                (self._model, digest),
            )
        )

    def _write_embedded(self, counts: _Counts) -> None:
        answers = [answer for _, answer in self._embedded if _reason(answer) is None]
        good = [answer.vector for answer in answers if answer.vector is not None]
        segment, row = self._writer.append(np.stack(good)) if good else (0, 0)
        for item, answer in self._embedded:
            reason = _reason(answer)
            if reason is not None and _is_of_the_drive(answer.error):
                for file in (item, *item.followers):
                    file.reason, file.keep = reason, True
                    self._write_file(file, None, counts=counts)
                continue
            photo = self._write_photo(item.digest, answer, reason=reason)
            if reason is None:
                self._catalog.run(
                    "INSERT INTO vectors VALUES (?, ?, ?, ?)", (self._model, segment, row, photo)
                )
                row += 1
            outcomes = [
                self._write_file(file, photo, counts=counts)
                for file in (item, *item.followers)
                if file.listed
            ]
            counts.new += reason is None and "changed" not in outcomes
            counts.failed += len(outcomes) if reason is not None else 0

    def _write_photo(self, digest: bytes | None, answer: EncodedPhoto, *, reason: str | None) -> int:
        info = answer.photo
        again = reason is not None and _may_pass(answer.error)
        values = (
            digest,
            info and info.width,
            info and info.height,
            info and info.taken_at and info.taken_at.replace(tzinfo=None).isoformat(timespec="seconds"),
            json.dumps(list(info.descriptions) if info else []),
            reason,
            again,
        )
        return int(
            self._catalog.value(
                "INSERT INTO photos (hash, width, height, taken_at, captions, reason, again) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE SET width = excluded.width, "
                "height = excluded.height, taken_at = excluded.taken_at, captions = excluded.captions, "
                "reason = excluded.reason, again = excluded.again RETURNING id",
                values,
            )
        )

    def _write_file(self, item: Item, photo: int | None, *, counts: _Counts) -> str:
        """Record a file; says whether its path is "new", "changed", of another "date" alone or the "same"."""
        key = (item.root.number, item.path)
        before = self._catalog.rows(
            "SELECT photo, photos.reason, mtime_ns FROM files LEFT JOIN photos ON photos.id = photo "
            "WHERE root = ? AND path = ?",
            key,
        )
        old, failure, date = before[0] if before else (None, None, None)
        if item.keep:
            photo = old
        self._catalog.run(
            "INSERT INTO files (root, path, size, mtime_ns, again, photo, reason) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (root, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, "
            "again = excluded.again, photo = excluded.photo, reason = excluded.reason",
            (*key, item.size, item.mtime_ns, item.again or item.reason is not None, photo, item.reason),
        )
        counts.failed += item.reason is not None
        if old == photo and before:
            return "same" if date == item.mtime_ns else "date"
        counts.replaced += old is not None
        if old is None or failure is not None or photo is None:
            return "new"
        counts.changed += 1
        return "changed"


@dataclass
class _Counts:
    """What one batch adds to the counts, if it is committed."""

    new: int = 0
    changed: int = 0
    failed: int = 0
    replaced: int = 0
    arrived: Counter[int] = field(default_factory=Counter)


def _reason(answer: EncodedPhoto) -> str | None:
    if answer.error is not None:
        return answer.error.reason.encode("utf-8", "replace").decode()
    if answer.vector is None or not np.isfinite(answer.vector).all():
        return "the model gives it no vector of finite numbers"
    if not are_unit(answer.vector[None])[0]:
        return "the model gives it no vector of unit length"
    return None


def _causes(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and len(chain) < 8:
        chain.append(error)
        error = error.__cause__
    return chain


def _is_of_the_drive(error: PhotoError | None) -> bool:
    """Whether the system refused to read the file, which says nothing about its content."""
    return any(isinstance(cause, OSError) and cause.errno is not None for cause in _causes(error))


def _may_pass(error: PhotoError | None) -> bool:
    """Whether the same content may be readable next time: with an extra installed, or more memory."""
    reason = error.reason if error is not None else ""
    passing = any(isinstance(cause, MemoryError | ImportError) for cause in _causes(error))
    return passing or "extra part" in reason or "enough memory" in reason
