"""A process that decodes images that anybody may have sent, and can be ended: `python -m` runs this module.

It reads orders from standard input and writes answers to standard output, each a line of JSON that says how
many bytes follow it. It ends when its input does, as that of a service that was killed, whatever it is at,
and where an order takes longer than it may.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import sys
import threading
from typing import Any, BinaryIO

from PIL import Image

from sterna.errors import PhotoError
from sterna.images import Photo, open_photo

__all__ = ["read_message", "write_message"]

_MEMORY = 4 << 30  # bytes of addresses, of which decoding takes about one
_QUALITY = 85
_LARGE = 12_000_000  # pixels; photographs of 60 megapixels come to less once they are averaged for a model
_THIN = 8  # times as long as wide: no photograph
_LONG = 4096  # pixels that the longer side of what is thin keeps
_GRACE = 1.0  # seconds beyond the service's own limit, for where it is not there any more to end this process


def read_message(file: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """A message and the bytes that belong to it; `None` where there are no more."""
    line = file.readline()
    if not line.endswith(b"\n"):
        return None
    message = json.loads(line)
    data = file.read(message["length"])
    return (message, data) if len(data) == message["length"] else None


def write_message(file: BinaryIO, message: dict[str, Any], data: bytes = b"") -> None:
    """Write a message and the bytes that belong to it."""
    file.write(json.dumps({**message, "length": len(data)}).encode() + b"\n")
    file.write(data)
    file.flush()


def _answer(order: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        photo = open_photo(data, at_least=order["at_least"], max_pixels=order["max_pixels"])
        if order["thumbnail"]:
            return {"ok": True}, _thumbnail(photo, order["at_least"])
        image = _bounded(photo.image, order["at_least"])
        return {"ok": True, "size": image.size}, image.tobytes()
    except PhotoError as error:
        # a limit that it is beyond, and not that it is damaged
        beyond = isinstance(error.__cause__, MemoryError)
        return {"ok": False, "reason": error.reason, "beyond": beyond}, b""
    except MemoryError:
        return {"ok": False, "reason": "there is not enough memory to decode it", "beyond": True}, b""


def _bounded(image: Image.Image, at_least: int) -> Image.Image:
    """An image of a few megapixels at most, of which a model's square takes nothing less than it did.

    What is thin is averaged along its longer side alone: its shorter side may be what a model needs.
    """
    if image.width * image.height > _LARGE and min(image.size) >= 2 * at_least:
        image = image.reduce(2)
    factor = max(image.size) // _LONG
    if factor > 1 and max(image.size) > _THIN * min(image.size):
        return image.reduce((factor, 1) if image.width > image.height else (1, factor))
    return image


def _thumbnail(photo: Photo, side: int) -> bytes:
    """A JPEG whose longer side is `side`, or that of the photograph where it is shorter."""
    photo.image.thumbnail((side, side), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    photo.image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _orders() -> queue.SimpleQueue[tuple[dict[str, Any], bytes]]:
    """Orders as they come; this process ends at the end of its input, whatever it is at then."""
    orders: queue.SimpleQueue[tuple[dict[str, Any], bytes]] = queue.SimpleQueue()

    def read() -> None:
        while (got := read_message(sys.stdin.buffer)) is not None:
            orders.put(got)
        os._exit(0)  # nobody waits for an answer

    threading.Thread(target=read, daemon=True).start()
    return orders


def _limit(seconds: float) -> None:
    """End this process after some seconds, even inside of a decoder; 0 for no limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends this process
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the system ends it: no decoder needs to heed that
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # whatever a decoder prints must not come between the answers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    orders = _orders()
    write_message(answers, {"ready": True})
    while True:
        order, data = orders.get()
        _limit(order["seconds"] + _GRACE)
        write_message(answers, *_answer(order, data))
        _limit(0)
        del data  # it may be long until the next one


if __name__ == "__main__":
    _main()
