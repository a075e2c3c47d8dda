"""Decode images of strangers in processes of their own, each within a time after which it is ended."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from sterna.errors import PhotoError
from sterna.server._problems import busy
from sterna.server._settings import Limits

if TYPE_CHECKING:
    from PIL import Image

    from sterna.server._metrics import Metrics

__all__ = ["Decoders"]

_START = 60.0  # seconds in which a process has to be ready
_ENOUGH = 640  # pixels that the shorter side keeps: more than any model's square


@dataclass
class _Process:
    """A process that decodes; `popen` is `None` until it is first needed, and again once it was ended."""

    popen: subprocess.Popen[bytes] | None = None


class Decoders:
    """Processes that decode, started when they are needed; every method may be called by any thread.

    Arguments:
        limits: `decoders`, `decode_seconds` and `pixels`.
        metrics: is told of processes that had to be ended.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._closed = False
        self._all = [_Process() for _ in range(limits.decoders)]
        self._free: queue.LifoQueue[_Process] = queue.LifoQueue()
        for process in reversed(self._all):
            self._free.put(process)

    def decode(self, data: bytes) -> Image.Image:
        """An RGB image of an image's bytes, of at least what a model needs.

        Raises `PhotoError` where they are none, too many pixels, or take too long.
        """
        from PIL import Image

        answer, pixels = self._ask(data, at_least=_ENOUGH, max_pixels=self._limits.pixels, thumbnail=False)
        width, height = answer["size"]
        return Image.frombytes("RGB", (width, height), pixels)

    def thumbnail(self, data: bytes, side: int) -> bytes:
        """A JPEG of a photograph's bytes whose longer side has `side` pixels; raises as `decode`."""
        _, jpeg = self._ask(data, at_least=side, max_pixels=None, thumbnail=True)
        return jpeg

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        for process in self._all:
            _end(process)

    def _ask(self, data: bytes, **order: Any) -> tuple[dict[str, Any], bytes]:
        try:
            process = self._free.get(timeout=self._limits.decode_seconds)
        except queue.Empty:
            raise busy("too many images are waiting to be decoded", seconds=2) from None
        try:
            answer, result = self._answer(process, order, data)
        finally:
            if self._closed:
                _end(process)
            self._free.put(process)
        if not answer["ok"]:
            raise PhotoError(str(answer["reason"]))
        return answer, result

    def _answer(self, process: _Process, order: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        popen = process.popen
        if popen is None or popen.poll() is not None:
            popen = self._start(process)
        answer = _exchange(popen, order, data, seconds=self._limits.decode_seconds)
        if answer is None:
            self._metrics.decoders_ended.inc()
            _end(process)
            seconds = self._limits.decode_seconds
            raise PhotoError(f"it cannot be decoded safely, or not within {seconds:g} seconds")
        return answer

    def _start(self, process: _Process) -> subprocess.Popen[bytes]:
        _end(process)
        # -P: what lies in the working folder is not imported
        command = [sys.executable, "-P", "-m", "sterna.server._decoder"]
        popen = process.popen = subprocess.Popen(  # noqa: S603  # nosec B603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if _exchange(popen, None, b"", seconds=_START) is None:
            _end(process)
            raise busy("no process that decodes images can be started", seconds=5)
        return popen


def _exchange(
    popen: subprocess.Popen[bytes], order: dict[str, Any] | None, data: bytes, *, seconds: float
) -> tuple[dict[str, Any], bytes] | None:
    """Give an order and wait for its answer; `None` where the process ends, or is ended for its slowness."""
    from sterna.server._decoder import read_message, write_message

    timer = threading.Timer(seconds, popen.kill)
    timer.daemon = True
    timer.start()
    try:
        if order is not None:
            write_message(_pipe(popen.stdin), order, data)
        return read_message(_pipe(popen.stdout))
    except (OSError, ValueError):
        return None
    finally:
        timer.cancel()


def _pipe(file: Any) -> BinaryIO:
    if file is None:
        raise OSError("no pipe")
    pipe: BinaryIO = file
    return pipe


def _end(process: _Process) -> None:
    popen, process.popen = process.popen, None
    if popen is None:
        return
    popen.kill()
    for pipe in (popen.stdin, popen.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    popen.wait()
