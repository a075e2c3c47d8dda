"""Importing other people's features: a source in a known format into a store, gone on with at any time."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, UsageError
from sterna.features._fitting import Fitting
from sterna.features._foreign import BadItem, Entry, Foreign, Item
from sterna.features._formats import FORMATS, format_of
from sterna.features._imported import open_imported
from sterna.features._names import Names
from sterna.features._outcome import ImportReport, TransferProgress, none_usable
from sterna.features._sizes import Sizes
from sterna.features._store import FeatureStore
from sterna.files import new_file

if TYPE_CHECKING:
    from sterna.features._extract import Captioned

__all__ = ["DATA_FILE", "import_features"]

DATA_FILE = "data.csv"
"""what the captions of a source that has such are kept in, for `sterna.data.read`"""
_A_PART, _PART_BYTES = 256, 48 << 20
_FIRST_NAMES, _FIRST_ITEMS = 256, 5


def import_features(
    source: str | Path,
    out: str | Path,
    *,
    format: str | None = None,  # noqa: A002  the word that people use
    ids: str | Path | None = None,
    data: Captioned | None = None,
    names: str | None = None,
    sizes: str | Path | None = None,
    boxes: Literal["pixels", "relative"] | None = None,
    size_from_boxes: bool = False,
    dtype: str = "float16",
    progress: Callable[[TransferProgress], None] | None = None,
) -> ImportReport:
    """Take someone else's features into `out/images` or `out/captions`, but for what is there.

    A process killed at any moment loses at most the part in hand (256 items); call it again to go on. One
    item at a time is in memory, and one part. Further sources of the same format, width and dtype are added
    by further calls. An item that cannot be used is named in the report and left out.

    Arguments:
        source: a file or folder in one of the known formats.
        out: folder of the two stores.
        format: its key; found out where not given.
        ids: a file that says which id a name of the source has: JSON {name: id} or [id, ...], CSV name,id,
            one id a line, or Karpathy's or COCO's JSON, by which numbers become file names. Ids are the names
            themselves where not given.
        data: its ids are what the items are kept under, and items that it has not are left out.
        names: how the data is looked up ("id", "file", "stem", "number" of an image; "id", "stem", "position"
            of a caption), where its first names do not tell it.
        sizes: a file with the photographs' widths and heights, where the source has them not: CSV
            name,width,height, JSON {name: [width, height]}, or COCO's JSON. Else the data's photographs are
            measured.
        boxes: of which unit the source's boxes are, where that is not what its format says.
        size_from_boxes: where nothing else tells a photograph's size, take its largest box corner for it.
        dtype: "float16" or "float32", of the values.
        progress: called a few times for each part.

    Raises `DataError` where nothing can be read or a size is missing throughout, `StoreError` where `out`
    holds other features, `UsageError`, `MissingExtraError`, `DiskError`.
    """
    if dtype not in ("float16", "float32"):
        raise UsageError(f"dtype={dtype!r}: features are kept as float16 or float32")
    if boxes not in (None, "pixels", "relative"):
        raise UsageError(f"boxes={boxes!r}: must be pixels or relative")
    source, out = Path(source), Path(out)
    started = time.monotonic()
    kind_name = format_of(source, format)
    kind = FORMATS[kind_name].kind
    foreign = FORMATS[kind_name].open(source)
    naming = Names(kind, ids=None if ids is None else Path(ids), data=data, by=names)
    known = Sizes(file=None if sizes is None else Path(sizes), data=data, from_boxes=size_from_boxes)
    fitting = Fitting(kind, dtype, sizes=known, relative=None if boxes is None else boxes == "relative")
    report = ImportReport(kind_name, kind)
    work = _Import(foreign, source, naming=naming, fitting=fitting, report=report)
    work.look_ahead()
    store = open_imported(out / kind, foreign, kind=kind, name=kind_name, source=source, fitting=fitting)
    work.run(store, progress or (lambda _: None))
    if not report.done + report.skipped:
        if not len(store):  # it would say of what width and dtype the next ones have to be
            shutil.rmtree(store.path)
        raise DataError(f"{source}: {none_usable(report)}")
    there = {one for one, has in zip(store.ids, store.has(fitting.main), strict=True) if has}
    _write_captions(out / DATA_FILE, foreign, naming, there=there)
    report.seconds = time.monotonic() - started
    return report


class _Import:
    """Goes through a source, and keeps what fits."""

    def __init__(
        self, foreign: Foreign, source: Path, *, naming: Names, fitting: Fitting, report: ImportReport
    ) -> None:
        self._foreign, self._source, self._naming = foreign, source, naming
        self._fitting, self._report = fitting, report
        self._seen: dict[str, str] = {}  # ids met in this call, and where
        self._held: dict[str, dict[str, NDArray[Any]]] = {}  # items of the part in hand, by id
        self._bytes = 0

    def look_ahead(self) -> None:
        """Learn from the first names how they are meant, and from the first items how wide they are."""
        names = list(islice(self._all_names(), _FIRST_NAMES))
        if not names:
            for entry in islice(self._foreign, _FIRST_NAMES):
                self._take(entry, None)
            raise DataError(f"{self._source}: {none_usable(self._report)}")
        try:
            self._naming.decide(names, source=self._source)
        except UsageError:  # names that are sorted begin with small numbers, which fit every table
            self._naming.decide(list(self._all_names()), source=self._source)
        self._fitting.learn(self._first_items(), self._foreign, source=self._source)

    def _all_names(self) -> Iterator[str]:
        return (entry.name for entry in self._foreign if entry.name is not None)

    def _first_items(self) -> Iterator[tuple[str, str, Item]]:
        """The first items that can be read, a few of them; raises `DataError` where there is none."""
        found = 0
        outcome = ImportReport(self._report.format, self._report.kind)
        for entry in self._foreign:
            if entry.name is None or (identity := self._naming(entry.name)) is None:
                outcome.unmatched += 1
                continue
            try:
                yield entry.name, identity, entry.read()
                found += 1
            except BadItem as bad:
                outcome.problem(entry.where, bad)
            if found == _FIRST_ITEMS:
                return
        if not found:
            raise DataError(f"{self._source}: {none_usable(outcome)}")

    def run(self, store: FeatureStore, tell: Callable[[TransferProgress], None]) -> None:
        """Take in every item that the store has not."""
        column = self._fitting.main
        there = {one for one, has in zip(store.ids, store.has(column), strict=True) if has}
        report = self._report
        for number, entry in enumerate(self._foreign, start=1):
            identity = None if entry.name is None else self._naming(entry.name)
            if entry.name is not None and identity is None:
                self._unmatched(entry.name)
            elif identity is not None and identity in self._seen:
                self._again(store, entry, identity)
            elif identity is not None and identity in there:
                self._seen[identity] = entry.where
                report.skipped += 1
            else:
                self._take(entry, identity)
                if len(self._held) >= _A_PART or self._bytes >= _PART_BYTES:
                    self._flush(store)
            if number % 64 == 0:
                store.release()
                tell(TransferProgress("importing", report.done + report.skipped, entry.share))
        self._flush(store)
        tell(TransferProgress("importing", report.done + report.skipped, 1.0))

    def _unmatched(self, name: str) -> None:
        self._report.unmatched += 1
        if len(self._report.unmatched_names) < 10:
            self._report.unmatched_names.append(name)

    def _take(self, entry: Entry, identity: str | None) -> None:
        try:
            item = entry.read()
            if entry.name is None or identity is None:
                raise BadItem("has no name")
            row = self._fitting(item, name=entry.name, identity=identity)
        except BadItem as bad:
            self._report.problem(entry.where, bad)
            return
        self._seen[identity] = entry.where
        self._held[identity] = row
        self._bytes += sum(array.nbytes for array in row.values())

    def _again(self, store: FeatureStore, entry: Entry, identity: str) -> None:
        """An id that came before: the same once more does no harm, anything else is told."""
        try:
            assert entry.name is not None
            row = self._fitting(entry.read(), name=entry.name, identity=identity)
        except BadItem as bad:
            self._report.problem(entry.where, bad)
            return
        before = self._held.get(identity) or _stored(store, identity, row)
        if all(np.array_equal(before[column], row[column]) for column in row):
            self._report.skipped += 1
        else:
            where = self._seen[identity]
            self._report.problem(entry.where, f"{identity!r} came before, in {where}, with other values")

    def _flush(self, store: FeatureStore) -> None:
        if not self._held:
            return
        columns = {name: [row[name] for row in self._held.values()] for name in self._fitting.columns}
        kept = store.append_missing(list(self._held), columns)
        store.release()
        self._report.done += kept
        self._report.skipped += len(self._held) - kept
        self._held, self._bytes = {}, 0


def _stored(store: FeatureStore, identity: str, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    place = store.index_of(identity)
    return {name: store.row(name, place) for name in names}


def _write_captions(path: Path, foreign: Foreign, naming: Names, *, there: Container[str]) -> None:
    """Keep the captions that came with the features as a table, adding to what earlier calls wrote.

    Those of images that are not `there` are left out, since nothing can be trained on them.
    """
    rows: dict[str, list[str]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = {row["caption_id"]: list(row.values()) for row in csv.DictReader(file)}
    before = len(rows)
    for split, image, caption_id, text in foreign.passages():
        identity = naming(image)
        if identity is not None and identity in there:
            named = identity + caption_id.removeprefix(image)
            rows.setdefault(named, [identity, text, identity, named, split])
    if len(rows) > before:
        with (
            new_file(path) as aside,
            aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image", "caption", "image_id", "caption_id", "split"])
            writer.writerows(rows.values())
