"""Views of images through a backbone into a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sterna._threads import available_threads
from sterna.errors import PhotoError
from sterna.features._looks import Look
from sterna.features._part import ColumnSpec
from sterna.features._report import ExtractProgress, ExtractReport, Failure, Meter, ahead
from sterna.features._store import FeatureStore
from sterna.features._views import least_side, view_of
from sterna.files import write_text

if TYPE_CHECKING:
    from sterna.backbones import ImageBackbone

__all__ = ["ImageJob", "Item", "Prepared", "image_columns", "photographs"]

_A_PART = 256

Item = tuple[str, Path]
"""an image's id and file"""
Prepared = tuple[str, NDArray[Any], tuple[int, int]]
"""its id, what a look takes, and the photograph's width and height"""
_Source = Callable[[Item, str], "Prepared | Failure"]


def image_columns(look: Look, views: Sequence[str]) -> dict[str, ColumnSpec]:
    """The columns of a store of images: the photographs' sizes, and what `look` gives of each view."""
    columns = {"sizes": ColumnSpec("int32", 2)}
    return columns | {f"{view}{name}": made.spec for view in views for name, made in look.columns.items()}


class ImageJob:
    """Makes views of images that a store has not, part by part: `source` brings what `look` takes."""

    def __init__(
        self,
        store: FeatureStore,
        source: _Source,
        look: Look,
        *,
        batch_size: int,
        report: ExtractReport,
        tell: Callable[[ExtractProgress], None],
    ) -> None:
        self._store, self._source, self._look = store, source, look
        self._batch_size, self._report, self._tell = batch_size, report, tell

    def make(self, view: str, items: Sequence[Item]) -> None:
        """Make one view of every item that lacks it."""
        ids = [identity for identity, _ in items]
        wanted = {one for name in self._look.columns for one in self._store.missing(f"{view}{name}", ids)}
        self._report.skipped += len(items) - len(wanted)
        wanted -= {failure.id for failure in self._report.failed}
        todo = [item for item in items if item[0] in wanted]
        meter = Meter(view, self._tell, before=len(items) - len(todo), total=len(items))
        step = min(made.spec.items_a_part(made.rows, at_most=_A_PART) for made in self._look.columns.values())
        for start in range(0, len(todo), step):
            self._part(view, todo[start : start + step], meter)
        self._note_failures()

    def _part(self, view: str, items: Sequence[Item], meter: Meter) -> None:
        ids: list[str] = []
        sizes: list[NDArray[Any]] = []
        columns: dict[str, list[NDArray[Any]]] = {f"{view}{name}": [] for name in self._look.columns}
        failed_before = len(self._report.failed)
        for batch in self._batches(view, items):
            made = self._look([prepared for _, prepared, _ in batch])
            for name, (spec, _) in self._look.columns.items():
                column = f"{view}{name}"  # a part in hand weighs what it weighs on disk
                columns[column].extend(spec.cast(one, column=column) for one in made[name])
            ids.extend(identity for identity, _, _ in batch)
            sizes.extend(np.array([size], dtype=np.int32) for _, _, size in batch)
            meter.add(len(batch))
        # sizes go first: where they become a part of their own, no kill leaves a view without them
        columns = {"sizes": sizes, **columns}
        kept = self._store.append_missing(ids, columns)
        self._report.images += kept
        self._report.skipped += len(ids) - kept
        if failed := len(self._report.failed) - failed_before:
            meter.add(failed)

    def _batches(self, view: str, items: Sequence[Item]) -> Iterator[list[Prepared]]:
        def decode(item: Item) -> Prepared | Failure:
            return self._source(item, view)

        batch: list[Prepared] = []
        workers = min(4, available_threads())
        for one in ahead(decode, items, workers=workers, waiting=2 * self._batch_size):
            if isinstance(one, Failure):
                self._report.failed.append(one)
                continue
            batch.append(one)
            if len(batch) == self._batch_size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _note_failures(self) -> None:
        path = self._store.path / "failed.jsonl"
        before = _read_failures(path)
        mended = {one.id for one in before} - set(self._store.missing("sizes", [one.id for one in before]))
        failed = {one.id: one for one in before if one.id not in mended}
        failed |= {one.id: one for one in self._report.failed}
        lines = [json.dumps(vars(one)) + "\n" for one in failed.values()]
        if lines:
            write_text(path, "".join(lines))
        else:
            path.unlink(missing_ok=True)


def _read_failures(path: Path) -> list[Failure]:
    if not path.is_file():
        return []
    return [Failure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def photographs(backbone: ImageBackbone) -> _Source:
    """Opens an image's file and prepares a view of it for the backbone."""
    from sterna.images import open_photo

    def prepare(item: Item, view: str) -> Prepared | Failure:
        identity, path = item
        try:
            photo = open_photo(path, at_least=least_side(view, backbone.size))
        except PhotoError as error:
            return Failure(identity, str(path), error.reason)
        image = view_of(photo.image, view, identity=identity)
        return identity, backbone.prepare(image), (photo.width, photo.height)

    return prepare
