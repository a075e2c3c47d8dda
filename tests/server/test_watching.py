"""A service that watches: what changes in its folders is found a moment later, and it stops cleanly."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import pytest

from sterna.errors import MissingExtraError
from sterna.library import Library
from sterna.server import ServerSettings, create_app
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import serving, until

pytest.importorskip("watchfiles")


def test_a_service_finds_what_comes_while_it_watches(tmp_path: Path) -> None:
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    save(root / "before.png", "gold")  # while nobody watched
    with serving(library, watch=True) as service:
        until(lambda: service.get("/api/status").json["indexed"] == 4)
        save(root / "trips" / "later.png", "purple")
        until(lambda: service.search({"text": "purple", "k": 1, "min_score": None}) == ["later.png"])
        (root / "red.png").unlink()
        until(lambda: service.get("/api/photos?name=red.png").json["photos"] == [])
    assert not [thread for thread in threading.enumerate() if thread.name == "sterna-watch"]
    with Library.open(tmp_path / "library", model=ColourEncoder()) as again:
        assert again.check() == []
        assert again.status().indexed == 4


def test_a_service_does_not_watch_unless_it_is_told(tmp_path: Path) -> None:
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    with serving(library) as service:
        assert service.get("/readyz").status in {200, 503}
        assert not [thread for thread in threading.enumerate() if thread.name == "sterna-watch"]


def test_a_part_that_is_missing_is_told_before_it_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "watchfiles" else find(name, *rest)
    )
    with pytest.raises(MissingExtraError, match="watch"):
        create_app(Library.open(tmp_path / "library"), settings=ServerSettings(watch=True))
