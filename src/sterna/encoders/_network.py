"""One network of a model folder, loaded by ONNX Runtime when it is first run."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
        dim: length of those vectors.
        threads: cores that one run uses; several threads may run it at once.
    """

    def __init__(self, file: Path, *, inputs: Sequence[str], output: str, dim: int, threads: int) -> None:
        self._file = file
        self._inputs = inputs
        self._output = output
        self._dim = dim
        self._threads = threads
        self._loading = threading.Lock()
        self._session: _Session | None = None

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Give `[n, dim]` float32; raise `ModelError` naming the file where it cannot be loaded or run."""
        with self._loading:
            session = self._session = self._session or self._load()
        try:
            (vectors,) = session.run([self._output], feed)
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise ModelError(f"{self._file}: the network failed ({first_line(error)})") from error
        rows = len(feed[self._inputs[0]])
        if vectors.shape != (rows, self._dim):
            shape = list(vectors.shape)
            raise ModelError(
                f"{self._file}: gives {shape} for {rows} inputs; config.json says dim {self._dim}"
            )
        return np.asarray(vectors, dtype=np.float32)

    def _load(self) -> _Session:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        # Threads that spin while they wait take the cores from those that decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(
                str(self._file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            reason = first_line(error)
            raise ModelError(f"{self._file}: not a network that ONNX Runtime can load ({reason})") from error
        takes = [item.name for item in session.get_inputs()]
        gives = [item.name for item in session.get_outputs()]
        if sorted(takes) != sorted(self._inputs) or self._output not in gives:
            raise ModelError(
                f"{self._file}: takes {', '.join(takes)} and gives {', '.join(gives)}; "
                f"config.json says {', '.join(self._inputs)} and {self._output}"
            )
        loaded: _Session = session
        return loaded


def first_line(error: Exception) -> str:
    """What another library's error says, in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
