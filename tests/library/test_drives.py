"""Drives come and go, get other numbers, and leave mount points behind: nothing of theirs is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.library.test_indexing import counts, names


class _Elsewhere:
    """The status of a file as on a device with this number."""

    def __init__(self, status: os.stat_result, number: int) -> None:
        self._status = status
        self.st_dev = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._status, name)


class Drive:
    """A drive that is plugged in at a folder under some device number, or leaves that folder as it is."""

    def __init__(self, point: Path, number: int = 77) -> None:
        self.point = point
        self.number: int | None = number
        self._under = point.parent.parent / f"{point.name} without its drive"
        self._aside = point.parent.parent / f"{point.name} unplugged"
        self._under.mkdir(parents=True)
        point.mkdir(parents=True, exist_ok=True)

    def unplug(self) -> None:
        self.number = None
        self.point.rename(self._aside)
        self._under.rename(self.point)

    def plug(self, number: int = 77) -> None:
        if self.point.exists():
            self.point.rename(self._under)
        self._aside.rename(self.point)
        self.number = number

    def pretend(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have `os.stat` tell its number."""
        plain = os.stat

        def stat(path: Any, **options: Any) -> Any:
            status = plain(path, **options)
            if isinstance(path, int) or self.number is None:
                return status
            inside = (os.fsencode(path) + b"/").startswith(os.fsencode(self.point) + b"/")
            return _Elsewhere(status, self.number) if inside else status

        monkeypatch.setattr(os, "stat", stat)


@pytest.fixture
def usb(colours: Path, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """A drive at photos/usb with two photographs; `os.stat` tells its number."""
    drive = Drive(colours / "usb")
    save(drive.point / "gold.png", "gold")
    save(drive.point / "2020" / "navy.png", "navy")
    drive.pretend(monkeypatch)
    return drive


def online(library: Library) -> dict[str, bool]:
    return {hit.path.name: hit.online for hit in library.search("red", k=100)}


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "a stray file", "a stray photograph"])
def test_a_drive_inside_a_folder_that_is_unplugged_loses_nothing(
    library: Library, colours: Path, usb: Drive, encoder: ColourEncoder, left: str
) -> None:
    (usb.point / "gold.txt").write_text("a golden wall", encoding="utf-8")
    assert counts(library.index(colours)) == {"new": 5}
    usb.unplug()
    if left == "nothing":
        usb.point.rmdir()
    elif left == "a stray file":
        (usb.point / ".keep").touch()
    elif left == "a stray photograph":
        save(usb.point / "stray.png", "teal")
    for _ in range(2):  # what was found instead of it never comes to stand for it
        report = library.index()
        assert (counts(report), report.offline_roots) == ({"offline": 1}, (usb.point,))
    assert online(library) == {
        "red.png": True, "green.png": True, "blue.png": True, "gold.png": False, "navy.png": False,
    }  # fmt: skip
    assert {hit.away for hit in library.search("red", k=100)} == {None, usb.point}
    (root,) = library.status().roots
    assert (root.online, root.away) == (True, (usb.point,))
    assert library.search("gold", k=1)[0].captions == ("a golden wall",)
    usb.plug(number=78)
    assert library.status().roots[0].away == ()
    assert counts(library.index()) == {}
    assert all(online(library).values())
    assert len(encoder.embedded) == 5


def test_what_leaves_other_folders_while_a_drive_is_away_is_gone(
    library: Library, colours: Path, usb: Drive
) -> None:
    library.index(colours)
    usb.unplug()
    (colours / "red.png").unlink()
    shutil.rmtree(colours / "trips")
    assert counts(library.index()) == {"removed": 3, "offline": 1}
    assert names(library) == ["gold.png", "navy.png"]


def test_what_leaves_a_drive_that_is_there_is_gone(library: Library, colours: Path, usb: Drive) -> None:
    library.index(colours)
    (usb.point / "gold.png").unlink()
    usb.number = 78
    assert counts(library.index()) == {"removed": 1}
    shutil.rmtree(usb.point / "2020")
    assert counts(library.index()) == {"removed": 1}


def test_a_drive_that_was_put_in_order_elsewhere_is_known_by_its_files(
    library: Library, colours: Path, usb: Drive, encoder: ColourEncoder
) -> None:
    library.index(colours)
    (usb.point / "2020").rename(usb.point / "older")
    (usb.point / "gold.png").rename(usb.point / "older" / "gold.png")
    usb.number = 78
    assert counts(library.index()) == {"moved": 2}
    assert len(encoder.embedded) == 5


def test_files_copied_from_a_drive_into_a_plain_folder_go_on_as_its(
    library: Library, colours: Path, usb: Drive
) -> None:
    library.index(colours)
    copy = shutil.copytree(usb.point, colours.parent / "copy")
    usb.unplug()
    usb.point.rmdir()
    copy.rename(usb.point)
    assert counts(library.index()) == {}
    assert all(online(library).values())
    (usb.point / "gold.png").unlink()
    shutil.rmtree(usb.point / "2020")
    assert counts(library.index()) == {"removed": 2}


@pytest.mark.parametrize("coming", [False, True])
def test_a_drive_that_goes_or_comes_while_it_is_walked_proves_nothing(
    library: Library, colours: Path, usb: Drive, monkeypatch: pytest.MonkeyPatch, coming: bool
) -> None:
    library.index(colours)
    if coming:
        usb.unplug()
    plain = os.scandir

    def scandir(path: Any) -> Any:
        if bytes(path).rstrip(b"/") != os.fsencode(usb.point):
            return plain(path)
        if not coming:
            usb.unplug()
        listed = plain(path)
        if coming:
            usb.plug()
        return listed

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        assert counts(library.index()) == {"offline": 1}
    if not coming:
        usb.plug()
    assert counts(library.index()) == {}
    assert all(online(library).values())


def test_a_drive_that_will_not_come_back_leaves_by_an_exclusion(
    library: Library, colours: Path, usb: Drive
) -> None:
    library.index(colours)
    usb.unplug()
    assert counts(library.index(colours, exclude=["usb"])) == {"removed": 2}


def test_photographs_of_a_drive_that_is_away_are_not_waited_for(
    library: Library, colours: Path, usb: Drive
) -> None:
    shutil.copy(usb.point / "gold.png", colours / "twin.png")
    library.index(colours)
    usb.unplug()
    other = ColourEncoder("other")
    assert counts(library.index(model=other)) == {"new": 4, "offline": 1}
    assert sorted(other.embedded) == ["blue.png", "green.png", "red.png", "twin.png"]
    usb.plug()
    assert counts(library.index(model=other)) == {"new": 1}


def test_a_root_stays_protected_when_a_folder_around_it_is_indexed(
    library: Library, colours: Path, usb: Drive
) -> None:
    assert counts(library.index(usb.point)) == {"new": 2}
    assert counts(library.index(colours)) == {"new": 3}
    assert [root.path for root in library.status().roots] == [colours]
    usb.unplug()
    (usb.point / ".keep").touch()
    assert counts(library.index()) == {"offline": 1}
    assert library.status().indexed == 5


@pytest.mark.parametrize("left", ["desktop.ini", "stray.png"])
def test_a_mount_point_with_stray_files_is_an_absent_root(
    library: Library, colours: Path, usb: Drive, left: str
) -> None:
    library.index(usb.point)
    usb.unplug()
    save(colours / "teal.png", "teal").rename(usb.point / left)
    for _ in range(2):
        assert counts(library.index()) == {"offline": 1}
    assert [root.online for root in library.status().roots] == [False]
    assert online(library) == {"gold.png": False, "navy.png": False}
    usb.plug(number=78)  # the same files under another number
    assert [root.online for root in library.status().roots] == [True]
    assert all(online(library).values())
    assert counts(library.index()) == {}


def test_a_library_made_before_drives_were_noted_opens_and_learns_them(
    library: Library, colours: Path, usb: Drive
) -> None:
    library.index(colours)
    library._opened.catalog().run("DROP TABLE mounts")
    assert all(online(library).values())
    assert library.status().indexed == 5
    library.close()
    assert counts(library.index()) == {}
    usb.unplug()
    assert counts(library.index()) == {"offline": 1}


@pytest.fixture
def mounted(colours: Path) -> Iterator[Path]:
    """A real drive at photos/usb, where this process may mount one."""
    point = colours / "usb"
    point.mkdir()
    try:
        mount = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount here")
    if mount.returncode:
        pytest.skip("this process may not mount drives")
    try:
        yield point
    finally:
        subprocess.run(["umount", point], capture_output=True, check=False)


def test_a_real_drive_is_noted_and_missed(library: Library, colours: Path, mounted: Path) -> None:
    save(mounted / "gold.png", "gold")
    assert counts(library.index(colours)) == {"new": 4}
    subprocess.run(["umount", mounted], check=True)
    assert counts(library.index()) == {"offline": 1}
    assert online(library)["gold.png"] is False
    mounted.rmdir()
    assert counts(library.index()) == {"offline": 1}
