"""A process that decodes images that anybody may have sent, and can be ended: `python -m` runs this module.

It reads orders from standard input and writes answers to standard output, each a line of JSON that says how
many bytes follow it. It ends when its input does.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from typing import Any, BinaryIO

from PIL import Image

from sterna.errors import PhotoError
from sterna.images import Photo, open_photo

__all__ = ["read_message", "write_message"]

_MEMORY = 4 << 30  # bytes of addresses, of which decoding takes about one
_QUALITY = 85


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
        return {"ok": True, "size": photo.image.size}, photo.image.tobytes()
    except PhotoError as error:
        return {"ok": False, "reason": error.reason}, b""
    except MemoryError:
        return {"ok": False, "reason": "there is not enough memory to decode it"}, b""


def _thumbnail(photo: Photo, side: int) -> bytes:
    """A JPEG whose longer side is `side`, or that of the photograph where it is shorter."""
    photo.image.thumbnail((side, side), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    photo.image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends this process
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # whatever a decoder prints must not come between the answers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    write_message(answers, {"ready": True})
    while (got := read_message(sys.stdin.buffer)) is not None:
        write_message(answers, *_answer(*got))


if __name__ == "__main__":
    _main()
