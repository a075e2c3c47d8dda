"""What is kept of a photograph: the columns of a view, and who fills them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sterna.errors import ModelError, UsageError
from sterna.features._engines import ENGINES, image_engine, tail_engine
from sterna.features._part import ColumnSpec

if TYPE_CHECKING:
    from sterna.backbones import Detector, ImageBackbone

__all__ = ["Look", "Made", "keep_pixels", "look_at_maps", "look_of"]


class Made(NamedTuple):
    """What a look gives of each photograph: a column, and how many rows of it at most."""

    spec: ColumnSpec
    rows: int


class Look(Protocol):
    """Prepared photographs in, columns out."""

    @property
    def name(self) -> str:
        """What runs: "onnx" or "torch", once something did."""

    @property
    def columns(self) -> Mapping[str, Made]:
        """What is given, by what follows the view's name: "" for the values, ".boxes" and so on."""

    def __call__(self, prepared: Sequence[NDArray[Any]]) -> Mapping[str, Sequence[NDArray[Any]]]:
        """By the same names one array for each photograph that the backbone's `prepare` made."""


def look_of(
    backbone: ImageBackbone, *, dtype: str, engine: str, threads: int | None, maps: int | None
) -> Look:
    """The look that fits a backbone; arguments as in `extract`. Raises `UsageError`, `ModelError`."""
    from sterna.backbones import Detector

    if not isinstance(backbone, Detector):
        return _Grid(backbone, dtype=dtype, engine=engine, threads=threads, maps=maps)
    if maps is not None:
        raise UsageError(
            f"maps={maps}: {backbone.name} is a detector, which has no map below its last stages"
        )
    if engine not in ENGINES:
        raise UsageError(f"engine={engine!r}: must be one of {', '.join(ENGINES)}")
    if engine == "onnx":
        raise ModelError(f"{backbone.name}: a detector runs on torch alone; use engine='torch' or 'auto'")
    return _Detected(backbone, dtype=dtype)


def keep_pixels(backbone: ImageBackbone) -> Look:
    """The look that keeps what `prepare` made, squares [S, S 3] uint8. Raises `UsageError` for a detector."""
    from sterna.backbones import Detector

    if isinstance(backbone, Detector):
        raise UsageError(f"{backbone.name}: a detector sees photographs of any shape; squares alone are kept")
    return _Pixels(backbone.size)


def look_at_maps(backbone: ImageBackbone, *, dtype: str, engine: str, threads: int | None) -> Look:
    """The look that goes on from what the backbone's stem made of photographs, float arrays [C, H W]."""
    return _Below(backbone, dtype=dtype, engine=engine, threads=threads)


class _Grid:
    """The same regions with the same boxes for every photograph."""

    def __init__(
        self, backbone: ImageBackbone, *, dtype: str, engine: str, threads: int | None, maps: int | None
    ) -> None:
        self._engine = image_engine(backbone, kind=engine, threads=threads, maps=maps is not None)
        self._boxes: NDArray[np.float32] = backbone.boxes.numpy()
        self.columns = {
            "": Made(ColumnSpec(dtype, backbone.dim), backbone.regions),
            ".boxes": Made(ColumnSpec("float32", 4), backbone.regions),
        }
        if maps is not None:
            rows, *places = backbone.map_shape
            spec = ColumnSpec("float16", int(np.prod(places, dtype=int)))
            self.columns[f".maps{maps}"] = Made(spec, rows)

    @property
    def name(self) -> str:
        return self._engine.name

    def __call__(self, prepared: Sequence[NDArray[Any]]) -> dict[str, Sequence[NDArray[Any]]]:
        values, *maps = self._engine(np.stack(prepared))
        made: dict[str, Sequence[NDArray[Any]]] = {"": list(values), ".boxes": [self._boxes] * len(values)}
        for name, below in zip(list(self.columns)[2:], maps, strict=True):
            made[name] = list(below.reshape(len(below), below.shape[1], -1))
        return made


class _Pixels:
    """The squares themselves, which nothing looks at yet."""

    name = ""

    def __init__(self, side: int) -> None:
        self.columns = {".pixels": Made(ColumnSpec("uint8", 3 * side), side)}

    def __call__(self, prepared: Sequence[NDArray[Any]]) -> dict[str, Sequence[NDArray[Any]]]:
        return {".pixels": [square.reshape(len(square), -1) for square in prepared]}


class _Below:
    """What a grid gives, from the maps between stem and tail."""

    def __init__(self, backbone: ImageBackbone, *, dtype: str, engine: str, threads: int | None) -> None:
        self._engine = tail_engine(backbone, kind=engine, threads=threads)
        self._shape = backbone.map_shape
        self._boxes: NDArray[np.float32] = backbone.boxes.numpy()
        self.columns = {
            "": Made(ColumnSpec(dtype, backbone.dim), backbone.regions),
            ".boxes": Made(ColumnSpec("float32", 4), backbone.regions),
        }

    @property
    def name(self) -> str:
        return self._engine.name

    def __call__(self, prepared: Sequence[NDArray[Any]]) -> dict[str, Sequence[NDArray[Any]]]:
        maps = np.stack(prepared).astype(np.float32).reshape(len(prepared), *self._shape)
        (values,) = self._engine(maps)
        return {"": list(values), ".boxes": [self._boxes] * len(values)}


class _Detected:
    """Regions of a detector: as many as it found, surest first, each with its score and class."""

    def __init__(self, detector: Detector, *, dtype: str) -> None:
        self._detector = detector
        self.name = ""
        specs = {
            "": ColumnSpec(dtype, detector.dim),
            ".boxes": ColumnSpec("float32", 4),
            ".scores": ColumnSpec("float32"),
            ".classes": ColumnSpec("int32"),
        }
        self.columns = {name: Made(spec, detector.regions) for name, spec in specs.items()}

    def __call__(self, prepared: Sequence[NDArray[Any]]) -> dict[str, Sequence[NDArray[Any]]]:
        import torch

        self.name = "torch"
        with torch.inference_mode():
            found = self._detector.detect(prepared)
        columns = (found.values, found.boxes, found.scores, found.classes)
        return {
            name: [one[real].numpy() for one, real in zip(column, found.mask, strict=True)]
            for name, column in zip(self.columns, columns, strict=True)
        }
