"""How large photographs are, where features do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, PhotoError
from sterna.features._foreign import BadItem
from sterna.features._names import read_table
from sterna.files import read_json

if TYPE_CHECKING:
    from sterna.features._extract import Captioned

__all__ = ["Sizes"]

_Size = tuple[int, int]


class Sizes:
    """Sizes of photographs: from a file, from the photographs, or, where that is allowed, from the boxes.

    Arguments:
        file: CSV rows NAME,WIDTH,HEIGHT, JSON {NAME: [WIDTH, HEIGHT]}, or COCO's JSON of images.
        data: its photographs are measured.
        from_boxes: take the largest box corner, which may be short of the photograph's.
    """

    def __init__(
        self, *, file: Path | None = None, data: Captioned | None = None, from_boxes: bool = False
    ) -> None:
        self._known: Mapping[str, _Size] = {} if file is None else _read(file)
        self._paths = {} if data is None else dict(zip(data.image_ids, data.paths, strict=True))
        self._from_boxes = from_boxes

    def find(self, name: str, identity: str, boxes: NDArray[Any]) -> _Size | None:
        """Width and height of an image, by what the source calls it or by its id; raises `BadItem`."""
        for known_as in (name, identity, Path(name).name):
            if known_as in self._known:
                return self._known[known_as]
        path = self._paths.get(identity)
        if path is not None and path.is_file():
            return _measured(path)
        if self._from_boxes and len(boxes):
            width, height = np.ceil(boxes[:, 2:].max(axis=0))
            return max(1, int(width)), max(1, int(height))
        return None


def _measured(path: Path) -> _Size:
    from sterna.images import open_photo

    try:
        photo = open_photo(path, at_least=1)
    except PhotoError as error:
        raise BadItem(f"the size of its photograph {path.name} is not to be had: {error.reason}") from None
    return photo.width, photo.height


def _read(path: Path) -> dict[str, _Size]:
    if path.suffix.lower() != ".json":
        return {cells[0]: _size(cells[1:3], f"{path}:{number}") for number, cells in read_table(path)}
    value = read_json(path, error=DataError)
    sizes: dict[str, _Size] = {}
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        for place, image in enumerate(value["images"]):
            where = f"{path}: images[{place}]"
            if not isinstance(image, dict):
                raise DataError(f"{where}: is no image")
            size = _size([image.get("width"), image.get("height")], where)
            keys = ("file_name", "filename", "id", "cocoid")
            sizes |= {str(image[key]): size for key in keys if image.get(key) is not None}
        return sizes
    if not isinstance(value, dict):
        raise DataError(f"{path}: is no map of sizes; {{NAME: [WIDTH, HEIGHT]}} is needed")
    for name, one in value.items():
        pair = [one.get("width"), one.get("height")] if isinstance(one, dict) else one
        sizes[name] = _size(pair, f"{path}: {name!r}")
    return sizes


def _size(pair: Any, where: str) -> _Size:
    try:
        width, height = (int(one) for one in pair)
    except (TypeError, ValueError):
        raise DataError(f"{where}: width and height are needed, {pair!r} came") from None
    if width < 1 or height < 1:
        raise DataError(f"{where}: width and height are {width} and {height}; both are above 0")
    return width, height
