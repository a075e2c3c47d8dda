"""Walk a root and compare it with what is known: size and time decide what is looked at.

Paths are bytes all the way, as the file system has them: names need not be text, and 100,000 unchanged
files take no object more than the system's own entries.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence

from sterna.library._drives import device_of, is_of_the_system
from sterna.library._found import Found, Known, Scan, size_and_time, why
from sterna.library._paths import SKIPPED, is_inside, is_skipped, matcher, sidecar_names, within

__all__ = ["NO_DEVICE", "Walk", "scan_root"]

_EVERY = 1000  # files between two reports
NO_DEVICE = -1  # no device's number
_LEADS_OUT = "a link that leads out of the indexed folder; it is not followed"


def scan_root(
    root: bytes,
    *,
    known: Mapping[bytes, Known],
    sidecars: Mapping[bytes, Known],
    devices: Mapping[bytes, int],
    exclude: Sequence[str] = (),
    report: Callable[[int], None] = lambda looked: None,
) -> Scan:
    """Walk a root.

    Arguments:
        root: its absolute path, without links.
        known: files that the library knows in it, by their path below it.
        sidecars: the same for text files.
        devices: what was noted by the walk before, see `Scan`.
        exclude: `fnmatch` patterns; a file or folder whose name or path below the root fits one is left out.
        report: called now and then with the number of photographs looked at.
    """
    walk = Walk(root, known, sidecars=sidecars, devices=devices, exclude=exclude, report=report)
    walk.folders([(b"", NO_DEVICE)])
    left: list[Found] = []
    while walk.linked:  # after the folders themselves, so that a photograph keeps its own path
        links, walk.linked = sorted(walk.linked), []
        for link in links:
            if is_inside(os.path.realpath(root + b"/" + link), root):
                walk.scan.linked = True
                walk.folders([(link + b"/", walk.drives.get(b"", NO_DEVICE))])
            else:
                left.append(Found(link, reason=_LEADS_OUT))
    scan = walk.scan
    closed = tuple(within(folder) for folder in scan.unlisted) + tuple(walk.lost)
    scan.folders += left  # what was once found in them is gone
    scan.away = away = _away(walk, known, devices=devices, closed=closed)
    closed += away
    scan.gone = [path for path in walk.known if not path.startswith(closed)]
    scan.gone_sidecars = [path for path in sidecars.keys() - walk.texts if not path.startswith(closed)]
    if away:
        for found in (scan.files, scan.sidecars, scan.folders):
            found[:] = [one for one in found if not within(one.path).startswith(away)]
        scan.unlisted = [folder for folder in scan.unlisted if not within(folder).startswith(away)]
    scan.devices = {path: one for path, one in walk.drives.items() if not within(path).startswith(away)}
    scan.devices |= {path: one for path, one in devices.items() if within(path).startswith(closed)}
    return scan


def _away(
    walk: Walk, known: Mapping[bytes, Known], *, devices: Mapping[bytes, int], closed: tuple[bytes, ...]
) -> tuple[bytes, ...]:
    """The folders, as in `Scan.away`, whose drives are not there.

    That is so where the folder is missing, where it changed its device while it was walked, and where it lies
    on another device than was noted and nothing that is known was seen in it: a mount point without its
    drive, be there stray files in it or none.
    """
    away: tuple[bytes, ...] = ()
    system = tuple(within(folder) for folder in walk.scan.system)
    for folder, noted in sorted({**walk.drives, **devices}.items()):
        prefix = within(folder)
        if prefix.startswith(away + system) or (folder and is_skipped(folder, walk.exclude)):
            continue
        now, walked = device_of(walk.root + b"/" + folder, unknown=noted), walk.devices.get(folder)
        if walked == now == noted or (now is not None and prefix.startswith(closed)):
            continue
        below = [path for path in known if path.startswith(prefix)]
        if folder and not below:
            continue  # nothing is lost with it
        if now is None or walked != now or not walk.recognises(below):
            away += (prefix,)
    return away


class Walk:
    """One walk.

    Arguments:
        as those of `scan_root`.

    Attributes:
        known: files that are known and were not seen.
        texts: text files seen.
        linked: links to folders that are still to be followed.
        lost: folders that were gone when the walk came to them.
        devices: `st_dev`, as it was then, of the folders noted before and of `drives`.
        drives: those on another device than the folder around them, and the root.
    """

    def __init__(
        self,
        root: bytes,
        known: Mapping[bytes, Known],
        *,
        sidecars: Mapping[bytes, Known],
        devices: Mapping[bytes, int],
        exclude: Sequence[str],
        report: Callable[[int], None],
    ) -> None:
        from sterna.images import PHOTO_SUFFIXES  # brings Pillow, which searching for a sentence does without

        self.root = root
        self.exclude = exclude
        self.scan = Scan()
        self.devices: dict[bytes, int] = {}
        self.drives: dict[bytes, int] = {}
        self.texts: set[bytes] = set()
        self.linked: list[bytes] = []
        self.lost: list[bytes] = []
        self.known = dict(known)
        self._all = known
        self._noted = {within(path) for path in devices}
        self._sidecars = sidecars
        self._excluded = matcher(exclude)
        self._report = report
        self._visited: set[tuple[int, int]] = set()
        self._suffixes = frozenset(suffix.encode() for suffix in PHOTO_SUFFIXES)

    def folders(self, pending: list[tuple[bytes, int]], *, deep: bool = True) -> None:
        """Walk these folders and, `deep`, all below them: paths below the root that end with a slash, each
        with the `st_dev` of the folder around it.
        """
        while pending:
            folder, outer = pending.pop()
            path = self.root + b"/" + folder
            try:
                status = os.stat(path)  # noqa: PTH116 (bytes)
                device = status.st_dev
                if device != outer or folder in self._noted:
                    self.devices[folder.rstrip(b"/")] = device
                if (device, status.st_ino) in self._visited:
                    continue
                self._visited.add((device, status.st_ino))
                if device != outer and folder and is_of_the_system(os.path.realpath(path)):
                    self.scan.system.append(folder.rstrip(b"/"))
                    continue
                if device != outer:
                    self.drives[folder.rstrip(b"/")] = device
                with os.scandir(path) as entries:
                    inner = self._folder(folder, entries)
                self.scan.walked.append(folder.rstrip(b"/"))
                pending += [(one, device) for one in inner if deep]
            except FileNotFoundError:
                self.lost.append(folder)  # moved away just now, or its drive is: nothing is said of its files
            except OSError as error:
                self.scan.unlisted.append(folder.rstrip(b"/"))
                self.scan.folders.append(Found(folder.rstrip(b"/"), reason=f"cannot be listed: {why(error)}"))

    def recognises(self, files: Sequence[bytes]) -> bool:
        """Whether one of these known files was seen, be it at another path; true for no files."""
        if not files or any(path not in self.known for path in files):
            return True
        lost = {(path.rpartition(b"/")[2], *self._all[path][:2]) for path in files}
        return any((one.path.rpartition(b"/")[2], one.size, one.mtime_ns) in lost for one in self.scan.files)

    def _folder(  # noqa: PLR0912 (one loop, run once for every file)
        self, folder: bytes, entries: Iterator[os.DirEntry[bytes]]
    ) -> list[bytes]:
        """Look at what a folder holds; returns the folders in it that are to be walked."""
        known, suffixes, excluded = self.known, self._suffixes, self._excluded
        inner: list[bytes] = []
        names: list[bytes] = []
        texts: dict[bytes, os.DirEntry[bytes]] = {}
        for entry in entries:
            name = entry.name
            if name.startswith(b".") or (excluded and excluded(folder + name, name)):
                continue
            if entry.is_dir(follow_symlinks=False):
                if name.lower() not in SKIPPED:
                    inner.append(folder + name + b"/")
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
                    if old != (status.st_size, status.st_mtime_ns, 0):  # nearly always enough to ask
                        size, mtime_ns = size_and_time(status)
                        if old != (size, mtime_ns, 0):
                            self.scan.files.append(Found(path, size, mtime_ns))
                elif old is not None and self.linked[-1:] == [path]:
                    known[path] = old  # no file's name any more but a folder's
            elif name.endswith(b".txt"):
                texts[name] = entry
            elif entry.is_symlink() and name.lower() not in SKIPPED and _leads_to_a_folder(entry):
                self.linked.append(folder + name)
        before = self.scan.looked // _EVERY
        self.scan.looked += len(names)
        if self.scan.looked // _EVERY != before:
            self._report(self.scan.looked)
        if texts:
            self._beside(folder, names, texts=texts)
        return inner

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
        elif not is_inside(os.path.realpath(self.root + b"/" + path), self.root):
            self._refuse(path, _LEADS_OUT)
        else:
            self.scan.linked = True
            return status
        return None

    def _refuse(self, path: bytes, reason: str) -> None:
        self.scan.files.append(Found(path, reason=reason))

    def _beside(self, folder: bytes, names: list[bytes], *, texts: dict[bytes, os.DirEntry[bytes]]) -> None:
        """Note the text files named as a photograph of the same folder."""
        for name in names:
            for text in sidecar_names(name):
                entry = texts.pop(text, None)
                if entry is None or not entry.is_file(follow_symlinks=False):
                    continue
                path, (size, mtime_ns) = folder + text, size_and_time(entry.stat(follow_symlinks=False))
                self.texts.add(path)
                if self._sidecars.get(path) != (size, mtime_ns, 0):
                    self.scan.sidecars.append(Found(path, size, mtime_ns))


def _leads_to_a_folder(entry: os.DirEntry[bytes]) -> bool:
    """Whether a link leads to a folder; not where it leads in circles or one may not look."""
    try:
        return entry.is_dir()
    except OSError:
        return False
