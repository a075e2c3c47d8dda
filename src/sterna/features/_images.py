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
from sterna.features._engines import Engine
from sterna.features._part import ColumnSpec
from sterna.features._report import ExtractProgress, ExtractReport, Failure, Meter, ahead
from sterna.features._store import FeatureStore
from sterna.features._views import least_side, view_of
from sterna.files import write_text

if TYPE_CHECKING:
    from sterna.backbones import ImageBackbone

__all__ = ["ImageJob", "image_columns"]

_A_PART = 256
_Item = tuple[str, Path]
_Square = tuple[str, NDArray[np.uint8], tuple[int, int]]


def image_columns(backbone: ImageBackbone, views: Sequence[str], dtype: str) -> dict[str, ColumnSpec]:
    """The columns of a store of images: a view's values and boxes, and the photographs' sizes."""
    columns = {"sizes": ColumnSpec("int32", 2)}
    for view in views:
        columns[view] = ColumnSpec(dtype, backbone.dim)
        columns[f"{view}.boxes"] = ColumnSpec("float32", 4)
    return columns


class ImageJob:
    """Makes views of images that a store has not, part by part."""

    def __init__(
        self,
        store: FeatureStore,
        backbone: ImageBackbone,
        engine: Engine,
        *,
        batch_size: int,
        report: ExtractReport,
        tell: Callable[[ExtractProgress], None],
    ) -> None:
        self._store, self._backbone, self._engine = store, backbone, engine
        self._batch_size, self._report, self._tell = batch_size, report, tell
        self._boxes: NDArray[np.float32] = backbone.boxes.numpy()

    def make(self, view: str, items: Sequence[_Item]) -> None:
        """Make one view of every item that lacks it."""
        wanted = set(self._store.missing(view, [identity for identity, _ in items]))
        self._report.skipped += len(items) - len(wanted)
        wanted -= {failure.id for failure in self._report.failed}
        todo = [item for item in items if item[0] in wanted]
        meter = Meter(view, self._tell, before=len(items) - len(todo), total=len(items))
        step = self._store.columns[view].items_a_part(self._backbone.regions, at_most=_A_PART)
        for start in range(0, len(todo), step):
            self._part(view, todo[start : start + step], meter)
        self._note_failures()

    def _part(self, view: str, items: Sequence[_Item], meter: Meter) -> None:
        spec = self._store.columns[view]
        ids: list[str] = []
        sizes: list[NDArray[Any]] = []
        values: list[NDArray[Any]] = []
        failed_before = len(self._report.failed)
        for batch in self._batches(view, items):
            made = self._engine(np.stack([square for _, square, _ in batch]))
            values.extend(spec.cast(made, column=view))  # a part in hand weighs what it weighs on disk
            ids.extend(identity for identity, _, _ in batch)
            sizes.extend(np.array([size], dtype=np.int32) for _, _, size in batch)
            meter.add(len(batch))
        # sizes go first: where they become a part of their own, no kill leaves a view without them
        columns = {"sizes": sizes, view: values, f"{view}.boxes": [self._boxes] * len(ids)}
        kept = self._store.append_missing(ids, columns)
        self._report.images += kept
        self._report.skipped += len(ids) - kept
        if failed := len(self._report.failed) - failed_before:
            meter.add(failed)

    def _batches(self, view: str, items: Sequence[_Item]) -> Iterator[list[_Square]]:
        def decode(item: _Item) -> _Square | Failure:
            return _square(item, view, self._backbone)

        batch: list[_Square] = []
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


def _square(item: _Item, view: str, backbone: ImageBackbone) -> _Square | Failure:
    from sterna.images import open_photo, to_square

    identity, path = item
    try:
        photo = open_photo(path, at_least=least_side(view, backbone.size))
    except PhotoError as error:
        return Failure(identity, str(path), error.reason)
    image = view_of(photo.image, view, identity=identity)
    return identity, to_square(image, backbone.size, backbone.fit), (photo.width, photo.height)
