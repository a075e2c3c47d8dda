"""Backups are whole or not there: while others write, when killed at any step, and out of what is damaged."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sterna.errors import LibraryError, LockedError, SternaError, UsageError
from sterna.files import FileLock
from sterna.library import Library, Progress, _catalog, _tidy
from tests.library.fake import ColourEncoder, save
from tests.library.test_faults import REPOSITORY, index_elsewhere, many


def opened(folder: Path) -> Library:
    return Library.open(folder, model=ColourEncoder())


def whole(folder: Path) -> int:
    """How many photographs of a sound library can be found."""
    with opened(folder) as library:
        assert library.check() == []
        count = library.status().indexed
        assert len(library.search("red", k=10_000)) == count
        return count


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_backup_is_a_library_of_one_moment(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(colours)
    told: list[Progress] = []
    made = library.backup(tmp_path / "away" / "backup", progress=told.append)
    assert (made.path, made.photos) == (tmp_path / "away" / "backup", 3)
    assert told[-1].phase == "copying"
    assert told[-1].done == told[-1].total == 3 * 49 * 2
    assert names(made.path) == ["backup.json", "catalog.sqlite", "lock", "vectors"]
    assert json.loads((made.path / "backup.json").read_text())["photos"] == 3
    save(colours / "white.png", "white")
    library.index()
    assert (whole(made.path), whole(library.path)) == (3, 4)


def test_a_restored_library_goes_on_as_it_was(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(colours, exclude=["*.gif"])
    library.backup(tmp_path / "backup")
    restored = Library.restore(tmp_path / "backup", tmp_path / "other" / "place")
    assert restored.path == tmp_path / "other" / "place"
    restored.close()
    assert whole(restored.path) == 3
    assert names(restored.path) == ["catalog.sqlite", "lock", "vectors"]
    again = opened(restored.path)
    assert again.status().journal == "wal"
    assert again.status().roots == library.status().roots
    encoder = ColourEncoder()
    assert again.index(model=encoder).new == 0
    assert encoder.embedded == []


def test_backups_made_while_another_process_indexes_are_whole(library: Library, tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 250)
    library.index(many(tmp_path / "before", 3))
    process = index_elsewhere(library, root, delay=0.004)
    counts = []
    while process.poll() is None:
        library.backup(tmp_path / "backup", overwrite=True)
        counts.append(whole(tmp_path / "backup"))
    process.communicate()
    library.backup(tmp_path / "backup", overwrite=True)
    counts.append(whole(tmp_path / "backup"))
    assert counts == sorted(counts)
    assert len(counts) > 2
    assert counts[-1] == library.status().indexed


def test_segments_that_are_written_anew_meanwhile_are_copied_again(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(many(tmp_path / "photos", 20))
    monkeypatch.setattr(_tidy, "_WORTH", 1)
    copy_to, copied = _catalog.Catalog.copy_to, []

    def then_compact(self: _catalog.Catalog, path: Path) -> None:
        copy_to(self, path)
        if not copied:
            for file in sorted((tmp_path / "photos").iterdir())[:15]:
                file.unlink()
            opened(library.path).index()
        copied.append(path)

    monkeypatch.setattr(_catalog.Catalog, "copy_to", then_compact)
    assert library.backup(tmp_path / "backup").photos == 5
    assert len(copied) == 2
    assert whole(tmp_path / "backup") == 5


def test_a_backup_is_replaced_only_where_asked(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    save(colours / "white.png", "white")
    library.index()
    with pytest.raises(LibraryError, match=r"a backup already; name a new folder, or ask .*--overwrite"):
        library.backup(tmp_path / "backup")
    assert whole(tmp_path / "backup") == 3
    library.backup(tmp_path / "backup", overwrite=True)
    assert whole(tmp_path / "backup") == 4


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_backup_is_never_replaced(
    library: Library, colours: Path, tmp_path: Path, overwrite: bool
) -> None:
    library.index(colours)
    before = sorted(colours.rglob("*"))
    with pytest.raises(LibraryError, match="holds 'red.png', which is nothing of Sterna's"):
        library.backup(colours, overwrite=overwrite)
    assert sorted(colours.rglob("*")) == before
    other = opened(tmp_path / "other")
    other.index(colours)
    with pytest.raises(LibraryError, match="not empty, and no backup of Sterna's"):
        library.backup(other.path, overwrite=overwrite)
    (tmp_path / "file").write_text("x")
    with pytest.raises(LibraryError, match="cannot be used as a folder"):
        library.backup(tmp_path / "file", overwrite=overwrite)
    library.backup(tmp_path / "backup")
    (tmp_path / "backup" / "diary.txt").write_text("mine")
    with pytest.raises(LibraryError, match="holds 'diary.txt'"):
        library.backup(tmp_path / "backup", overwrite=overwrite)
    for inside in (library.path, library.path / "backup", tmp_path):
        with pytest.raises(UsageError, match="the same as|inside the other"):
            library.backup(inside, overwrite=overwrite)


def test_an_empty_folder_is_a_place_for_a_backup(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(colours)
    (tmp_path / "empty").mkdir()
    library.backup(tmp_path / "empty")
    assert whole(tmp_path / "empty") == 3


def test_a_link_to_a_library_stays_one_to_the_new_library(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    (tmp_path / "link").symlink_to(library.path)
    Library.restore(tmp_path / "backup", tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert whole(library.path) == 3
    assert names(tmp_path) == ["backup", "library", "link", "photos"]


def test_a_drive_s_own_folder_is_no_place_for_a_backup(
    library: Library, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(colours)
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) == tmp_path / "disk")
    with pytest.raises(LibraryError, match=f"name a folder on it, such as {tmp_path / 'disk' / 'sterna'}"):
        library.backup(tmp_path / "disk")
    assert library.backup(tmp_path / "disk" / "sterna").photos == 3


def test_a_library_is_replaced_only_where_asked_and_by_what_is_whole(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    save(colours / "white.png", "white")
    library.index()
    with pytest.raises(LibraryError, match=r"a library already; .*--overwrite"):
        Library.restore(tmp_path / "backup", library.path)
    with (
        FileLock(library.path / "lock", what="the library"),
        pytest.raises(LockedError, match="is being written by another process"),
    ):
        Library.restore(tmp_path / "backup", library.path, overwrite=True)
    assert len(library.search("red", k=9)) == 4
    Library.restore(tmp_path / "backup", library.path, overwrite=True)
    assert len(library.search("red", k=9)) == 3  # who has it open sees the new one
    assert names(tmp_path) == ["backup", "library", "photos"]


def test_a_damaged_catalogue_can_be_replaced_by_a_backup(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    library.close()
    (library.path / "catalog.sqlite").write_bytes(b"no catalogue" * 500)
    Library.restore(tmp_path / "backup", library.path, overwrite=True)
    assert whole(library.path) == 3


def test_a_damaged_library_is_not_backed_up(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    (segment,) = (library.path / "vectors").rglob("*.f16")
    good = segment.read_bytes()
    for bad, words in (
        (good[:-1] + b"!", "not what was written"),
        (good[:50], "cut short"),
        (None, "missing"),
    ):
        segment.unlink() if bad is None else segment.write_bytes(bad)
        with pytest.raises(LibraryError, match=f"nothing was backed up.*{segment}.*{words}.*sterna index"):
            library.backup(tmp_path / "backup", overwrite=True)
    assert whole(tmp_path / "backup") == 3
    assert names(tmp_path) == ["backup", "library", "photos"]


def test_a_damaged_backup_is_not_restored(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    catalog, (segment,) = tmp_path / "backup" / "catalog.sqlite", (tmp_path / "backup").rglob("*.f16")
    for file in (segment, catalog):
        good = file.read_bytes()
        file.write_bytes(good[: len(good) // 2] + bytes(len(good) - len(good) // 2))
        with pytest.raises(LibraryError, match="nothing was restored, because of the backup: ") as caught:
            Library.restore(tmp_path / "backup", library.path, overwrite=True)
        assert str(file) in str(caught.value)
        assert "sterna index" not in str(caught.value)
        with pytest.raises(LibraryError):
            Library.restore(tmp_path / "backup", tmp_path / "new")
        file.write_bytes(good)
    assert whole(library.path) == 3
    assert names(tmp_path) == ["backup", "library", "photos"]
    with pytest.raises(LibraryError, match="no backup of a library"):
        Library.restore(colours, tmp_path / "new")


OUTSIDE = [
    "../stolen",
    "vectors/../stolen",
    "vectors/a/../../../stolen",
    "vectors/a/b/stolen",
    "vectors/stolen",
]


@pytest.mark.parametrize("path", [*OUTSIDE, "vectors/../..", "{place}/stolen", "{place}/a/stolen"])
def test_a_backup_cannot_write_outside_the_library(
    library: Library, colours: Path, tmp_path: Path, path: str
) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    victims = [tmp_path / "stolen", tmp_path / "a" / "stolen"]
    for victim in victims:
        victim.parent.mkdir(exist_ok=True)
        victim.write_bytes(b"precious" * 100)
    with sqlite3.connect(tmp_path / "backup" / "catalog.sqlite") as connection:
        connection.execute("UPDATE segments SET path = ?", (path.format(place=tmp_path),))
    connection.close()
    with pytest.raises(LibraryError, match="outside the library"):
        Library.restore(tmp_path / "backup", tmp_path / "new")
    assert names(tmp_path) == ["a", "backup", "library", "photos", "stolen"]
    assert all(victim.read_bytes() == b"precious" * 100 for victim in victims)


def test_a_full_disk_leaves_what_was_there(library: Library, colours: Path, tmp_path: Path) -> None:
    library.index(many(tmp_path / "photos", 400))
    library.backup(tmp_path / "backup")
    script = (
        "import resource, sys; from sterna.errors import DiskError; from sterna.library import Library\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
        "try: Library.open(sys.argv[2]).backup(sys.argv[3], overwrite=True)\n"
        "except DiskError as error: print(error)\n"
    )
    for limit in (1000, 60_000):  # at once, or in the middle
        args = [sys.executable, "-c", script, str(limit), str(library.path), str(tmp_path / "backup")]
        done = subprocess.run(args, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.stdout.startswith(f"{tmp_path / 'backup'}"), done.stderr
        assert "the disk" in done.stdout
    assert whole(tmp_path / "backup") == 403
    assert names(tmp_path) == ["backup", "library", "photos"]


KILL = """
import os, shutil, signal, sys
from pathlib import Path
from sterna.library import Library
from tests.library.fake import ColourEncoder

what, library, backup = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
target = backup if what == "backup" else library
EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect"}

def act():
    if what == "backup":
        Library.open(library).backup(backup, overwrite=True)
    else:
        Library.restore(backup, library, overwrite=True)

def killed(step):
    AFRESH
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = step
    def look(event, args):
        nonlocal left
        if event in EVENTS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(look)
    act()
    os._exit(0)

def state():
    if not target.exists():
        return "absent"
    with Library.open(target, model=ColourEncoder()) as opened:
        assert opened.check() == [], opened.check()
        return opened.status().indexed

print(state())
act()  # everything is imported
step = 0
while killed(step):
    print(state())
    step += 1
print(state())
"""


@pytest.mark.parametrize("what", ["backup", "restore"])
@pytest.mark.parametrize("there", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_kill_at_any_step_leaves_the_old_one_whole_or_the_new_one(
    library: Library, colours: Path, tmp_path: Path, what: str, there: bool
) -> None:
    """Where a folder is replaced, a kill between two renames may leave it aside; the next run brings it back."""
    library.index(colours)
    library.backup(tmp_path / "backup")
    library.close()
    script = KILL.replace("AFRESH", "pass" if there else "shutil.rmtree(target, ignore_errors=True)")
    args = [sys.executable, "-c", script, what, str(library.path), str(tmp_path / "backup")]
    done = subprocess.run(args, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *states = done.stdout.split()
    assert first == "3"
    assert set(states) <= {"3", "absent"}
    assert len(states) > 20
    if there:
        assert states.count("absent") <= 2
    assert states[-1] == "3"
    assert names(tmp_path) == ["backup", "library", "photos"]


def test_nothing_can_be_backed_up_before_anything_is_indexed(library: Library, tmp_path: Path) -> None:
    with pytest.raises(SternaError, match="nothing is indexed yet"):
        library.backup(tmp_path / "backup")
    assert names(tmp_path) == []


def test_a_library_that_is_made_while_another_is_restored_stays(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    library.index(colours)
    library.backup(tmp_path / "backup")
    place = tmp_path / "place"

    def index_there(progress: Progress) -> None:
        if not place.exists():
            with opened(place) as other:
                other.index(colours / "trips")

    with pytest.raises(LibraryError, match="something was made there meanwhile, and stays"):
        Library.restore(tmp_path / "backup", place, progress=index_there)
    assert whole(place) == 2


KILL_BETWEEN = """
import os, signal, sys
from sterna.library import Library

moved = []

def look(event, args):
    if event == "os.rename" and moved:
        os.kill(os.getpid(), signal.SIGKILL)
    if event == "os.rename" and os.fspath(args[0]) == sys.argv[2]:
        moved.append(args)

sys.addaudithook(look)
Library.restore(sys.argv[1], sys.argv[2], overwrite=True)
"""


def test_what_a_kill_left_aside_is_found_by_who_looks_for_it_and_by_nobody_else(
    library: Library, colours: Path, tmp_path: Path
) -> None:
    mine, other = (tmp_path / f"{'photographs-of-a-large-family' * 3}-{name}" for name in ("mine", "other"))
    library.index(colours)
    library.backup(tmp_path / "backup")
    Library.restore(tmp_path / "backup", mine)
    args = [sys.executable, "-c", KILL_BETWEEN, str(tmp_path / "backup"), str(mine)]
    assert subprocess.run(args, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
    assert not mine.exists()
    assert opened(other).status().indexed == 0
    with pytest.raises(LibraryError, match="nothing is indexed yet"):
        opened(other).index()
    opened(other).index(colours / "trips")
    assert (whole(other), whole(mine)) == (2, 3)
