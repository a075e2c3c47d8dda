"""A service of three colours, shared by the tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sterna.library import Library
from tests.library.fake import ColourEncoder, save

pytest.importorskip("fastapi")
from tests.server.serving import Running, serving


def colours(folder: Path) -> Path:
    """A root with red.png, trips/green.png and trips/sea/blue.png; red has a sentence beside it."""
    root = folder / "photos"
    save(root / "red.png", "red")
    (root / "red.txt").write_text("a red wall\nall lime\n", encoding="utf-8")
    save(root / "trips" / "green.png", "lime", size=(24, 32))
    save(root / "trips" / "sea" / "blue.png", "blue")
    return root


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colours(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def service(root: Path) -> Iterator[Running]:
    library = Library.open(root.parent / "library", model=ColourEncoder())
    library.index(root)
    with serving(library) as running:
        yield running


@pytest.fixture(scope="session")
def ids(service: Running) -> dict[str, int]:
    hits = service.post("/api/search", {"text": "red", "min_score": None}).json["hits"]
    return {hit["path"].rpartition("/")[2]: hit["id"] for hit in hits}
