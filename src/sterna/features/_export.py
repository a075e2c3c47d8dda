"""Exporting a store in a format of others, gone on with at any time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sterna.errors import DataError, StoreError, UsageError, check_known
from sterna.features._fitting import in_pixels
from sterna.features._foreign import BadItem, Item, Kind, Passage, Target, Writer
from sterna.features._formats import FORMATS
from sterna.features._outcome import ExportReport, TransferProgress, in_words
from sterna.features._store import FeatureStore
from sterna.files import hash_json, read_json, write_json

__all__ = ["CaptionedSplits", "export_features", "find_store"]

_BESIDE = ("boxes", "scores", "classes", "tokens")  # fields of `Target` and of `Item`
_RELEASE_EVERY = 128  # items after which mapped files are let go of


class CaptionedSplits(Protocol):
    """What an export needs of a data set; `sterna.data.CaptionedImages` has it."""

    @property
    def image_ids(self) -> Sequence[str]:
        """Unique ids of the images."""

    @property
    def captions(self) -> Sequence[str]:
        """All captions."""

    @property
    def caption_ids(self) -> Sequence[str]:
        """Unique ids of the captions."""

    @property
    def owners(self) -> Any:
        """[C] int64: each caption's image."""

    @property
    def splits(self) -> Sequence[str | None]:
        """Each image's split."""


def find_store(path: str | Path, kind: Kind) -> FeatureStore:
    """The store of images or captions at `path`, or in the folder of features that `path` is.

    Raises `StoreError` where there is none of this kind.
    """
    path = Path(path)
    inner = path / kind
    store = FeatureStore.open(inner if (inner / "manifest.json").is_file() else path)
    if store.meta.get("kind") not in (kind, None):
        raise StoreError(f"{store.path}: holds features of {store.meta['kind']}; those of {kind} are needed")
    return store


def export_features(
    store: str | Path,
    dest: str | Path,
    *,
    format: str,  # noqa: A002  the word that people use
    view: str = "original",
    data: CaptionedSplits | None = None,
    progress: Callable[[TransferProgress], None] | None = None,
) -> ExportReport:
    """Write a store's features in a format of others.

    A process killed at any moment is gone on with by the same call. Nothing stands under the final names
    before all is written, but for formats of a file an item.

    Arguments:
        store: a folder of features, or the store `images` or `captions` in it.
        dest: the file or folder to write; must not be there, unless an earlier call began it.
        format: a key of the known formats.
        view: which of the images' views.
        data: gives the splits, captions and order of images to formats that have such; only its images are
        written. progress: called now and then.

    Raises `UsageError`, `StoreError`, `DataError` where the format cannot hold this store, `DiskError`.
    """
    check_known("format", format, FORMATS)
    chosen = FORMATS[format]
    if chosen.write is None:
        raise UsageError(f"format={format!r}: can be imported alone")
    started = time.monotonic()
    source = find_store(store, chosen.kind)
    read = _Reading(source, chosen.kind, view=view)
    target = read.target(Path(dest), data)
    report = ExportReport(format, chosen.kind)
    report.left_out = [what for what in _BESIDE if getattr(target, what) and what not in chosen.keeps]
    with _begun(target, source, [format, view, str(data is not None)]) as note:
        writer = chosen.write(target)
        try:
            _write(read, target.ids, writer, report=report, tell=progress or (lambda _: None))
            if not report.done + report.skipped:
                told = "; ".join(in_words(report.reasons)[:5])
                raise DataError(f"{source.path}: no item could be written as {format}: {told}")
        except BaseException:
            writer.abandon()
            raise
        writer.close()
        note.unlink(missing_ok=True)
    report.seconds = time.monotonic() - started
    return report


@contextlib.contextmanager
def _begun(target: Target, source: FeatureStore, asked: Sequence[str]) -> Iterator[Path]:
    """The note beside `dest` that says what was begun there: of what, and what was `asked` for.

    Raises `UsageError` where `dest` is there and no note says that this export began it.
    """
    dest = target.dest
    note = dest.parent / f".{dest.name}.export.json"
    facts = [
        *asked,
        source.meta.get("fingerprint"),
        list(target.ids),
        target.dim,
        target.dtype,
        target.splits,
    ]
    begun = {"export": hash_json([*facts, target.lengths.tolist(), [list(one) for one in target.passages]])}
    there = read_json(note) if note.is_file() else None
    if there is not None and there != begun:
        raise UsageError(
            f"{dest}: another export was begun there; name another place, or remove it and {note}"
        )
    if there is None:
        held = dest.exists() and (dest.is_file() or any(dest.iterdir()))
        if held:
            raise UsageError(f"{dest}: exists already; name another place, or remove it first")
        for left in dest.parent.glob(f"{dest.name}.part"):
            left.unlink()
        write_json(note, begun)
    yield note


def _write(
    read: _Reading,
    ids: Sequence[str],
    writer: Writer,
    *,
    report: ExportReport,
    tell: Callable[[TransferProgress], None],
) -> None:
    for number, identity in enumerate(ids, start=1):
        if writer.done(identity):
            report.skipped += 1
            continue
        try:
            writer.write(identity, read(identity))
            report.done += 1
        except BadItem as bad:
            report.problem(identity, bad)
        if number % _RELEASE_EVERY == 0:
            read.store.release()
            tell(TransferProgress("exporting", number, number / len(ids)))
    tell(TransferProgress("exporting", len(ids), 1.0))


class _Reading:
    """Items of a store as formats take them: boxes in pixels."""

    def __init__(self, store: FeatureStore, kind: Kind, *, view: str) -> None:
        self.store, self.kind = store, kind
        self._main = view if kind == "images" else "values"
        if self._main not in store.columns or store.columns[self._main].width is None:
            raise StoreError(
                f"{store.path}: has no {kind} under {self._main!r}; it has {', '.join(store.columns)}"
            )
        self._extras = {
            "scores": f"{view}.scores",
            "classes": f"{view}.classes",
            "tokens": "tokens",
        }
        self._boxes = f"{view}.boxes" if kind == "images" else ""
        # boxes that were made up when there were none are not handed on
        made_up = str(store.meta.get("boxes", "")).startswith("none")
        self._has_boxes = self._boxes in store.columns and not made_up

    def target(self, dest: Path, data: CaptionedSplits | None) -> Target:
        """What is to be written; raises `DataError` where the store holds nothing of it."""
        store, there = self.store, set(self.store.columns)
        has = store.has(self._main)
        ids = [one for one, held in zip(store.ids, has, strict=True) if held]
        passages: list[Passage] = []
        splits: list[str | None] = []
        if data is not None and self.kind == "images":
            held = set(ids)
            ids = [one for one in data.image_ids if one in held]
            split_of = dict(zip(data.image_ids, data.splits, strict=True))
            splits = [split_of[one] for one in ids]
            passages = [
                Passage(data.splits[owner] or "", data.image_ids[owner], identity, text)
                for text, identity, owner in zip(data.captions, data.caption_ids, data.owners, strict=True)
            ]
        if not ids:
            raise DataError(f"{store.path}: holds nothing to export" + (" of the data" if data else ""))
        spec = store.columns[self._main]
        assert spec.width is not None
        return Target(
            dest,
            ids=ids,
            dim=spec.width,
            dtype=spec.dtype,
            lengths=store.lengths(self._main, store.indices_of(ids)),
            boxes=self._has_boxes,
            scores=self._extras["scores"] in there,
            classes=self._extras["classes"] in there,
            tokens=self.kind == "captions" and "tokens" in there,
            passages=passages,
            splits=splits,
        )

    def __call__(self, identity: str) -> Item:
        """One item; raises `BadItem` where something of it is missing."""
        row = self.store.index_of(identity)
        values = np.asarray(self._row(self._main, row))
        found: dict[str, Any] = {}
        for what, column in self._extras.items():
            held = self._row(column, row) if column in self.store.columns else None
            if held is not None and (what == "tokens") == (self.kind == "captions"):
                found[what] = np.asarray(held)
        if not self._has_boxes:
            return Item(values, **found)
        sizes = self._row("sizes", row) if "sizes" in self.store.columns else None
        if sizes is None or not len(sizes):
            raise BadItem("the size of its photograph is not known, and its boxes are to be in pixels")
        size = (int(sizes[0, 0]), int(sizes[0, 1]))
        boxes = self._row(self._boxes, row)
        return Item(values, boxes=in_pixels(np.asarray(boxes), size), size=size, relative=False, **found)

    def _row(self, column: str, row: int) -> Any:
        try:
            return self.store.row(column, row)
        except StoreError as error:
            raise BadItem(f"has no {column}") from error
