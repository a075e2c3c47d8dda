"""Kills, full disks, damage, other processes: nothing committed is lost, nothing has to be repaired."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sterna.errors import DiskError, LibraryError
from sterna.library import Library
from tests.library.fake import ColourEncoder, save

REPOSITORY = Path(__file__).resolve().parents[2]

INDEX = """
import sys
from sterna.errors import SternaError
from sterna.library import Library
from tests.library.fake import ColourEncoder
folder, root, delay, limit = sys.argv[1:]
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    print(Library.open(folder, model=ColourEncoder(delay=float(delay))).index(root, wait=60).new)
except SternaError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def index_elsewhere(
    library: Library, root: Path, *, delay: float = 0.0, limit: int = 0
) -> subprocess.Popen[str]:
    """Start another process that indexes; `limit` is the largest file it may write."""
    return subprocess.Popen(
        [sys.executable, "-c", INDEX, str(library.path), str(root), str(delay), str(limit)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def many(root: Path, count: int) -> Path:
    for number in range(count):
        save(root / f"{number:04}.png", (number % 256, number // 256, 99), size=(8, 8))
    return root


def test_kills_at_any_moment_lose_only_the_batch_in_hand(library: Library, tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 300)
    least = 0
    moments = random.Random(1)
    for _ in range(4):
        process = index_elsewhere(library, root, delay=0.004)
        deadline = time.monotonic() + 60
        while library.status().indexed <= least and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        process.communicate()
        status = library.status()
        assert status.indexed >= least
        assert len(library.search("red", k=1000)) == status.indexed
        least = status.indexed
    assert 0 < least < 300
    assert library.index().new == 300 - least
    assert library.status().indexed == 300
    assert {file.name for file in library.path.iterdir()} <= {
        "catalog.sqlite", "catalog.sqlite-shm", "catalog.sqlite-wal", "lock", "vectors",
    }  # fmt: skip
    hits = library.search(image=root / "0123.png", k=300)
    assert hits[0].path == root / "0123.png"
    assert len({hit.path for hit in hits}) == 300


def test_rows_that_a_killed_process_left_behind_are_overwritten(library: Library, colours: Path) -> None:
    library.index(colours)
    (segment,) = (library.path / "vectors").rglob("*.f16")
    whole = segment.read_bytes()
    segment.write_bytes(whole + b"\x11" * 1001)
    assert [hit.path.name for hit in library.search("red", k=1)] == ["red.png"]
    save(colours / "white.png", "white")
    assert library.index().new == 1
    assert segment.read_bytes()[: len(whole)] == whole
    assert segment.stat().st_size == len(whole) // 3 * 4
    assert library.search("white")[0].path.name == "white.png"


def test_a_segment_without_a_row_in_the_catalogue_is_no_obstacle(library: Library, colours: Path) -> None:
    where = library.path / "vectors" / ColourEncoder().fingerprint[:16]
    where.mkdir(parents=True)
    (where / "000001.f16").write_bytes(b"left by a process that was killed before its first commit")
    assert library.index(colours).new == 3
    assert library.search("red")[0].path.name == "red.png"


def test_two_processes_take_turns(library: Library, tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 120)
    both = [index_elsewhere(library, root, delay=0.002) for _ in range(2)]
    done = sorted(int(process.communicate(timeout=60)[0]) for process in both)
    assert done == [0, 120]
    assert library.status().indexed == 120


def test_searching_while_indexing_sees_whole_batches(library: Library, tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 200)
    answers: list[tuple[int, int, int]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            if library.status().indexed:
                before = library.status().indexed
                hits = library.search("red", k=1000)
                assert len({hit.photo_id for hit in hits}) == len(hits)
                answers.append((before, len(hits), library.status().indexed))
            time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        writer = Library.open(library.path, model=ColourEncoder(delay=0.002))
        assert writer.index(root).new == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert answers
    assert all(before <= found <= after for before, found, after in answers)
    assert len(library.search("red", k=1000)) == 200


def test_a_full_disk_is_one_sentence_and_loses_nothing(library: Library, tmp_path: Path) -> None:
    root = many(tmp_path / "photos", 50)
    library.index(root)
    many(root / "more", 600)
    for path in (root / "more").iterdir():
        path.write_bytes(path.read_bytes() + path.name.encode())  # contents of their own
    for limit in (30_000, 120_000, 180_000):  # now the vectors, now the catalogue meet it
        process = index_elsewhere(library, root, limit=limit)
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 1
        assert complaint.count("\n") == 1, complaint
        assert complaint.startswith("DiskError: ")
        assert "the disk" in complaint
        found = library.status().indexed
        assert found >= 50
        assert len(library.search("red", k=5000)) == found
    library.index()
    assert library.status().indexed == 650


def test_sqlite_s_own_full_disk_is_the_same_sentence(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sterna.library import _catalog

    library.index(colours)
    save(colours / "white.png", "white")
    prepare = _catalog.Catalog._prepare

    def small(self: _catalog.Catalog, write: bool) -> None:
        prepare(self, write)
        self.run(f"PRAGMA max_page_count = {self.value('PRAGMA page_count')}")

    monkeypatch.setattr(_catalog.Catalog, "_prepare", small)
    for number in range(1000):
        (colours / f"bad{number:05}{'x' * 100}.png").write_bytes(b"%d" % number)
    with pytest.raises(DiskError, match=r"catalog.sqlite: the disk is full; free some space and run"):
        library.index()
    assert library.status().indexed >= 3


def test_a_damaged_catalogue_is_one_sentence(library: Library, colours: Path) -> None:
    library.index(colours)
    library.close()
    catalog = library.path / "catalog.sqlite"
    catalog.write_bytes(b"this is not what it was" * 100)
    for action in (library.status, library.index, lambda: library.search("red")):
        with pytest.raises(
            LibraryError, match=r"catalog.sqlite: the catalogue is damaged \(.*\); move it away"
        ):
            action()


def test_a_newer_catalogue_is_not_touched(library: Library, colours: Path) -> None:
    library.index(colours)
    library.close()
    connection = sqlite3.connect(library.path / "catalog.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for action in (library.status, library.index):
        with pytest.raises(
            LibraryError, match=r"made by a newer Sterna \(its version is 99, this one reads 1\)"
        ):
            action()


def test_a_network_drive_keeps_a_rollback_journal_and_says_so(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._catalog.is_network_drive", lambda folder: True)
    library.index(colours)
    assert library.status().journal == "delete"
    assert library.search("red")[0].path.name == "red.png"
    assert not (library.path / "catalog.sqlite-wal").exists()
    monkeypatch.undo()
    save(colours / "white.png", "white")
    library.close()
    assert library.index().new == 1
    assert library.status().journal == "wal"


def test_vectors_that_are_no_numbers_are_a_failure_with_a_reason(tmp_path: Path, colours: Path) -> None:
    class Broken(ColourEncoder):
        def stream_images(self, photos):
            for answer in super().stream_images(photos):
                if self.embedded[-1] == "red.png":
                    answer.vector[3] = np.nan
                yield answer

    library = Library.open(tmp_path / "library", model=Broken())
    report = library.index(colours)
    assert (report.new, report.failed) == (2, 1)
    assert "no vector of finite numbers" in library.status().failed[0].reason


def test_an_encoder_that_fails_keeps_what_was_made(tmp_path: Path, photos: Path) -> None:
    class Failing(ColourEncoder):
        def stream_images(self, photos):
            for number, answer in enumerate(super().stream_images(photos)):
                if number == 7:
                    raise RuntimeError("the network broke")
                yield answer

    library = Library.open(tmp_path / "library", model=Failing())
    with pytest.raises(RuntimeError, match="the network broke"):
        library.index(photos)
    assert library.status().indexed == 7
