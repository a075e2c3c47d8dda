"""Names that are not text reach the next program as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sterna import cli
from tests.conftest import draw_photo


def test_raw_bytes_of_names_reach_a_pipe(
    tiny_model: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    library = ("--library", str(tmp_path / "library"))
    folder = tmp_path / "hostile"
    folder.mkdir()
    target = folder / os.fsdecode(b"a\nb\xff.jpg")
    draw_photo(200).save(tmp_path / "drawn.jpg")
    (tmp_path / "drawn.jpg").rename(target)
    cli.main(["index", str(folder), *library, "--model", str(tiny_model)])
    capfdbinary.readouterr()
    assert cli.main(["search", "a dog", *library, "--format", "paths", "-0"]) == 0
    assert capfdbinary.readouterr().out == os.fsencode(target) + b"\0"
