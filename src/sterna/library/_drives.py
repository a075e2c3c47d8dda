"""What can be known about the drive a folder lies on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sterna.library._paths import full_path

__all__ = ["device_of", "exists", "is_network_drive", "is_online", "is_writable"]

# drives shared by machines: SQLite's write-ahead log needs memory that all its users share
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
_NETWORK |= {f"fuse.{name}" for name in ("cephfs", "glusterfs", "rclone", "s3fs", "sshfs")}


def is_network_drive(folder: Path) -> bool:
    """Whether `folder` lies on a drive that machines share; false where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    best, kind = "", ""
    target = str(folder.resolve()) + "/"
    for line in lines:
        fields = line.split(" ")
        point = fields[1].replace("\\040", " ").rstrip("/") + "/"
        if target.startswith(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind in _NETWORK


def is_writable(folder: Path) -> bool:
    """Whether this process may make files in `folder`."""
    return os.access(folder, os.W_OK | os.X_OK)


def device_of(folder: bytes, *, unknown: int) -> int | None:
    """The `st_dev` of a folder, `None` where it is not there, `unknown` where one may not look."""
    try:
        return os.stat(folder).st_dev  # noqa: PTH116 (bytes)
    except PermissionError:
        return unknown
    except OSError:
        return None


def exists(path: str) -> bool:
    """Whether something is there; not where one may not look."""
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises on what may not be entered)


def is_online(folder: bytes, *, device: int, files: Callable[[], Sequence[bytes]]) -> bool:
    """Whether a folder's drive is there, as far as can be told without a walk.

    Arguments:
        folder: its absolute path.
        device: the `st_dev` it had when it was last walked.
        files: gives files known in it, by their paths below it. On another device at least one has to be
            there: otherwise it is the mount point of a drive that is not plugged in.
    """
    now = device_of(folder, unknown=device)
    if now is None or now == device:
        return now is not None
    paths = files()
    return not paths or any(exists(full_path(folder, path)) for path in paths)
