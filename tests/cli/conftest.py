"""How the command line is run in tests: in this process, with a library of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sterna import cli


@dataclass(frozen=True)
class Outcome:
    """An exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, f"nothing was printed; exit code {self.code}: {self.err}"
        return json.loads(self.out)


Sterna = Callable[..., Outcome]


@pytest.fixture
def sterna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sterna:
    """Runs `sterna ARGS...` with an empty library in the test's folder."""
    monkeypatch.setenv("STERNA_LIBRARY", str(tmp_path / "library"))
    monkeypatch.delenv("STERNA_DEBUG", raising=False)

    def run(*args: object) -> Outcome:
        capfd.readouterr()
        code = cli.main([str(arg) for arg in args])
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def indexed(sterna: Sterna, photos: Path, tiny_model: Path) -> Path:
    """The folder of photographs, indexed with the tiny model."""
    outcome = sterna("index", photos, "--model", tiny_model, "--format", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["new"] == 12
    return photos
