"""One network of a model folder, loaded by ONNX Runtime when it is first run."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sterna._onnxruntime import onnxruntime
from sterna.errors import ModelError

__all__ = ["Network", "first_line"]


class _Session(Protocol):
    def run(self, outputs: list[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]: ...


class Network:
    """A network that gives vectors.

    Arguments:
        file: in ONNX format.
        inputs: names of all that it takes.
        output: name of the vectors that it gives, `[n, dim]` for n rows of input.
        items: names of the vectors `[n, m, dim]` and of the mask `[n, m]` of each row's items, which it gives
            beside them; `None` where it does not.
        dim: length of those vectors.
        threads: cores that one run uses; several threads may run it at once.
    """

    def __init__(
        self,
        file: Path,
        *,
        inputs: Sequence[str],
        output: str,
        dim: int,
        threads: int,
        items: tuple[str, str] | None = None,
    ) -> None:
        self._file = file
        self._inputs = inputs
        self._output = output
        self._items = items
        self._dim = dim
        self._threads = threads
        self._loading = threading.Lock()
        self._session: _Session | None = None

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Give `[n, dim]` float32; raise `ModelError` naming the file where it cannot be loaded or run."""
        (vectors,) = self._run([self._output], feed)
        rows = len(feed[self._inputs[0]])
        if vectors.shape != (rows, self._dim):
            raise self._wrong_shape(vectors, rows)
        return np.asarray(vectors, dtype=np.float32)

    def run_items(self, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Give each row's real items `[m, dim]`; raise `ModelError` as `run` does."""
        assert self._items is not None
        vectors, mask = self._run(list(self._items), feed)
        rows = len(feed[self._inputs[0]])
        if vectors.ndim != 3 or vectors.shape[::2] != (rows, self._dim) or mask.shape != vectors.shape[:2]:
            raise self._wrong_shape(vectors, rows)
        return [
            np.asarray(row[real], dtype=np.float32)
            for row, real in zip(vectors, mask.astype(bool), strict=True)
        ]

    def _run(self, outputs: list[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        with self._loading:
            session = self._session = self._session or self._load()
        try:
            return session.run(outputs, feed)
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise ModelError(f"{self._file}: the network failed ({first_line(error)})") from error

    def _wrong_shape(self, vectors: NDArray[Any], rows: int) -> ModelError:
        shape = list(vectors.shape)
        return ModelError(f"{self._file}: gives {shape} for {rows} inputs; config.json says dim {self._dim}")

    def _load(self) -> _Session:
        runtime = onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        # Threads that spin while they wait take the cores from those that decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = runtime.InferenceSession(str(self._file), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = first_line(error)
            raise ModelError(f"{self._file}: not a network that ONNX Runtime can load ({reason})") from error
        takes = [item.name for item in session.get_inputs()]
        gives = [item.name for item in session.get_outputs()]
        wanted = [self._output, *(self._items or ())]
        if sorted(takes) != sorted(self._inputs) or not set(wanted) <= set(gives):
            raise ModelError(
                f"{self._file}: takes {', '.join(takes)} and gives {', '.join(gives)}; "
                f"config.json says {', '.join(self._inputs)} and {', '.join(wanted)}"
            )
        loaded: _Session = session
        return loaded


def first_line(error: Exception) -> str:
    """What another library's error says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
