"""How many cores there are to use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sterna._threads import available_threads


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a container's limit stands, on a machine where eight cores may be used."""
    monkeypatch.setattr("sterna._threads._LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path / "cpu.max"


def test_cores_that_a_process_may_not_run_on_do_not_count(
    limit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert available_threads() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000\n", 8), ("250000 100000\n", 3), ("50000 100000\n", 1), ("6400000 100000\n", 8), ("", 8)],
)
def test_a_containers_limit_counts(limit: Path, text: str, cores: int) -> None:
    limit.write_text(text)
    assert available_threads() == cores
