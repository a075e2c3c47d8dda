"""A library of three colours."""

from __future__ import annotations

from pathlib import Path

import pytest

from sterna.library import Library
from tests.library.fake import ColourEncoder, save


@pytest.fixture
def encoder() -> ColourEncoder:
    return ColourEncoder()


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A root with red.png, trips/green.png and trips/sea/blue.png."""
    root = tmp_path / "photos"
    save(root / "red.png", "red")
    save(root / "trips" / "green.png", "lime")
    save(root / "trips" / "sea" / "blue.png", "blue")
    return root


@pytest.fixture
def library(tmp_path: Path, encoder: ColourEncoder) -> Library:
    return Library.open(tmp_path / "library", model=encoder)
