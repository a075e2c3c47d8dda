"""What can be known about the drive a folder lies on."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_network_drive", "is_online", "is_writable"]

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


def is_online(root: bytes, *, device: int, photos: bool) -> bool:
    """Whether a root is there.

    Arguments:
        root: its absolute path.
        device: the `st_dev` it had when it was last there.
        photos: whether photographs were known in it; an empty folder on another device is then the mount
            point of a drive that is not plugged in.
    """
    try:
        found = os.stat(root).st_dev  # noqa: PTH116 (bytes)
        with os.scandir(root) as entries:
            empty = next(entries, None) is None
    except PermissionError:
        return True  # it is there; that it cannot be listed is a failure to report
    except OSError:
        return False
    return not (empty and photos and found != device)
