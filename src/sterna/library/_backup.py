"""Copies of a library: made while it is in use, proved whole before they take their place.

The catalogue is copied as it is at one moment, by SQLite; then the rows that this copy names. Rows of a
segment never change, and a segment's file goes only after the catalogue has named another in its place: where
one has gone meanwhile, all is copied again.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sterna._version import __version__
from sterna.errors import LibraryError, LockedError, UsageError
from sterna.files import system_reason, write_json
from sterna.library._catalog import CATALOG, Catalog
from sterna.library._folder import has_catalog
from sterna.library._replacing import placed_folder, recover
from sterna.library._segments import Segment, segment_files, segments_of
from sterna.library._status import read_check
from sterna.library._types import Backup, Progress, Reporter

__all__ = ["make_backup", "restore_backup"]

_NOTE = "backup.json"
_OURS = {
    CATALOG,
    f"{CATALOG}-wal",
    f"{CATALOG}-shm",
    f"{CATALOG}-journal",
    "lock",
    "sentences",
    "vectors",
    _NOTE,
}
_TRIES = 8
_PIECE = 1 << 22  # bytes
_FOUND = (
    "SELECT COUNT(*) FROM photos WHERE reason IS NULL "
    "AND EXISTS (SELECT 1 FROM files WHERE photo = photos.id)"
)
_CURES = re.compile(r"; (move it away|run `).*$")  # of a library; a backup has none


def make_backup(folder: Path, target: Path, *, overwrite: bool, report: Reporter) -> Backup:
    """Copy the library in `folder` to `target`; see `Library.backup`."""
    target = target.expanduser().absolute()
    _check_apart(folder, target)
    recover(target)
    if _is_taken(target):
        if not (target / _NOTE).is_file():
            raise LibraryError(f"{target}: not empty, and no backup of Sterna's; name a new folder")
        if not overwrite:
            raise LibraryError(
                f"{target}: a backup already; name a new folder, or ask for it to be replaced (--overwrite)"
            )
    with placed_folder(target) as aside:
        wrong = _copy(folder, aside, report=report)
        if wrong:
            raise LibraryError(f"nothing was backed up, because the library is damaged: {wrong[0]}")
        catalog = Catalog(aside)
        photos = int(catalog.value(_FOUND))
        catalog.close()
        made_at = datetime.now(UTC)
        size = sum(file.stat().st_size for file in aside.rglob("*") if file.is_file())
        backup = Backup(target, made_at, photos, size)
        about = {name: value for name, value in backup.as_json().items() if name != "path"}
        write_json(aside / _NOTE, {**about, "library": str(folder), "sterna": __version__})
    return backup


def restore_backup(source: Path, folder: Path, *, overwrite: bool, report: Reporter) -> None:
    """Make the library in `folder` of the backup in `source`; see `Library.restore`."""
    source = source.expanduser().absolute()
    recover(source)
    if not has_catalog(source):
        raise LibraryError(f"{source}: no backup of a library; name the folder that `library backup` wrote")
    _check_apart(source, folder)
    recover(folder)
    if _is_taken(folder):
        if not has_catalog(folder) and not segment_files(folder):
            raise LibraryError(f"{folder}: not empty, and no library; name a new folder")
        if not overwrite:
            raise LibraryError(
                f"{folder}: a library already; name a new folder (--library), or ask for it to be replaced "
                "(--overwrite)"
            )
    with placed_folder(folder) as aside:
        wrong = _copy(source, aside, report=report)
        if wrong:
            raise LibraryError(f"nothing was restored, because of the backup: {_CURES.sub('', wrong[0])}")
        Catalog(aside, write=True).close()  # it keeps its log as this drive allows


def _check_apart(source: Path, target: Path) -> None:
    one, other = source.resolve(), target.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UsageError(f"{target}: the same as {source}, or one inside the other; name a folder elsewhere")


def _is_taken(folder: Path) -> bool:
    """Whether there is anything in a folder; `LibraryError` where it is not ours to replace."""
    try:
        names = {file.name for file in folder.iterdir()} - {"lock"}
    except FileNotFoundError:
        return False
    except OSError as error:  # a file, too
        raise LibraryError(f"{folder}: cannot be used as a folder ({system_reason(error)})") from error
    if names and not names <= _OURS:
        other = min(names - _OURS)
        raise LibraryError(f"{folder}: holds {other!r}, which is nothing of Sterna's; name a new folder")
    return bool(names)


def _copy(source: Path, target: Path, *, report: Reporter) -> list[str]:
    """Copy a library into a folder, and say what is wrong with it; a sentence each, of the source's files."""
    wrong: list[str] = []
    for _ in range(_TRIES):
        catalog = Catalog(source)  # of its own, so that whoever searches does not wait
        try:
            wrong, moment = _copy_once(catalog, target, report=report)
            if not wrong or catalog.fact("generation") == moment:
                break  # else files may have gone because another process wrote their rows into new ones
        except LockedError:
            raise
        except LibraryError as error:
            return [_of(source, target, str(error))]
        finally:
            catalog.close()
    return [_of(source, target, sentence) for sentence in wrong]


def _of(source: Path, copy: Path, sentence: str) -> str:
    return sentence.replace(str(copy), str(source))


def _copy_once(catalog: Catalog, target: Path, *, report: Reporter) -> tuple[list[str], int | None]:
    """Copy what the catalogue says now; returns what is wrong with the copy, and its generation."""
    (target / CATALOG).unlink(missing_ok=True)
    shutil.rmtree(target / "vectors", ignore_errors=True)
    catalog.copy_to(target / CATALOG)
    copy = Catalog(target)
    try:
        _copy_segments(copy, catalog.folder, report=report)
        return read_check(copy), copy.fact("generation")
    finally:
        copy.close()


def _copy_segments(copy: Catalog, source: Path, *, report: Reporter) -> None:
    segments = [one for (model,) in copy.rows("SELECT id FROM models") for one in segments_of(copy, model)]
    total = sum(segment.rows * segment.row_bytes for segment in segments)
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        report(Progress("copying", done, total))

    with contextlib.ExitStack() as stack:
        # opened at once: what another process removes from now on can still be read
        files = [_open(source / _name(segment, copy), stack) for segment in segments]
        for segment, file in zip(segments, files, strict=True):
            if file is None:
                continue
            segment.path.parent.mkdir(parents=True, exist_ok=True)
            with segment.path.open("xb") as written:
                left = segment.rows * segment.row_bytes
                while left and (data := file.read(min(left, _PIECE))):
                    written.write(data)
                    left -= len(data)
                    tell(len(data))


def _name(segment: Segment, copy: Catalog) -> Path:
    """Where a segment lies below its library; a catalogue that came from elsewhere may say anything."""
    vectors = copy.folder / "vectors"
    inside = segment.path.parent.parent == vectors and ".." not in segment.path.relative_to(vectors).parts
    if not inside:
        raise LibraryError(f"the catalogue is damaged (it names {str(segment.path)!r}, outside the library)")
    return segment.path.relative_to(copy.folder)


def _open(path: Path, stack: contextlib.ExitStack) -> BinaryIO | None:
    """A file to read until the stack is left, `None` where there is none, which is found out later."""
    try:
        return stack.enter_context(path.open("rb"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise LibraryError(f"{path}: {system_reason(error)}") from error
