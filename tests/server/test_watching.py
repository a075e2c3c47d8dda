"""A service that watches: what changes in its folders is found a moment later, and it stops cleanly."""

from __future__ import annotations

import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sterna.errors import LibraryError, MissingExtraError
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


def test_watching_begins_when_something_is_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sterna.server._watching._BETWEEN", 0.05)
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    with serving(library, watch=True) as service:
        assert service.get("/api/status").json["indexed"] == 0
        Library.open(tmp_path / "library", model=ColourEncoder()).index(root)
        save(root / "later.png", "purple")
        until(lambda: service.get("/api/status").json["indexed"] == 4)


def test_a_service_of_an_empty_library_stops(tmp_path: Path) -> None:
    with serving(Library.open(tmp_path / "library", model=ColourEncoder()), watch=True) as service:
        assert service.get("/healthz").status == 200
    assert not [thread for thread in threading.enumerate() if thread.name == "sterna-watch"]


def test_watching_goes_on_where_a_report_cannot_be_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    status, broken, failed = library.status, threading.Event(), threading.Event()

    def failing() -> Any:
        if broken.is_set():
            failed.set()
            raise LibraryError("the catalogue is damaged")
        return status()

    monkeypatch.setattr(library, "status", failing)
    with serving(library, watch=True) as service:
        until(lambda: b"sterna_photos 3.0" in service.get("/metrics").body)
        broken.set()
        save(root / "later.png", "purple")
        assert failed.wait(60)
        broken.clear()
        save(root / "latest.png", "yellow")
        until(lambda: b"sterna_photos 5.0" in service.get("/metrics").body)


def test_duplicates_are_compared_anew_where_something_changed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = colours(tmp_path)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(root)
    compare, begun, gate = library.duplicates, threading.Event(), threading.Event()

    def slow(**options: Any) -> Any:
        found = compare(**options)
        begun.set()
        assert gate.wait(60)
        return found

    monkeypatch.setattr(library, "duplicates", slow)
    with serving(library, watch=True) as service, ThreadPoolExecutor(1) as pool:
        until(lambda: b"sterna_photos 3.0" in service.get("/metrics").body)
        early = pool.submit(service.get, "/api/duplicates?copies=true")
        assert begun.wait(60)
        (root / "copy.png").write_bytes((root / "red.png").read_bytes())
        save(root / "more.png", "gold")
        until(lambda: b"sterna_photos 4.0" in service.get("/metrics").body)
        gate.set()
        assert early.result().json["total"] == 0
        assert service.get("/api/duplicates?copies=true").json["total"] == 1


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
