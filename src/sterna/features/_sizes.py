"""How large photographs are, where features do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError, PhotoError
from sterna.features._foreign import BadItem
from sterna.features._names import cocos_number, read_table, unique
from sterna.files import read_json

if TYPE_CHECKING:
    from sterna.features._extract import Captioned

__all__ = ["Sizes"]

_Size = tuple[int, int]
_PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


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
        photographs = [(PurePosixPath(name), size) for name, size in self._known.items()]
        self._stems = unique((path.stem, size) for path, size in photographs if _is_photograph(path))
        self._numbers = unique((cocos_number(path.stem), size) for path, size in photographs)
        self._paths = {} if data is None else dict(zip(data.image_ids, data.paths, strict=True))
        self._from_boxes = from_boxes

    def find(self, name: str, identity: str, boxes: NDArray[Any]) -> _Size | None:
        """Width and height of an image, by what the source calls it or by its id; raises `BadItem`.

        Found by that name, by its last part, without the suffix of a photograph on either side, or by COCO's
        number in it.
        """
        for known_as in (PurePosixPath(name), PurePosixPath(identity)):
            size = self._listed(known_as)
            if size is not None:
                return size
        path = self._paths.get(identity)
        if path is not None and path.is_file():
            return _measured(path)
        if self._from_boxes and len(boxes):
            width, height = np.ceil(boxes[:, 2:].max(axis=0))
            return max(1, int(width)), max(1, int(height))
        return None

    def _listed(self, path: PurePosixPath) -> _Size | None:
        stem = path.stem if _is_photograph(path) else path.name
        number = cocos_number(stem)
        for table, known_as in (
            (self._known, str(path)),
            (self._known, path.name),
            (self._known, stem),
            (self._stems, stem),
            (self._known, number),
            (self._numbers, number or stem),
        ):
            if known_as is not None and known_as in table:
                return table[known_as]
        return None


def _is_photograph(path: PurePosixPath) -> bool:
    return path.suffix.lower() in _PHOTOGRAPHS


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
