"""`sterna watch`, as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sterna.library import Library
from tests.cli.conftest import Sterna
from tests.library.watching import PATIENCE, until

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(photos: Path, tiny_model: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts `sterna watch` over the folder of photographs; what it prints goes to files."""
    running: list[subprocess.Popen[str]] = []

    def begin(*args: object) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "sterna",
            "watch",
            photos,
            "--model",
            tiny_model,
            "--debounce",
            "0.3",
        ]
        with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
            process = subprocess.Popen(
                [*map(str, command), *map(str, args)],
                stdout=out,
                stderr=err,
                text=True,
                env=os.environ | {"STERNA_LIBRARY": str(tmp_path / "library")},
            )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_watches_and_what_each_run_did_until_it_is_told_to_end(
    start: Start, photos: Path, tmp_path: Path, kind: signal.Signals
) -> None:
    process = start()
    out, err = tmp_path / "out", tmp_path / "err"
    until(lambda: lines(err), process.poll)
    assert lines(err) == [f"sterna: watching {photos}"]
    assert lines(out)[0].endswith("  12 new, 0 changed, 0 moved, 0 removed, 0 failed")
    (photos / "photo-00.jpg").rename(photos / "renamed.jpg")
    (photos / "broken.jpg").write_bytes(b"no photograph")
    until(lambda: any(line.endswith("1 failed") for line in lines(out)))
    assert sum("1 moved" in line for line in lines(out)) == 1
    assert any(line.startswith(f"sterna: {photos / 'broken.jpg'}: ") for line in lines(err))
    process.send_signal(kind)
    assert process.wait(PATIENCE) == 130
    assert lines(err)[-1] == "sterna: interrupted; run the same command again to go on"


def test_each_run_is_a_line_of_json(start: Start, photos: Path, tmp_path: Path) -> None:
    process = start("--format", "json")
    until(lambda: lines(tmp_path / "err"), process.poll)
    shutil.copy(photos / "photo-00.jpg", photos / "copy.jpg")
    (photos / "photo-01.jpg").unlink()
    until(lambda: len(lines(tmp_path / "out")) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 130
    first, second = map(json.loads, lines(tmp_path / "out"))
    assert list(first) == [
        "schema", "new", "changed", "moved", "removed", "failed", "offline", "seconds",
            "unlisted", "left_out", "taken_in", "time", "failures",
    ]  # fmt: skip
    assert (first["new"], second["removed"]) == (12, 1)


def test_a_watching_that_is_killed_while_it_indexes_goes_on_when_it_is_started_again(
    start: Start, photos: Path, tmp_path: Path
) -> None:
    for number in range(30):
        for photo in sorted(photos.glob("photo-0*.jpg")):
            copy = photos / f"copy-{number:02}" / photo.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(photo.read_bytes() + b"%d" % number)  # a content of its own
    total = 12 + 30 * len(list(photos.glob("photo-0*.jpg")))
    process = start()
    with Library.open(tmp_path / "library") as library:
        until(lambda: (tmp_path / "library" / "catalog.sqlite").exists() and library.status().indexed)
        process.kill()
        process.wait()
        kept = library.status().indexed
        assert 0 < kept < total
        assert library.check() == []
        process = start()
        until(lambda: lines(tmp_path / "err"), process.poll)
        assert library.status().indexed == total
    assert f"  {total - kept} new, " in lines(tmp_path / "out")[0]


def test_without_folders_in_an_empty_library_it_says_what_to_do(sterna: Sterna) -> None:
    outcome = sterna("watch")
    assert outcome.code == 1
    assert "nothing is indexed yet" in outcome.err
    assert sterna("watch", "--poll", "0").code == 2
