"""Paths as the file system's bytes: joined, compared, and which of them a walk leaves out."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Sequence

__all__ = [
    "SKIPPED",
    "escaped",
    "full_path",
    "is_inside",
    "is_skipped",
    "matcher",
    "sidecar_names",
    "within",
]

# folders of other programs, compared in lower case; hidden ones are skipped by their dot
SKIPPED = {b"@eadir", b"thumbs", b"thumbnails", b"__macosx", b"$recycle.bin", b"lost+found", b"#recycle"}
SKIPPED |= {b"@recycle", b"#snapshot", b"system volume information"}


def full_path(root: bytes, path: bytes) -> str:
    """The whole path of what lies at `path` below a root, as Python writes bytes that are no text."""
    return os.fsdecode(root.rstrip(b"/") + b"/" + path)


def is_inside(path: bytes, folder: bytes) -> bool:
    """Whether a path is a folder's own or lies below it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def within(folder: bytes) -> bytes:
    """What the paths of everything in a folder begin with, given as its path below the root."""
    return folder + b"/" if folder else b""


def sidecar_names(photo: bytes) -> tuple[bytes, bytes]:
    """The text files that hold sentences on a photograph: `photo.jpg.txt` and `photo.txt`."""
    return photo + b".txt", photo[: photo.rindex(b".")] + b".txt"


def is_skipped(folder: bytes, exclude: Sequence[str]) -> bool:
    """Whether a walk with these patterns leaves out a folder, given as its path below the root."""
    excluded = matcher(exclude)
    path = b""
    for name in folder.split(b"/"):
        path += name
        if name.startswith(b".") or name.lower() in SKIPPED or (excluded and excluded(path, name)):
            return True
        path += b"/"
    return bool(excluded and excluded(path, b""))  # a pattern such as raw/* leaves out all that is in it


def matcher(patterns: Sequence[str]) -> Callable[[bytes, bytes], bool] | None:
    """A test of (path below the root, name) against `fnmatch` patterns; `None` for no patterns."""
    if not patterns:
        return None
    joined = "|".join(fnmatch.translate(pattern.rstrip("/")) for pattern in patterns)
    match = re.compile(joined).match

    def test(path: bytes, name: bytes) -> bool:
        return bool(match(os.fsdecode(name)) or match(os.fsdecode(path)))

    return test


def escaped(path: bytes) -> str:
    """An `fnmatch` pattern that fits this path alone."""
    return re.sub(r"([*?[])", r"[\1]", os.fsdecode(path))
