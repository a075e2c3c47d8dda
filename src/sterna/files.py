"""Files written whole or not at all, content hashes, and locks that die with their process."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sterna._asides import beside, folder_lock, locked_aside, remove_asides
from sterna._asides import try_lock as _try_lock
from sterna._hashes import hash_bytes, hash_file, hash_json
from sterna.errors import DiskError, LockedError, SternaError

__all__ = [
    "FileLock",
    "check_new_folder",
    "check_writable",
    "disk_errors",
    "fsync_folder",
    "hash_bytes",
    "hash_file",
    "hash_json",
    "new_file",
    "new_folder",
    "read_json",
    "sole_writer",
    "system_reason",
    "write_json",
    "write_text",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the last where a limit on file sizes stands in for it
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EISDIR: "a folder, not a file",
    errno.EACCES: "you have no permission to read it",
    errno.EPERM: "you have no permission to read it",
    errno.ELOOP: "a link that leads in circles",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EIO: "the drive reports an error",
}


def system_reason(error: OSError) -> str:
    """Why the system does not let a file or folder be read, in words for a person, without its name."""
    return _REASONS.get(error.errno or 0) or f"the system refuses ({error.strerror or error})"


@contextlib.contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn the system's "no space left" and "read-only" into a `DiskError` that names `target`."""
    try:
        yield
    except OSError as error:
        if _is_full(error) or error.errno in _REFUSED:
            raise _disk_error(target, error) from error
        raise


def _is_full(error: OSError) -> bool:
    if error.errno is None:
        return "requested and" in str(error)  # as NumPy says it
    return error.errno in _FULL


def _disk_error(target: Path, error: OSError) -> DiskError:
    if _is_full(error):
        return DiskError(f"{target}: the disk is full; free some space and run the command again")
    advice = "; choose a folder you may write to" if error.errno in _REFUSED else ""
    return DiskError(f"{target}: cannot be written ({error.strerror or error}){advice}")


@contextlib.contextmanager
def _errors_name(target: Path, *, within: Path | None = None) -> Iterator[None]:
    """Turn every error of the system into a `DiskError` that names `target`.

    Where `within` is given, an error about another file passes, unless the disk is full or refuses.
    """
    try:
        with disk_errors(target):
            yield
    except OSError as error:
        name = error.filename
        if within is None or (isinstance(name, str | Path) and Path(name).is_relative_to(within)):
            raise _disk_error(target, error) from error
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

    A reader sees the old file or the new one, never a half. Raises `DiskError` naming `path` where the disk
    is full or it cannot be written.
    """
    with _errors_name(path):
        aside = beside(path)
        # of the mode that the system gives new files, which a temporary file of the library would not have
        os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666))
    try:
        with _errors_name(path, within=aside):
            yield aside
        with _errors_name(path):
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(path)
            fsync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; on success flush its files and rename it to `path`.

    An existing `path` raises `SternaError` before anything is written; a disk that is full or refuses raises
    `DiskError` naming `path`. What killed processes left beside `path` is removed.
    """
    _refuse_existing(path)
    with contextlib.ExitStack() as stack:
        with _errors_name(path):
            aside = stack.enter_context(locked_aside(path))
        try:
            with _errors_name(path, within=aside):
                yield aside
            with _errors_name(path):
                for file in aside.rglob("*"):
                    if file.is_file():
                        with file.open("rb") as handle:
                            os.fsync(handle.fileno())
                aside.replace(path)
                fsync_folder(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def sole_writer(folder: Path, *names: str) -> Iterator[None]:
    """While this lasts, no other process writes these files of a folder so; what killed ones left is removed.

    Where the system cannot lock folders, nobody is kept out and nothing is removed. Raises `LockedError`
    where another process writes them.
    """
    with folder_lock(folder) as held:
        if held is False:
            raise LockedError(f"{folder} is being written by another process; wait for it or stop it")
        if held:
            for name in names:
                remove_asides(folder / name, locked=True)
        yield


def check_new_folder(path: Path) -> None:
    """Raise what `new_folder` would raise at once, without writing: for what takes long before it writes."""
    _refuse_existing(path)
    check_writable(path)


def check_writable(path: Path) -> None:
    """Raise `DiskError` naming `path` where no file of that name could be written; nothing is left there.

    Folders that are missing are not made.
    """
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    with _errors_name(path):
        probe = beside(folder / path.name)
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise SternaError(f"{path}: already exists; name a folder that does not, or remove it first")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with new_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path`, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # a byte of a name that is not UTF-8 can stand there as JSON's own escape alone, which looks just so
    write_text(path, text.encode(errors="backslashreplace").decode())


def read_json(path: Path, *, error: type[SternaError] = SternaError) -> Any:
    """Read a JSON file; raise `error` with one sentence where it cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"{path}: {system_reason(problem)}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as problem:
        raise error(f"{path}: not valid JSON ({problem})") from None


_held: set[FileLock] = set()


@cache
def _leave_locks_to_the_parent() -> None:
    """From now on close, in every process that is forked, what it inherits of locks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_drop_inherited)


def _drop_inherited() -> None:
    for lock in _held:
        lock._close()
    _held.clear()


class FileLock:
    """An exclusive lock on a file, released by the system when its process dies, however it dies.

    Processes forked while it is held do not hold it.

    Arguments:
        path: the lock's own file; made where missing, never removed.
        what: what is locked, for the message ("the library at ...").
        wait: seconds to wait for another holder; 0 fails at once, `None` waits without end.
        advice: what to do where another process holds it, for the message.

    Raises `LockedError` where another process holds it for longer than `wait`.
    """

    def __init__(
        self,
        path: Path,
        *,
        what: str,
        wait: float | None = 0,
        advice: str = "wait for it or stop it",
    ) -> None:
        self.path = path
        self.what = what
        self.wait = wait
        self.advice = advice
        self._handle: int | None = None

    def __enter__(self) -> FileLock:
        deadline = None if self.wait is None else time.monotonic() + self.wait
        while not self._is_mine(handle := self._locked(deadline)):
            os.close(handle)  # its folder was replaced by another meanwhile
        self._handle = handle
        _held.add(self)
        _leave_locks_to_the_parent()
        return self

    def _locked(self, deadline: float | None) -> int:
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        while not _try_lock(handle):
            if deadline is not None and time.monotonic() >= deadline:
                os.close(handle)
                raise LockedError(f"{self.what} is being written by another process; {self.advice}")
            time.sleep(0.05)
        return handle

    def _is_mine(self, handle: int) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(handle), self.path.stat())
        return False

    def __exit__(self, *_: object) -> None:
        _held.discard(self)
        self._close()

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
