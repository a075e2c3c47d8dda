"""Keeps a library up to date while files change: notices, looks without the lock, and short runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import DiskError, LockedError
from sterna.library._catalog import Catalog
from sterna.library._changes import Changes, check_extra
from sterna.library._drives import is_network_drive
from sterna.library._look import EVERYTHING, Part, differences, look
from sterna.library._opened import Opened
from sterna.library._paths import is_inside
from sterna.library._roots import Root, known_roots, resolved
from sterna.library._run import index_library
from sterna.library._settling import Settling
from sterna.library._trouble import Trouble
from sterna.library._types import Failure, IndexReport, Progress, Reporter
from sterna.library._watched import Watched, farewell
from sterna.words import printable

if TYPE_CHECKING:
    from sterna.encoders import Encoder

__all__ = ["Watcher"]

_POLL = 30.0  # seconds between two looks at a folder whose changes the system does not tell
_ANYWAY = 900.0  # and at one whose changes it does: it may lose some without a word
_RARELY = 5  # but the pause is so many times as long as a look, and where it tells a hundred times that
_GROWING = 5.0  # quiet times for which a file that was written just now and cannot be read is waited for
_GLANCE = 1.0  # seconds between two glances at which roots there are, and whether they are there
_SOON = 0.5  # seconds, at most, between two looks at what has to settle


class _Stop(Exception):  # noqa: N818 (it is no error)
    """The watching is to end."""


class Watcher:
    """Watches the roots of a library; see `Library.watch` for the arguments, of which all are given.

    A notice names what is to be looked at. A look compares that with the catalogue, without the library's
    lock, and tells which files differ. Those that stay as they are for `quiet` seconds make a run, which is
    about them alone.
    """

    def __init__(
        self,
        opened: Opened,
        roots: Sequence[str | Path],
        *,
        model: str | Path | Encoder | None,
        quiet: float,
        poll: float | bool | None,
        stop: threading.Event,
        progress: Reporter,
        on_report: Callable[[IndexReport], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self._opened = opened
        self._named = [os.fsdecode(resolved(root)) for root in roots]
        self._model = model
        self._quiet = quiet
        self._poll = poll
        self._stop = stop
        self._progress = progress
        self._on_report = on_report
        self._tell = on_notice
        self._changes = Changes(stop)
        self._settling = Settling(quiet)
        self._trouble = Trouble(on_notice)
        self._catalog: Catalog | None = None
        self._roots: dict[bytes, Watched] = {}
        self._failed: set[Failure] = set()
        self._reports: list[IndexReport] = []
        self._refused = False  # the system does not watch so many folders
        self._rest = self._next_glance = self._next_look = 0.0

    def run(self, *, exclude: Sequence[str]) -> None:
        """Watch until it is to stop; raises what the first run does, unless it may pass."""
        if self._poll is None or self._poll is False:
            check_extra()
        try:
            self._first(exclude)
            while not self._stop.is_set():
                self._turn()
        except _Stop:
            pass
        finally:
            self._changes.close()
            if self._catalog is not None:
                self._catalog.close()

    def _first(self, exclude: Sequence[str]) -> None:
        while True:
            self._heed_stop()
            try:
                report = self._index(self._named, exclude=exclude, parts=None)
            except (LockedError, DiskError) as error:
                self._stop.wait(self._trouble.met(error))
            else:
                break
        self._trouble.over()
        self._failed = set(report.failures)
        self._on_report(report)

    def _turn(self) -> None:
        """Take notices for a moment, and do what is due."""
        self._gather()
        now = time.monotonic()
        if now < self._rest:
            return
        try:
            if now >= self._next_glance:
                self._glance(now)
                self._next_glance = now + _GLANCE
            if now >= self._next_look:
                self._look_at_pending()
            self._watch_folders()
            self._run_ready()
        except _Stop:
            raise
        except Exception as error:  # whatever it is, it ends no watching
            self._rest = time.monotonic() + self._trouble.met(error)
        else:
            self._trouble.over()
        while self._reports:
            self._on_report(self._reports.pop(0))

    def _gather(self) -> None:
        changes = self._changes.wait()
        if changes is None:
            for one in self._roots.values():
                one.begin_again()
            return
        library, now = os.fsencode(self._opened.path), time.monotonic()
        by_length = sorted(self._roots, key=len, reverse=True)
        for change, text in changes:
            path = os.fsencode(text).rstrip(b"/") or b"/"
            root = next((one for one in by_length if is_inside(path, one)), None)
            if root is None or is_inside(path, library):  # what a look does there would cause the next
                continue
            file = self._roots[root].notice(path, made=change.name != "modified")
            if file is not None:
                self._settling.touch(root, file, now=now)

    def _glance(self, now: float) -> None:
        """See which roots there are, and which are there; have looked at what it is time for."""
        roots = known_roots(self._catalog_now())
        known = {root.path: root for root in roots if self._is_meant(root)}
        for path in [path for path in self._roots if path not in known]:
            self._tell(farewell(path, roots))
            self._settling.forget(path)
            del self._roots[path]
        for path, root in known.items():
            if path not in self._roots:
                network = self._poll is None and is_network_drive(Path(os.fsdecode(path)))
                self._roots[path] = one = Watched(root, polled=network or self._polls_all)
                how = f", by a look every {self._pause(one):g} seconds" if one.polled else ""
                self._tell(f"watching {printable(os.fsdecode(path))}{how}")
            one = self._roots[path]
            one.refresh(root)
            if now >= one.next_look:
                one.want(EVERYTHING)
        for path, signs in self._settling.to_try_again(now).items():
            if path in self._roots:
                self._roots[path].want(self._roots[path].files(signs))

    @property
    def _polls_all(self) -> bool:
        return self._refused or self._poll is True or (self._poll or 0) > 0

    def _pause(self, one: Watched) -> float:
        if one.polled:
            return _POLL if self._poll is None or isinstance(self._poll, bool) else self._poll
        return _ANYWAY if len(one.watchable()) == len(one.folders) else _POLL

    def _is_meant(self, root: Root) -> bool:
        return not self._named or any(root.reaches(os.fsencode(name)) for name in self._named)

    def _look_at_pending(self) -> None:
        catalog = self._catalog_now()
        start = time.monotonic()
        pending = [one for one in self._roots.values() if one.pending]
        for one in pending:
            self._look(catalog, one)
        if pending:
            now = time.monotonic()
            self._next_look = now + max(now - start, min(_SOON, self._quiet / 2))

    def _look(self, catalog: Catalog, one: Watched) -> None:
        start = time.monotonic()
        one.refresh(one.root)  # it may have gone and come back since it was last seen
        scan, part = look(catalog, one.root, part=one.pending, report=lambda _: self._heed_stop())
        found = differences(catalog, one.root, scan=scan, part=part)
        before, now = one.away, time.monotonic()
        one.looked(scan, part)
        for path in sorted(one.away - before):
            self._tell(f"{printable(path)}: not there now; nothing of it was touched")
        for path in sorted(before - one.away):
            self._tell(f"{printable(path)}: there again")
        if part.whole:
            rarely = _RARELY if one.polled else 100 * _RARELY
            one.next_look = now + max(self._pause(one), rarely * (now - start))
        self._settling.update(one.root.path, part=part, found=found, now=now)
        one.want(one.files(self._settling.unsettled(one.root.path, now=now)))

    def _watch_folders(self) -> None:
        """Have the system tell of all folders that were listed, and look once more at those it did not."""
        if not any(one.regrouped for one in self._roots.values()):
            return
        for one in self._roots.values():
            one.regrouped = False
        wanted = {path: {} if one.polled else one.watchable() for path, one in self._roots.items()}
        if not self._changes.each_folder:
            wanted = {root: {p: f for p, f in folders.items() if not f} for root, folders in wanted.items()}
        if all(set(folders.values()) == self._roots[root].watched for root, folders in wanted.items()):
            return
        try:
            self._changes.watch([path for folders in wanted.values() for path in folders])
        except OSError as error:
            self._give_up_notices(error)
            return
        for root, folders in wanted.items():
            one = self._roots[root]
            fresh, one.watched = set(folders.values()) - one.watched, set(folders.values())
            if fresh:
                one.want(EVERYTHING if b"" in fresh else Part(deep=frozenset(fresh)))

    def _give_up_notices(self, error: OSError) -> None:
        """Poll all roots, because the system does not tell what changes."""
        self._changes.watch([])
        self._refused = True
        for one in self._roots.values():
            one.polled, one.watched = True, set()
            one.next_look = 0.0
        self._tell(
            f"the system cannot tell what changes ({error}); a look every {_POLL:g} seconds stands in for it "
            "until its limits (fs.inotify) are raised and this is started again"
        )

    def _run_ready(self) -> None:
        ready = self._settling.ready(time.monotonic())
        ready = {root: signs for root, signs in ready.items() if root in self._roots}
        if not ready:
            return
        parts = {root: replace(self._roots[root].files(signs), only=signs) for root, signs in ready.items()}
        report = self._index([os.fsdecode(root) for root in self._roots], exclude=(), parts=parts)
        self._settling.tried(ready, now=time.monotonic())
        for root, signs in ready.items():
            self._roots[root].want(self._roots[root].files(signs))
        fresh = tuple(one for one in report.failures if one not in self._failed)
        looked = [Path(os.fsdecode(root)) for root in ready]
        self._failed = {one for one in self._failed if not any(map(one.path.is_relative_to, looked))}
        self._failed.update(report.failures)
        report = replace(report, failed=len(fresh), failures=fresh)
        if report.new or report.changed or report.moved or report.removed or report.failed:
            self._reports.append(report)

    def _index(
        self, roots: Sequence[str], *, exclude: Sequence[str], parts: dict[bytes, Part] | None
    ) -> IndexReport:
        return index_library(
            self._opened,
            roots,
            model=self._model,
            exclude=exclude,
            report=self._report,
            wait=0,
            parts=parts,
            patience=_GROWING * self._quiet,
        )

    def _report(self, progress: Progress) -> None:
        self._heed_stop()
        self._progress(progress)

    def _heed_stop(self) -> None:
        if self._stop.is_set():
            raise _Stop

    def _catalog_now(self) -> Catalog:
        if self._catalog is not None and self._catalog.replaced:
            self._catalog.close()
            self._catalog = None
        if self._catalog is None:
            self._catalog = Catalog(self._opened.path)
        return self._catalog
