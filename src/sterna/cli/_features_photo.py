"""A photograph's regions, for `sterna features show`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sterna.cli._extras import learning_wing
from sterna.errors import PhotoError, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sterna.features import FeatureStore
    from sterna.figures import Region

__all__ = ["found_regions", "seen_regions"]

_VIEW = "original"


def found_regions(photo: Path, features: Path, *, identity: str | None) -> list[Region]:
    """The regions that a store has of a photograph; raises `StoreError` where it has none.

    Arguments:
        identity: its id there; found by the photograph's path and name where not given.
    """
    from sterna.features import find_store

    store = find_store(features, "images")
    return _regions(store, store.index_of(_identity(store, photo) if identity is None else identity), photo)


def seen_regions(photo: Path, backbone: str) -> list[Region]:
    """The regions that a backbone sees on a photograph; raises `ModelError`, `PhotoError`."""
    with learning_wing("Looking for regions"), tempfile.TemporaryDirectory(prefix="sterna-") as folder:
        from sterna.features import extract, find_store

        report = extract(
            _One(photo), folder, image_backbone=backbone, text_backbone=None, dtype="float32", engine="torch"
        )
        if report.failed:
            raise PhotoError(report.failed[0].reason, path=str(photo))
        return _regions(find_store(folder, "images"), 0, photo)


@dataclass(frozen=True)
class _One:
    """A data set of one photograph and no captions."""

    photo: Path
    captions: Sequence[str] = field(default=())
    caption_ids: Sequence[str] = field(default=())

    @property
    def image_ids(self) -> Sequence[str]:
        """Its name."""
        return [self.photo.name]

    @property
    def paths(self) -> Sequence[Path]:
        """Its path."""
        return [self.photo]


def _identity(store: FeatureStore, photo: Path) -> str:
    """The id that ends the photograph's path, that is its name, or that is its name without the suffix."""
    path = photo.absolute().as_posix()
    ids = store.ids
    ways: tuple[Callable[[str], bool], ...] = (
        lambda one: path == one or path.endswith(f"/{one}"),
        lambda one: PurePosixPath(one).name == photo.name,
        lambda one: PurePosixPath(one).stem == photo.stem,
    )
    for fits in ways:
        found = [one for one in ids if fits(one)]
        if len(found) == 1:
            return found[0]
        if found:
            raise StoreError(
                f"{store.path}: {len(found)} of its items could be {photo.name} "
                f"({', '.join(map(repr, found[:3]))}); say which with --id"
            )
    first = f", such as {ids[0]!r}" if ids else ""
    raise StoreError(f"{store.path}: no item is called like {photo.name}; say its id with --id{first}")


def _regions(store: FeatureStore, row: int, photo: Path) -> list[Region]:
    from sterna.figures import Region
    from sterna.images import open_photo

    if f"{_VIEW}.boxes" not in store.columns:
        raise StoreError(f"{store.path}: has no boxes of regions")
    boxes = store.row(f"{_VIEW}.boxes", row)
    scores, classes = (_column(store, f"{_VIEW}.{what}", row) for what in ("scores", "classes"))
    opened = open_photo(photo)
    placed = _on_photo(boxes, str(store.meta.get("fit")), (opened.width, opened.height))
    names = store.meta.get("classes")
    return [
        Region(
            tuple(float(one) for one in box),  # type: ignore[arg-type]
            label=_name(names, int(classes[place])) if place < len(classes) else "",
            score=float(scores[place]) if place < len(scores) else None,
        )
        for place, box in enumerate(placed)
    ]


def _column(store: FeatureStore, name: str, row: int) -> Sequence[Any]:
    there = name in store.columns and bool(store.has(name)[row])
    values: list[Any] = store.row(name, row).tolist() if there else []
    return values


def _name(names: Any, number: int) -> str:
    if isinstance(names, Sequence) and not isinstance(names, str) and 0 <= number < len(names):
        return str(names[number])
    if isinstance(names, Mapping) and str(number) in names:
        return str(names[str(number)])
    return str(number)


def _on_photo(boxes: NDArray[np.float32], fit: str, size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes [R, 4] in 0..1 of the square that a backbone took, in 0..1 of the photograph."""
    import numpy as np

    width, height = size
    side = {"crop": min(size), "letterbox": max(size)}.get(fit)
    if side is None:  # the whole photograph is what was taken
        return boxes.astype(np.float64)
    left, top = (width - side) / 2, (height - side) / 2
    scale, shift = np.array([side] * 4), np.array([left, top, left, top])
    placed: NDArray[np.float64] = (boxes * scale + shift) / np.array([width, height, width, height])
    return placed
