"""A service that is killed while it indexes and answers: nothing is broken when it is started again."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
from pathlib import Path

import pytest

from sterna.errors import LockedError
from sterna.files import FileLock
from sterna.library import Library
from tests.conftest import draw_photo
from tests.server.serving import Running, until
from tests.server.test_stop import started

PHOTOS = 240


@pytest.mark.long
def test_a_service_that_is_killed_while_it_indexes_and_answers_goes_on_where_it_was(
    tmp_path: Path, tiny_model: Path
) -> None:
    (tmp_path / "photos").mkdir()
    draw_photo(0, size=(900, 700)).save(tmp_path / "photos" / "0.jpg")
    with Library.open(tmp_path / "library", model=tiny_model) as library:
        library.index(tmp_path / "photos")
    for number in range(1, PHOTOS):
        draw_photo(number, size=(900, 700)).save(tmp_path / "photos" / f"{number}.jpg")
    found = [1]
    for _ in range(3):
        with started(tmp_path / "library") as process:
            until(lambda service=process.service: service.get("/readyz").status == 200)
            assert process.service.get("/api/status").json["indexed"] >= found[-1]
            assert process.service.post("/api/jobs", {}).status == 202
            stop = threading.Event()
            askers = [threading.Thread(target=ask, args=(process.service, stop)) for _ in range(3)]
            for asker in askers:
                asker.start()
            until(lambda service=process.service: is_embedding(service))
            process.popen.send_signal(signal.SIGKILL)
            process.popen.wait(60)
            stop.set()
            for asker in askers:
                asker.join(60)
        until(lambda: is_free(tmp_path / "library"))  # what indexes keeps what it has done, and ends
        with Library.open(tmp_path / "library", model=tiny_model) as library:
            assert library.check() == []
            found.append(library.status().indexed)
            assert len(library.search("a dog", k=PHOTOS, min_score=None)) == found[-1]
    assert found == sorted(found)
    with started(tmp_path / "library") as process:
        until(lambda: process.service.get("/readyz").status == 200)
        assert process.service.post("/api/jobs", {}).status == 202
        until(lambda: process.service.get("/api/jobs").json["jobs"][0]["state"] != "running")
        last = process.service.get("/api/jobs").json["jobs"][0]
        assert last["state"] == "done", last
        assert process.service.get("/api/status").json["indexed"] == PHOTOS
    with Library.open(tmp_path / "library", model=tiny_model) as library:
        assert library.check() == []


def is_free(library: Path) -> bool:
    try:
        with FileLock(library / "lock", what="it", wait=0):
            return True
    except LockedError:
        return False


def is_embedding(service: Running) -> bool:
    (job,) = service.get("/api/jobs").json["jobs"]
    assert job["state"] in {"running", "done"}, job
    return job["state"] == "done" or job["progress"].get("phase") == "embedding"


def ask(service: Running, stop: threading.Event) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        while not stop.is_set():
            assert service.post("/api/search", {"text": "a dog"}).status == 200
