"""Maps that were kept of photographs, so that these need not be looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sterna.features._images import Item, Prepared
from sterna.features._store import FeatureStore

__all__ = ["KeptMaps"]


class KeptMaps:
    """The column "VIEW.mapsN" of a store of images, in the place of photographs.

    Arguments:
        folder: of the two stores that an extraction made.
        stages: N.

    Raises `StoreError` where there is no such store.
    """

    def __init__(self, folder: Path, stages: int) -> None:
        self._store = FeatureStore.open(folder / "images")
        self._stages = stages

    def have(self, view: str, ids: Sequence[str]) -> bool:
        """Whether one view of all those images was kept."""
        columns = (f"{view}.maps{self._stages}", "sizes")
        return all(
            column in self._store.columns and not self._store.missing(column, ids) for column in columns
        )

    def __call__(self, item: Item, view: str) -> Prepared:
        """An image's map [C, H W], float16, with its id and the photograph's size."""
        identity, _ = item
        place = self._store.index_of(identity)
        width, height = self._store.row("sizes", place).reshape(-1)
        return identity, self._store.row(f"{view}.maps{self._stages}", place), (int(width), int(height))
