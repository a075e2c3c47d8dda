"""What a walk of a root finds, and the words for what the system refuses."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from sterna.files import system_reason

__all__ = ["Found", "Known", "Scan", "size_and_time", "why"]

Known = tuple[int, int, int]  # size, mtime_ns, 1 where equality of both proves nothing

_LARGEST = (1 << 63) - 1  # the catalogue's whole numbers have 64 bits; a file's time may lie beyond 2262


def why(error: OSError) -> str:
    """The system's refusal in words for a person, without the file's name, which a folder lists."""
    return "a link that leads nowhere" if error.errno == errno.ENOENT else system_reason(error)


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was seen: `path` below its root, or `reason` where it is nothing to be read."""

    path: bytes
    size: int = 0
    mtime_ns: int = 0
    reason: str | None = None


@dataclass
class Scan:
    """What a walk found.

    Arguments:
        looked: photographs seen.
        files: those to be looked into: new, changed, or not sure.
        sidecars: text files beside photographs that are new or changed.
        folders: folders that could not be listed, with the reason.
        gone: known files that are no longer there; those in folders that could not be listed, or on drives
            that are not there, are not among them.
        gone_sidecars: the same for text files.
        away: folders (paths below the root that end with a slash, or empty for the root itself) whose drives
            are not there; nothing that was found in them is told.
        devices: `st_dev` to note of the root (an empty path) and of the folders in it on drives of their own.
        system: folders that show what the system tells of itself, which are not walked.
        unlisted: those of `folders` that were to be walked.
        walked: folders that were listed, by their paths below the root.
        linked: whether a link within the root was followed: what it leads to may be known by the link's path.
    """

    looked: int = 0
    files: list[Found] = field(default_factory=list)
    sidecars: list[Found] = field(default_factory=list)
    folders: list[Found] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    gone_sidecars: list[bytes] = field(default_factory=list)
    away: tuple[bytes, ...] = ()
    devices: dict[bytes, int] = field(default_factory=dict)
    system: list[bytes] = field(default_factory=list)
    unlisted: list[bytes] = field(default_factory=list)
    walked: list[bytes] = field(default_factory=list)
    linked: bool = False


def size_and_time(status: os.stat_result) -> tuple[int, int]:
    """A file's size and time (ns) as the catalogue can hold them: what is beyond is the last that it can."""
    return min(status.st_size, _LARGEST), max(-_LARGEST, min(status.st_mtime_ns, _LARGEST))
