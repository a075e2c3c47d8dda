"""What can be known about the drive a folder lies on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from sterna.library._paths import full_path, is_inside

__all__ = [
    "device_of",
    "exists",
    "is_network_drive",
    "is_of_the_system",
    "is_online",
    "is_writable",
    "lies_behind_the_system",
]

# drives shared by machines: SQLite's write-ahead log needs memory that all its users share
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
_NETWORK |= {f"fuse.{name}" for name in ("cephfs", "glusterfs", "rclone", "s3fs", "sshfs")}

# what the system tells of itself in the form of files; not tmpfs, which may hold anything, nor FUSE as such
_OF_THE_SYSTEM = {"binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs"}
_OF_THE_SYSTEM |= {"efivarfs", "fuse.lxcfs", "fuse.portal", "fusectl", "hugetlbfs", "mqueue", "nfsd", "nsfs"}
_OF_THE_SYSTEM |= {"proc", "pstore", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "sysfs"}
_OF_THE_SYSTEM |= {"tracefs"}

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")  # a blank in a name, and what else would end it


def is_network_drive(folder: Path) -> bool:
    """Whether `folder` lies on a drive that machines share; false where the system does not say."""
    return _kind_of(os.fsencode(folder.resolve())) in _NETWORK


def is_of_the_system(folder: bytes) -> bool:
    """Whether a folder, given without links, shows what the system tells of itself (`/proc`), and no drive.

    False where the system does not say.
    """
    return _kind_of(folder) in _OF_THE_SYSTEM


def lies_behind_the_system(folder: bytes, *, root: bytes) -> bool:
    """Whether a walk from `root` to a folder inside it would come through a folder of the system."""
    return any(
        kind in _OF_THE_SYSTEM and point != root and is_inside(point, root) and is_inside(folder, point)
        for point, kind in _mounts().items()
    )


def _kind_of(folder: bytes) -> str:
    """What kind of file system an absolute path lies on; empty where the system does not say."""
    mounts = _mounts()
    while folder not in mounts:
        outer = os.path.dirname(folder)  # noqa: PTH120 (bytes)
        if outer == folder:
            return ""
        folder = outer
    return mounts[folder]


def _mounts() -> dict[bytes, str]:
    """What kind of file system each mount point shows."""
    try:
        lines = _MOUNTS.read_bytes().rstrip(b"\n").split(b"\n")
    except OSError:
        return {}
    mounts: dict[bytes, str] = {}
    for line in lines:  # what was mounted later lies above what was there before
        place, _, drive = line.partition(b" - ")
        point = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), place.split(b" ")[4])
        # in a container it is of memory, with the system's devices bound into it
        mounts[point] = "devtmpfs" if point == b"/dev" else os.fsdecode(drive.split(b" ", 1)[0])
    return mounts


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
