"""Processes that read ahead: they end with the run, however it ends, and hold nothing of it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sterna.errors import RunError
from sterna.files import FileLock
from sterna.training import train
from sterna.training._batches import read_batches
from sterna.training._plan import Plan
from sterna.training._split import Split
from tests.training.toy import make_toy, toy_settings

SCRIPT = """
import sys
from pathlib import Path
from sterna.training import train
from tests.training.toy import toy_settings

toy = Path(sys.argv[1])
train(toy_settings(toy, workers=2, optimizer={"rate": 1e30}), toy / "run")
"""
PLAN = Plan(images=4, batch_images=2, accumulation=1, epochs=50, seed=0)
SPLIT = Split(np.arange(4), np.arange(4), np.arange(5))


class Drawn:
    """Reads nothing, and with `stuck` never comes back from any but the first part."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.stuck = stuck
        self.read = 0

    def regions(self, rows, views):
        self.read += 1
        while self.stuck and self.read > 1:
            time.sleep(0.01)
        return torch.zeros(len(rows), 1, 3), torch.ones(len(rows), 1).bool(), torch.zeros(len(rows), 1, 4)

    def tokens(self, rows):
        return torch.zeros(len(rows), 1, 3), torch.ones(len(rows), 1).bool()

    def maps(self, rows, views):
        return None

    def ids(self, rows):
        return None, None


def reading(reader, *, workers: int = 2):
    return read_batches(reader, SPLIT, PLAN, start=0, captions_per_image=None, workers=workers)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="counts processes as POSIX has them")
def test_a_process_in_which_training_with_workers_fails_ends(tmp_path):
    make_toy(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "the loss is nan at step" in done.stderr


def test_workers_end_while_the_error_that_ended_the_run_is_still_looked_at(tmp_path):
    make_toy(tmp_path)
    settings = toy_settings(tmp_path, workers=2, optimizer={"rate": 1e30})
    before = set(multiprocessing.active_children())
    with pytest.raises(RunError) as caught:
        train(settings, tmp_path / "run")
    assert caught.tb is not None
    assert set(multiprocessing.active_children()) == before


def test_a_busy_worker_is_deaf_to_sigterm_until_the_reading_ends(monkeypatch):
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    before = set(multiprocessing.active_children())
    with contextlib.closing(reading(Drawn(stuck=True), workers=1)) as batches:
        next(batches)
        (worker,) = set(multiprocessing.active_children()) - before
        os.kill(worker.pid, signal.SIGTERM)
        worker.join(0.1)
        assert worker.is_alive()
    worker.join(10)
    assert not worker.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="workers are not forked there")
def test_workers_do_not_hold_the_lock_of_the_run(tmp_path):
    file = tmp_path / ".lock"
    with FileLock(file, what="the run"):
        batches = reading(Drawn())
        next(batches)
        next(batches)  # one of each worker
    with contextlib.closing(batches), FileLock(file, what="the run"):
        assert next(batches) is not None
