"""One `index` run: walk the roots, embed what is new, record it, and let go of what is gone."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.library._catalog import Catalog
from sterna.library._feed import Feed
from sterna.library._found import Found
from sterna.library._look import EVERYTHING, Part, look
from sterna.library._paths import full_path
from sterna.library._record import Item, Recorder
from sterna.library._roots import Root
from sterna.library._status import failures
from sterna.library._tidy import compact, forget_damaged, forget_superseded, remove_strays
from sterna.library._types import IndexReport, Progress, Reporter

if TYPE_CHECKING:
    from sterna.encoders import Encoder

__all__ = ["run_index"]

_SECONDS_BETWEEN = 0.2  # two reports of progress
_MAX_SIDECAR = 1 << 16  # bytes read of a text file beside a photograph


@dataclass
class _Walked:
    """What the walks of all roots left to do."""

    roots: list[Root] = field(default_factory=list)
    offline: list[Path] = field(default_factory=list)
    looked: int = 0
    items: list[Item] = field(default_factory=list)
    gone: list[tuple[Root, bytes]] = field(default_factory=list)
    away: list[tuple[Root, bytes]] = field(default_factory=list)  # drives inside roots, as in `Scan`
    unlisted: list[Path] = field(default_factory=list)
    system: list[Path] = field(default_factory=list)


def run_index(
    catalog: Catalog,
    roots: Sequence[Root],
    *,
    encoder: Encoder,
    model: int,
    report: Reporter,
    parts: Mapping[bytes, Part] | None = None,
    patience: float = 0.0,
) -> IndexReport:
    """Bring roots up to date with a model.

    Arguments:
        catalog: open for writing, under the library's lock.
        roots: the roots to look at.
        encoder: makes the vectors; `model` is its id in the catalogue.
        report: told how far the run is.
        parts: by their paths the roots to look at, and what of each; the others are left as they are, and so
            is what an ordinary run does for the whole library. `None` for an ordinary run.
        patience: seconds for which a file that was written just now and cannot be read is passed over: the
            rest of it may be yet to come.
    """
    start = time.monotonic()
    if parts is None:
        remove_strays(catalog)
        forget_damaged(catalog)
    walked = _Walked()
    for root in roots:
        part = EVERYTHING if parts is None else parts.get(root.path, Part())
        if part:
            _walk(catalog, root, part=part, walked=walked, report=report)
    recorder = Recorder(catalog, model, patience=patience)
    items = walked.items + (_without_vector(catalog, walked, model=model) if parts is None else [])
    while items:
        _embed(items, encoder, recorder=recorder, report=report)
        items, recorder.retry = recorder.retry, []
    moved, removed = _let_go(catalog, walked, recorder=recorder)
    forget_superseded(catalog, model)
    compact(catalog)
    failed = failures(catalog, walked.roots)
    return IndexReport(
        new=recorder.new,
        changed=recorder.changed,
        moved=moved,
        removed=removed,
        failed=len(failed),
        offline=len(walked.offline),
        seconds=time.monotonic() - start,
        failures=failed,
        offline_roots=tuple(walked.offline),
        unlisted=tuple(walked.unlisted),
        left_out=tuple(walked.system),
    )


def _walk(catalog: Catalog, root: Root, *, part: Part, walked: _Walked, report: Reporter) -> None:
    before = walked.looked
    scan, part = look(
        catalog, root, part=part, report=lambda looked: report(Progress("looking", before + looked))
    )
    walked.offline += _paths(root, scan.away)
    if b"" in scan.away:  # the root itself: what was not seen proves nothing
        return
    walked.looked += scan.looked
    walked.roots.append(root)
    walked.items.extend(_item(root, found) for found in scan.files)
    walked.gone.extend((root, path) for path in scan.gone)
    walked.away.extend((root, prefix) for prefix in scan.away)
    walked.unlisted += _paths(root, scan.unlisted)
    walked.system += _paths(root, scan.system)
    with catalog.transaction():
        if scan.devices != root.devices:
            _note_devices(catalog, root, devices=scan.devices)
        if part.whole:
            catalog.run("DELETE FROM folders WHERE root = ?", (root.number,))
        catalog.run_many(
            "INSERT INTO folders VALUES (?, ?, ?)",
            [(root.number, one.path, one.reason) for one in scan.folders],
        )
        catalog.run_many(
            "DELETE FROM sidecars WHERE root = ? AND path = ?",
            [(root.number, path) for path in scan.gone_sidecars],
        )
        catalog.run_many(
            "INSERT OR REPLACE INTO sidecars VALUES (?, ?, ?, ?, ?)",
            [(root.number, one.path, one.size, one.mtime_ns, _sentences(root, one)) for one in scan.sidecars],
        )
        if scan.gone_sidecars or scan.sidecars:
            catalog.touch()


def _paths(root: Root, folders: Iterable[bytes]) -> list[Path]:
    return [Path(full_path(root.path, folder)) for folder in sorted(folders)]


def _note_devices(catalog: Catalog, root: Root, *, devices: Mapping[bytes, int]) -> None:
    catalog.run("UPDATE roots SET device = ? WHERE id = ?", (devices[b""], root.number))
    catalog.run("DELETE FROM mounts WHERE root = ?", (root.number,))
    catalog.run_many(
        "INSERT INTO mounts VALUES (?, ?, ?)",
        [(root.number, path, device) for path, device in devices.items() if path],
    )


def _item(root: Root, found: Found) -> Item:
    full = full_path(root.path, found.path)
    return Item(root, found.path, full, found.size, found.mtime_ns, reason=found.reason)


def _sentences(root: Root, found: Found) -> str:
    """The lines of a text file beside a photograph, as JSON; none where it cannot be read."""
    with contextlib.suppress(OSError), open(root.path + b"/" + found.path, "rb") as file:  # noqa: PTH123 (bytes)
        lines = file.read(_MAX_SIDECAR).decode("utf-8-sig", "replace").splitlines()
        return json.dumps([line.strip() for line in lines if line.strip()])
    return "[]"


def _without_vector(catalog: Catalog, walked: _Walked, *, model: int) -> list[Item]:
    """An item for each known photograph of the roots that still needs a vector, or may be readable now."""
    roots = {root.number: root for root in walked.roots}
    rows = catalog.rows(
        "SELECT hash, files.root, files.path, size, mtime_ns FROM photos "
        "CROSS JOIN files ON files.photo = photos.id WHERE CASE WHEN photos.reason IS NULL "
        "THEN NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.photo = photos.id AND model = ?) "
        "ELSE photos.again END AND files.again = 0 "
        "AND files.root IN (SELECT value FROM json_each(?))",
        (model, json.dumps(list(roots))),
    )
    left = {(root.number, path) for root, path in walked.gone}
    left |= {(item.root.number, item.path) for item in walked.items}  # they are looked into anyhow
    away = {
        number: tuple(prefix for root, prefix in walked.away if root.number == number) for number in roots
    }
    items: dict[bytes, Item] = {}
    for digest, number, path, size, mtime_ns in rows:
        if digest not in items and (number, path) not in left and not path.startswith(away[number]):
            items[digest] = _item(roots[number], Found(path, size, mtime_ns))
            items[digest].digest, items[digest].listed = digest, False
    return list(items.values())


def _embed(items: list[Item], encoder: Encoder, *, recorder: Recorder, report: Reporter) -> None:
    meter = _Meter(recorder, report, total=recorder.done + len(items))
    feed = Feed(items, recorder)
    paths = feed.paths()
    answers = encoder.stream_images(paths)
    try:
        for answer in answers:
            recorder.take(feed.waiting.popleft(), answer)
            meter.show()
    except BaseException:  # Ctrl-C too: what is ready is kept
        with contextlib.suppress(Exception):
            recorder.flush()
        raise
    finally:
        for iterator in (answers, paths):
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
    recorder.flush()
    meter.show(last=True)


class _Meter:
    """Tells how far a run is, not too often."""

    def __init__(self, recorder: Recorder, report: Reporter, *, total: int) -> None:
        self._recorder = recorder
        self._report = report
        self._total = total
        self._before = recorder.done
        self._start = self._told = time.monotonic()

    def show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._told < _SECONDS_BETWEEN:
            return
        self._told = now
        recorder = self._recorder
        rate = (recorder.done - self._before) / max(now - self._start, 1e-6)
        self._report(
            Progress(
                "embedding",
                recorder.done,
                self._total,
                new=recorder.new + recorder.changed,
                failed=recorder.failed,
                rate=rate,
                seconds_left=(self._total - recorder.done) / rate if rate else None,
            )
        )


def _let_go(catalog: Catalog, walked: _Walked, *, recorder: Recorder) -> tuple[int, int]:
    """Forget files that are gone and photographs without a path; returns how many moved and how many left."""
    moved = 0
    arrived = Counter(recorder.arrived)
    if not walked.gone and not catalog.fact("orphans"):
        return 0, 0
    with catalog.transaction():
        for root, path in walked.gone:
            key = (root.number, path)
            photo = catalog.value("SELECT photo FROM files WHERE root = ? AND path = ?", key)
            catalog.run("DELETE FROM files WHERE root = ? AND path = ?", key)
            if photo is not None and arrived[photo] > 0:
                arrived[photo] -= 1
                moved += 1
        catalog.run("DELETE FROM photos WHERE NOT EXISTS (SELECT 1 FROM files WHERE files.photo = photos.id)")
        catalog.set_fact("orphans", 0)
        catalog.touch(losses=True)
    return moved, len(walked.gone) - moved
