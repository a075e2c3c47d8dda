"""Decode images of strangers in processes of their own, each within a time after which it is ended."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
import time
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
_AT_ONCE = 1.0  # seconds: a process that ends sooner was killed by somebody, and not by its image


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
        self._large = threading.Lock()

    def decode(self, data: bytes) -> Image.Image:
        """An RGB image of an image's bytes, of at least what a model needs.

        Raises `PhotoError` where they are none, too many pixels, or take too long.
        """
        from PIL import Image

        answer, pixels = self._ask(data, at_least=_ENOUGH, max_pixels=self._limits.pixels, thumbnail=False)
        _check(answer)
        width, height = answer["size"]
        return Image.frombytes("RGB", (width, height), pixels)

    def thumbnail(self, data: bytes, side: int) -> bytes:
        """A JPEG of a photograph's bytes whose longer side has `side` pixels; raises as `decode`.

        A photograph beyond the limits of an upload is decoded too, one of them at a time.
        """
        from sterna.images import pixel_limit  # brings Pillow

        usual = min(self._limits.pixels, pixel_limit())
        answer, jpeg = self._ask(data, at_least=side, max_pixels=usual, thumbnail=True)
        if not answer["ok"] and answer["beyond"]:
            if not self._large.acquire(timeout=self._limits.decode_seconds):
                raise busy("too many large photographs are waiting to be made small", seconds=2)
            try:
                answer, jpeg = self._ask(data, at_least=side, max_pixels=None, thumbnail=True)
            finally:
                self._large.release()
        _check(answer)
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
        return answer, result

    def _answer(self, process: _Process, order: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        seconds = self._limits.decode_seconds
        order = {**order, "seconds": seconds}
        for _ in range(2):
            popen = process.popen
            is_new = popen is None or popen.poll() is not None
            if popen is None or is_new:
                popen = self._start(process)
            begun = time.monotonic()
            answer = _exchange(popen, order, data, seconds=seconds)
            if answer is not None:
                return answer
            _end(process)
            if is_new or time.monotonic() - begun > min(_AT_ONCE, seconds / 2):
                break  # else it was killed before the image came, which has nothing to do with that
        self._metrics.decoders_ended.inc()
        raise PhotoError(f"it cannot be decoded safely, or not within {seconds:g} seconds")

    def _start(self, process: _Process) -> subprocess.Popen[bytes]:
        _end(process)
        # -P: what lies in the working folder is not imported
        command = [sys.executable, "-P", "-m", "sterna.server._decoder"]
        try:
            popen = process.popen = subprocess.Popen(  # noqa: S603  # nosec B603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:  # too many files are open, or processes there are
            raise busy("no process that decodes images can be started", seconds=5) from None
        if _exchange(popen, None, b"", seconds=_START) is None:
            _end(process)
            raise busy("no process that decodes images can be started", seconds=5)
        return popen


def _check(answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        raise PhotoError(str(answer["reason"]))


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
