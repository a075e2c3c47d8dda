"""Files written whole or not at all, content hashes, and locks that die with their process."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sterna.errors import DiskError, LockedError, SternaError

__all__ = [
    "FileLock",
    "disk_errors",
    "fsync_folder",
    "hash_bytes",
    "hash_file",
    "hash_json",
    "new_file",
    "new_folder",
    "printable",
    "read_json",
    "write_json",
    "write_text",
]

_BLOCK = 1 << 20
_UMASK = threading.Lock()
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the last where a limit on file sizes stands in for it
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}  # parts of emoji and of several scripts


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn the system's "no space left" and "read-only" into a `DiskError` that names `target`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            advice = "free some space and run the command again"
            raise DiskError(f"{target}: the disk is full; {advice}") from error
        if error.errno in _REFUSED:
            advice = "choose a folder you may write to"
            raise DiskError(f"{target}: cannot be written ({error.strerror}); {advice}") from error
        raise


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some network drives cannot; the data itself is flushed
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it and rename it to `path`, else remove it.

    A reader sees the old file or the new one, never a half. Raises `DiskError` on a full disk.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.chmod(0o666 & ~_umask())
            aside.replace(path)
            fsync_folder(path.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success flush its files and rename it to `path`.

    With `replace`, an existing `path` is swapped out only after the new folder is whole;
    without it an existing `path` raises `SternaError` before anything is written.
    """
    if path.exists() and not replace:
        raise SternaError(f"{path}: already exists; name a folder that does not, or remove it first")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.", suffix=".tmp", dir=path.parent))
        try:
            yield aside
            for file in aside.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            aside.chmod(0o777 & ~_umask())
            if path.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.", suffix=".old", dir=path.parent))
                path.replace(old / path.name)
                aside.replace(path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                aside.replace(path)
            fsync_folder(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    with _UMASK:  # it can only be read by setting it, which threads must not do at the same time
        mask = os.umask(0)
        os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with new_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, *, error: type[SternaError] = SternaError) -> Any:
    """Read a JSON file; raise `error` with one sentence where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise error(f"{path}: not valid JSON ({problem})") from None


def hash_bytes(data: bytes) -> str:
    """SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content as 64 hexadecimal digits, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def hash_json(value: Any) -> str:
    """SHA-256 of a value's canonical JSON (sorted keys), for fingerprints of settings."""
    return hash_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def printable(text: object) -> str:
    r"""Give `str(text)` with everything escaped that could break a line, steer a terminal or not be encoded.

    Control and direction characters become `\n`, `\x1b`, `\u202e`; a byte of a name that is not UTF-8
    becomes `\xff`.
    Letters, signs, spaces and emoji of every script stay.
    """
    return "".join(_escaped(character) for character in str(text))


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _UNPRINTABLE:
        return character
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class FileLock:
    """An exclusive lock on a file, released by the system when its process dies, however it dies.

    Arguments:
        path: the lock's own file; made where missing, never removed.
        what: what is locked, for the message ("the library at ...").
        wait: seconds to wait for another holder; 0 fails at once, `None` waits without end.

    Raises `LockedError` where another process holds it for longer than `wait`.
    """

    def __init__(self, path: Path, *, what: str, wait: float | None = 0) -> None:
        self.path = path
        self.what = what
        self.wait = wait
        self._handle: int | None = None

    def __enter__(self) -> FileLock:
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        deadline = None if self.wait is None else time.monotonic() + self.wait
        while not _try_lock(handle):
            if deadline is not None and time.monotonic() >= deadline:
                os.close(handle)
                raise LockedError(f"{self.what} is being written by another process; wait for it or stop it")
            time.sleep(0.05)
        self._handle = handle
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _try_lock(handle: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN, errno.EDEADLK}:
            return False
        raise
    return True
