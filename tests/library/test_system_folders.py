"""What the system tells of itself in the form of files is no drive: it is left out, and said so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sterna.errors import UsageError
from sterna.library import Library
from tests.library.fake import save
from tests.library.test_drives import Drive
from tests.library.test_indexing import counts, names

Mount = Callable[..., Path]


@pytest.fixture
def shown(colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the system say that a file system of some kind is mounted at "photos/a drive"."""
    table = tmp_path / "mountinfo"

    def show(kind: str) -> None:
        point = str(colours / "a drive").replace(" ", "\\040")
        table.write_text(
            f"22 27 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
            f"23 22 0:77 / {point} rw master:2 - nfs4 host:/ rw\n"
            f"24 22 0:77 / {point} rw - {kind} none rw\n"
        )

    monkeypatch.setattr("sterna.library._drives._MOUNTS", table)
    return show


@pytest.fixture
def drive(colours: Path, monkeypatch: pytest.MonkeyPatch) -> Drive:
    made = Drive(colours / "a drive")
    save(made.point / "deep" / "gold.png", "gold")
    made.pretend(monkeypatch)
    return made


@pytest.mark.parametrize("kind", ["proc", "sysfs", "cgroup2", "devtmpfs", "tracefs", "fuse.portal"])
def test_folders_of_the_system_are_left_out_and_named(
    library: Library, colours: Path, drive: Drive, shown: Callable[[str], None], kind: str
) -> None:
    shown(kind)
    report = library.index(colours)
    assert counts(report) == {"new": 3}
    assert report.left_out == (drive.point,)
    assert counts(library.index()) == {}


@pytest.mark.parametrize(
    "kind", ["ext4", "tmpfs", "nfs4", "fuse.sshfs", "fuse.gvfsd-fuse", "overlay", "btrfs"]
)
def test_drives_of_any_kind_are_walked(
    library: Library, colours: Path, drive: Drive, shown: Callable[[str], None], kind: str
) -> None:
    shown(kind)
    report = library.index(colours)
    assert (counts(report), report.left_out) == ({"new": 4}, ())


@pytest.mark.parametrize("where", ["", "deep"])
def test_a_folder_of_the_system_is_refused(
    library: Library, drive: Drive, shown: Callable[[str], None], where: str
) -> None:
    shown("sysfs")
    with pytest.raises(UsageError, match="holds no files of a drive but what the system tells of itself"):
        library.index(drive.point / where)
    assert not library.path.exists()


def test_what_was_indexed_there_once_is_gone(
    library: Library, colours: Path, drive: Drive, shown: Callable[[str], None]
) -> None:
    shown("ext4")
    assert counts(library.index(colours)) == {"new": 4}
    shown("proc")
    for _ in range(2):
        assert library.index().offline == 0
    assert names(library) == ["blue.png", "green.png", "red.png"]


def test_a_drive_behind_a_folder_of_the_system_is_a_folder_of_its_own(
    library: Library, colours: Path, drive: Drive, shown: Callable[[str], None], tmp_path: Path
) -> None:
    shown("devtmpfs")
    table = tmp_path / "mountinfo"
    point = str(drive.point / "deep").replace(" ", "\\040")
    table.write_text(table.read_text() + f"25 24 0:78 / {point} rw - tmpfs none rw\n")
    assert counts(library.index(colours)) == {"new": 3}
    assert counts(library.index(drive.point / "deep")) == {"new": 1}
    assert [root.path for root in library.status().roots] == [colours, drive.point / "deep"]
    assert counts(library.index(colours)) == {}
    assert len(library.status().roots) == 2


@pytest.fixture
def mount(colours: Path) -> Iterator[Mount]:
    """Mounts something real inside photos, where this process may."""
    points: list[Path] = []

    def mounted(name: str, *options: str) -> Path:
        point = colours / name
        point.mkdir()
        done = subprocess.run(["mount", *options, point], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("this process may not mount")
        points.append(point)
        return point

    if sys.platform != "linux":
        pytest.skip("file systems have these names on Linux")
    yield mounted
    for point in points:
        subprocess.run(["umount", point], capture_output=True, check=False)


def test_real_mounts_are_told_apart(library: Library, colours: Path, tmp_path: Path, mount: Mount) -> None:
    elsewhere = save(tmp_path / "elsewhere" / "white.png", "white").parent
    proc, memory = mount("proc", "-t", "proc", "proc"), mount("memory", "-t", "tmpfs", "tmpfs")
    bound = mount("bound", "--bind", str(elsewhere))
    save(memory / "gold.png", "gold")
    (colours / "link").symlink_to(proc / "self")
    report = library.index(colours)
    assert set(names(library)) == {"blue.png", "gold.png", "green.png", "red.png", "white.png"}
    assert set(report.left_out) == {proc, colours / "link"}
    assert bound.is_dir()
    with pytest.raises(UsageError, match="what the system tells of itself"):
        library.index(proc / "self")
