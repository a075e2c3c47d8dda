"""Open the file of an indexed photograph, and no other, whoever has put a link in its place since."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sterna.errors import PhotoError, UnknownPhotoError
from sterna.files import system_reason
from sterna.library._catalog import Catalog
from sterna.library._paths import full_path, is_inside

__all__ = ["Original", "open_original"]

_PATHS = (
    "SELECT roots.path, files.path FROM files JOIN roots ON roots.id = files.root "
    "JOIN photos ON photos.id = files.photo WHERE photos.id = ? AND photos.reason IS NULL "
    "ORDER BY roots.path, files.path"
)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True)
class Original:
    """The open file of a photograph; a context manager, which closes it.

    `media_type` is what its first bytes say ("image/jpeg"), `size` bytes, `mtime_ns` when it was changed.
    """

    file: BinaryIO
    path: Path
    media_type: str
    size: int
    mtime_ns: int

    def __enter__(self) -> Original:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def open_original(catalog: Catalog, photo: int) -> Original:
    """Open the first path of a photograph that is there, lies in its root and is a photograph.

    Raises `UnknownPhotoError` where the library has none with this id, `PhotoError` where no path of it can
    be opened.
    """
    paths = catalog.rows(_PATHS, (photo,))
    if not paths:
        raise UnknownPhotoError(f"photograph {photo}: the library has none with this id")
    refused: PhotoError | None = None
    for root, path in paths:
        try:
            return _opened(root, path)
        except PhotoError as error:
            refused = refused or error
    raise refused or PhotoError("no such file")


def _opened(root: bytes, path: bytes) -> Original:
    from sterna.images import check_bytes, media_type  # brings Pillow

    name = full_path(root, path)
    try:
        handle = _handle(root, path)
    except OSError as error:
        raise PhotoError(system_reason(error), path=name) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):  # a folder, too, of which no file object can be made
            raise PhotoError("not a regular file", path=name)
        file = os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise
    try:
        check_bytes(status.st_size)
        return Original(file, Path(name), media_type(file), status.st_size, status.st_mtime_ns)
    except PhotoError as error:
        file.close()
        raise PhotoError(error.reason, path=name) from error
    except BaseException:
        file.close()
        raise


def _handle(root: bytes, path: bytes) -> int:
    """Open what lies at a path below a root, following no link; one that stays in the root is resolved first.

    Each folder is opened in the one around it, so nothing that is renamed or linked meanwhile leads out.
    """
    try:
        return _walk(root, path.split(b"/"))
    except OSError:
        real = os.path.realpath(root + b"/" + path)
        if real == root + b"/" + path or not is_inside(real, root):
            raise
        return _walk(root, real[len(root.rstrip(b"/")) + 1 :].split(b"/"))


def _walk(root: bytes, names: Sequence[bytes]) -> int:
    folder = os.open(root, _FOLDER | _NO_LINK)
    try:
        for name in names[:-1]:
            inner = os.open(name, _FOLDER | _NO_LINK, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(names[-1], _FILE | _NO_LINK, dir_fd=folder)
    finally:
        os.close(folder)
