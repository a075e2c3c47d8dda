"""Walk a root and compare it with what is known: size and time decide what is looked at.

Paths are bytes all the way, as the file system has them: names need not be text, and 100,000 unchanged
files take no object more than the system's own entries.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Found", "Known", "Scan", "scan_root", "sidecar_names", "why"]

Known = tuple[int, int, int]  # size, mtime_ns, 1 where equality of both proves nothing

# folders of other programs, compared in lower case; hidden ones are skipped by their dot
_SKIPPED = {b"@eadir", b"thumbs", b"thumbnails", b"__macosx", b"$recycle.bin", b"lost+found", b"#recycle"}
_SKIPPED |= {b"@recycle", b"#snapshot", b"system volume information"}
_EVERY = 1000  # files between two reports

_WORDS = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ELOOP: "a link that leads in circles",
    errno.ENOENT: "a link that leads nowhere",
    errno.ENAMETOOLONG: "its path is too long for the system",
    errno.EIO: "the drive reports an error",
}


def why(error: OSError) -> str:
    """The system's refusal in words for a person, without the file's name."""
    return _WORDS.get(error.errno or 0) or error.strerror or str(error)


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
        gone: known files that are no longer there; those in folders that could not be listed are not among
            them.
        gone_sidecars: the same for text files.
    """

    looked: int = 0
    files: list[Found] = field(default_factory=list)
    sidecars: list[Found] = field(default_factory=list)
    folders: list[Found] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    gone_sidecars: list[bytes] = field(default_factory=list)


def scan_root(
    root: bytes,
    *,
    known: Mapping[bytes, Known],
    sidecars: Mapping[bytes, Known],
    exclude: Sequence[str] = (),
    report: Callable[[int], None] = lambda looked: None,
) -> Scan:
    """Walk a root.

    Arguments:
        root: its absolute path, without links.
        known: files that the library knows in it, by their path below it.
        sidecars: the same for text files.
        exclude: `fnmatch` patterns; a file or folder whose name or path below the root fits one is left out.
        report: called now and then with the number of photographs looked at.
    """
    walk = _Walk(root, known, sidecars, exclude, report)
    walk.folders([b""])
    while walk.linked:  # after the folders themselves, so that a photograph keeps its own path
        links, walk.linked = sorted(walk.linked), []
        for link in links:
            if _inside(root, os.path.realpath(root + b"/" + link)):
                walk.folders([link + b"/"])
    scan = walk.scan
    closed = tuple(folder.path + b"/" if folder.path else b"" for folder in scan.folders) + tuple(walk.lost)
    scan.gone = [path for path in walk.known if not path.startswith(closed)]
    scan.gone_sidecars = [path for path in sidecars.keys() - walk.texts if not path.startswith(closed)]
    return scan


class _Walk:
    def __init__(
        self,
        root: bytes,
        known: Mapping[bytes, Known],
        sidecars: Mapping[bytes, Known],
        exclude: Sequence[str],
        report: Callable[[int], None],
    ) -> None:
        from sterna.images import PHOTO_SUFFIXES  # brings Pillow, which searching for a sentence does without

        self.root = root
        self.scan = Scan()
        self.texts: set[bytes] = set()
        self.linked: list[bytes] = []
        self.lost: list[bytes] = []
        self.known = dict(known)  # what is left of it at the end was not seen
        self._sidecars = sidecars
        self._excluded = _matcher(exclude)
        self._report = report
        self._visited: set[tuple[int, int]] = set()
        self._suffixes = frozenset(suffix.encode() for suffix in PHOTO_SUFFIXES)

    def folders(self, pending: list[bytes]) -> None:
        """Walk these folders (paths below the root that end with a slash) and all below them."""
        while pending:
            folder = pending.pop()
            path = self.root + b"/" + folder
            try:
                status = os.stat(path)  # noqa: PTH116 (bytes)
                if (status.st_dev, status.st_ino) in self._visited:
                    continue
                self._visited.add((status.st_dev, status.st_ino))
                with os.scandir(path) as entries:
                    self._folder(folder, entries, pending)
            except FileNotFoundError:
                self.lost.append(folder)  # moved away just now, or its drive is: nothing is said of its files
            except OSError as error:
                self.scan.folders.append(Found(folder.rstrip(b"/"), reason=f"cannot be listed: {why(error)}"))

    def _folder(  # noqa: PLR0912 (one loop, run once for every file)
        self, folder: bytes, entries: Iterator[os.DirEntry[bytes]], pending: list[bytes]
    ) -> None:
        known, suffixes, excluded = self.known, self._suffixes, self._excluded
        names: list[bytes] = []
        texts: dict[bytes, os.DirEntry[bytes]] = {}
        for entry in entries:
            name = entry.name
            if name.startswith(b".") or (excluded and excluded(folder + name, name)):
                continue
            if entry.is_dir(follow_symlinks=False):
                if name.lower() not in _SKIPPED:
                    pending.append(folder + name + b"/")
            elif name[name.rfind(b".") :].lower() in suffixes:
                path = folder + name
                old = known.pop(path, None)
                try:
                    status = self._status(path, entry)
                except FileNotFoundError:  # while it was looked at
                    continue
                except OSError as error:
                    self._refuse(path, why(error))
                    continue
                if status is not None:
                    names.append(name)
                    if old != (status.st_size, status.st_mtime_ns, 0):
                        self.scan.files.append(Found(path, status.st_size, status.st_mtime_ns))
            elif name.endswith(b".txt"):
                texts[name] = entry
            elif entry.is_symlink() and entry.is_dir():
                self.linked.append(folder + name)
        before = self.scan.looked // _EVERY
        self.scan.looked += len(names)
        if self.scan.looked // _EVERY != before:
            self._report(self.scan.looked)
        if texts:
            self._beside(folder, names, texts)

    def _status(self, path: bytes, entry: os.DirEntry[bytes]) -> os.stat_result | None:
        """The status of something named like a photograph; `None` where it is nothing to be read."""
        if entry.is_file(follow_symlinks=False):
            return entry.stat(follow_symlinks=False)
        if not entry.is_symlink():
            self._refuse(path, "not a file but a pipe, socket or device")
            return None
        try:
            return self._through_link(path, entry)
        except OSError as error:
            self._refuse(path, why(error))
            return None

    def _through_link(self, path: bytes, entry: os.DirEntry[bytes]) -> os.stat_result | None:
        """The status of the file behind a link within the root; `None` where there is no such file."""
        if entry.is_dir():
            self.linked.append(path)
        elif not stat.S_ISREG((status := entry.stat()).st_mode):
            self._refuse(path, "a link to a pipe, socket or device")
        elif not _inside(self.root, os.path.realpath(self.root + b"/" + path)):
            self._refuse(path, "a link that leads out of the indexed folder; it is not followed")
        else:
            return status
        return None

    def _refuse(self, path: bytes, reason: str) -> None:
        self.scan.files.append(Found(path, reason=reason))

    def _beside(self, folder: bytes, names: list[bytes], texts: dict[bytes, os.DirEntry[bytes]]) -> None:
        """Note the text files named as a photograph of the same folder."""
        for name in names:
            for text in sidecar_names(name):
                entry = texts.pop(text, None)
                if entry is None or not entry.is_file(follow_symlinks=False):
                    continue
                path, status = folder + text, entry.stat(follow_symlinks=False)
                self.texts.add(path)
                if self._sidecars.get(path) != (status.st_size, status.st_mtime_ns, 0):
                    self.scan.sidecars.append(Found(path, status.st_size, status.st_mtime_ns))


def sidecar_names(photo: bytes) -> tuple[bytes, bytes]:
    """The text files that hold sentences on a photograph: `photo.jpg.txt` and `photo.txt`."""
    return photo + b".txt", photo[: photo.rindex(b".")] + b".txt"


def _inside(root: bytes, path: bytes) -> bool:
    return path.startswith(root.rstrip(b"/") + b"/")


def _matcher(patterns: Sequence[str]) -> Callable[[bytes, bytes], bool] | None:
    """A test of (path below the root, name) against `fnmatch` patterns; `None` for no patterns."""
    if not patterns:
        return None
    joined = "|".join(fnmatch.translate(pattern.rstrip("/")) for pattern in patterns)
    match = re.compile(joined).match

    def test(path: bytes, name: bytes) -> bool:
        return bool(match(os.fsdecode(name)) or match(os.fsdecode(path)))

    return test
