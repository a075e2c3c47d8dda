"""What runs a backbone while features are extracted: ONNX Runtime where the backbone exports, else torch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sterna._onnxruntime import onnxruntime
from sterna._threads import available_threads
from sterna.errors import ModelError, SternaError, UsageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from sterna.backbones import ImageBackbone, TextBackbone

__all__ = ["ENGINES", "Engine", "image_engine", "tail_engine", "text_engine"]

ENGINES = ("auto", "onnx", "torch")
_CLOSE = 1e-3


class Engine:
    """Arrays in, a tuple of arrays out: `engine(*arrays)`.

    The graph is made when the first batch comes. In "auto" that batch is run by both, and torch goes on alone
    where they differ or where the export failed.

    Arguments:
        slow: runs in torch.
        export: writes the graph to a file.
        inputs: names of the graph's inputs.
        kind: "auto", "onnx" or "torch".
        threads: of ONNX Runtime; `None` takes every core that this process may use.
    """

    def __init__(
        self,
        slow: Callable[..., tuple[NDArray[np.float32], ...]],
        *,
        export: Callable[[Path], None],
        inputs: tuple[str, ...],
        kind: str,
        threads: int | None,
    ) -> None:
        if kind not in ENGINES:
            raise UsageError(f"engine={kind!r}: must be one of {', '.join(ENGINES)}")
        self._slow, self._export, self._inputs = slow, export, inputs
        self._kind, self._threads = kind, threads
        self._session: InferenceSession | None = None
        self.name = ""
        """what runs: "onnx" or "torch", once something did"""

    def __call__(self, *arrays: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """Outputs `[B, ...]` float32 of a batch; raises `ModelError` in "onnx" where the export failed."""
        if not self.name:
            self._choose(arrays)
        return self._slow(*arrays) if self._session is None else self._fast(arrays)

    def _fast(self, arrays: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
        assert self._session is not None
        outputs = self._session.run(None, dict(zip(self._inputs, arrays, strict=True)))
        return tuple(np.asarray(one, dtype=np.float32) for one in outputs)

    def _choose(self, arrays: Sequence[NDArray[Any]]) -> None:
        self.name = "torch"
        if self._kind == "torch":
            return
        try:
            self._session = _session(self._export, self._threads)
        except Exception as error:  # the exporter raises whatever a network's code raises
            if self._kind == "auto":
                return
            if isinstance(error, SternaError):
                raise
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"this backbone does not export to ONNX ({reason}); use engine='torch'"
            ) from error
        if self._kind == "auto":
            pairs = zip(self._fast(arrays), self._slow(*arrays), strict=True)
            if not all(_alike(values, expected) for values, expected in pairs):
                self._session = None
                return
        self.name = "onnx"


def _alike(values: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    return float(np.abs(values - expected).mean()) <= _CLOSE * float(np.abs(expected).mean())


def _session(export: Callable[[Path], None], threads: int | None) -> InferenceSession:
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or available_threads()
    # decoding needs the cores between batches
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with tempfile.TemporaryDirectory(prefix="sterna-") as folder:
        graph = Path(folder) / "backbone.onnx"
        export(graph)
        session: InferenceSession = runtime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        return session


def image_engine(backbone: ImageBackbone, *, kind: str, threads: int | None, maps: bool = False) -> Engine:
    """`engine(pixels [B, S, S, 3] uint8) -> ([B, R, D],)`; with `maps` also the stem's [B, ...]."""
    from sterna.backbones import export_image_backbone

    def slow(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        import torch

        with torch.inference_mode():
            below = backbone.stem(torch.from_numpy(pixels))
            values = backbone.tail(below).values.numpy()
        return (values, below.numpy()) if maps else (values,)

    return Engine(
        slow,
        export=lambda path: export_image_backbone(backbone, path, maps=maps),
        inputs=("pixels",),
        kind=kind,
        threads=threads,
    )


def tail_engine(backbone: ImageBackbone, *, kind: str, threads: int | None) -> Engine:
    """`engine(maps [B, ...] float32) -> ([B, R, D],)`: what comes after the stem."""
    from sterna.backbones import export_image_tail

    def slow(maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        import torch

        with torch.inference_mode():
            return (backbone.tail(torch.from_numpy(maps)).values.numpy(),)

    return Engine(
        slow,
        export=lambda path: export_image_tail(backbone, path),
        inputs=("maps",),
        kind=kind,
        threads=threads,
    )


def text_engine(backbone: TextBackbone, *, kind: str, threads: int | None) -> Engine:
    """`engine(ids [B, T] int64, mask [B, T] int64) -> ([B, T, D],)`."""
    from sterna.backbones import export_text_backbone

    def slow(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
        import torch

        with torch.inference_mode():
            return (backbone(torch.from_numpy(ids), torch.from_numpy(mask)).values.numpy(),)

    return Engine(
        slow,
        export=lambda path: export_text_backbone(backbone, path),
        inputs=("ids", "mask"),
        kind=kind,
        threads=threads,
    )
