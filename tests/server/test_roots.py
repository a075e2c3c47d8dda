"""Folders that are added and taken out over HTTP: only those that were allowed, and nothing on disk is touched."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import pytest

import sterna
from sterna.errors import ServerError, UsageError
from sterna.files import FileLock
from sterna.library import Forgotten, Library, RootRecord
from tests.conftest import draw_photo
from tests.server.conftest import colours
from tests.server.serving import Running, serving, until
from tests.server.test_jobs import ended


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with `mine`, three photographs, and `other`, two."""
    for name, count in (("mine", 3), ("other", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            draw_photo(number + 20 * len(name)).save(tmp_path / name / f"{number}.jpg")
    return tmp_path


@pytest.fixture
def library(home: Path, tiny_model: Path) -> Library:
    library = Library.open(home / "library", model=tiny_model)
    library.index(home / "mine", home / "other")
    return library


@pytest.fixture
def running(library: Library, home: Path) -> Iterator[Running]:
    with serving(library, allow_roots=(home / "other",)) as service:
        yield service


def roots(service: Running) -> dict[str, Any]:
    return {root["name"]: root for root in service.get("/api/status").json["roots"]}


def forget(service: Running, number: object, *, path: Path | None = None) -> Any:
    query = "" if path is None else f"?path={quote(str(path), safe='')}"
    return service.ask("DELETE", f"/api/roots/{number}{query}")


def test_a_folder_is_taken_out_and_its_photographs_stay(running: Running, home: Path) -> None:
    other = roots(running)["other"]
    before = sorted((home / "other").iterdir())
    gone = forget(running, other["id"])
    assert gone.status == 200, gone
    assert gone.json == {"id": other["id"], "path": str(home / "other"), "files": 2, "photos": 2}
    assert list(roots(running)) == ["mine"]
    assert running.get("/api/status").json["indexed"] == 3
    assert len(running.search({"text": "a dog", "min_score": None})) == 3
    assert sorted((home / "other").iterdir()) == before
    assert forget(running, other["id"]).problem == "not-found"
    running.post("/api/jobs", {})
    assert ended(running, 1)["state"] == "done"
    assert list(roots(running)) == ["mine"]


def test_what_was_taken_out_can_be_added_again(running: Running, home: Path) -> None:
    forget(running, roots(running)["other"]["id"])
    assert running.post("/api/jobs", {"roots": [str(home / "other")]}).status == 202
    assert ended(running, 1)["report"]["new"] == 2
    assert roots(running)["other"]["photos"] == 2


def test_a_folder_that_could_not_be_added_again_is_not_taken_out(running: Running, home: Path) -> None:
    said = running.get("/api/status").json
    assert said["may_add"] == [str(home / "other")]
    assert {root["name"]: root["removable"] for root in said["roots"]} == {"mine": False, "other": True}
    refused = forget(running, roots(running)["mine"]["id"])
    assert (refused.status, refused.problem) == (403, "forbidden")
    assert "--allow-roots" in refused.json["detail"]
    assert set(roots(running)) == {"mine", "other"}


def test_a_service_that_may_add_nothing_takes_nothing_out(library: Library) -> None:
    with serving(library) as service:
        said = service.get("/api/status").json
        assert said["may_add"] == []
        assert not any(root["removable"] for root in said["roots"])
        assert forget(service, said["roots"][0]["id"]).problem == "forbidden"


def test_a_service_whose_model_no_job_can_load_takes_nothing_out(service: Running, root: Path) -> None:
    from tests.library.fake import ColourEncoder

    library = Library.open(root.parent / "library", model=ColourEncoder())
    with serving(library, allow_roots=(root.parent,)) as other:
        said = other.get("/api/status").json
        assert (said["may_add"], said["roots"][0]["removable"]) == ([], False)
        assert forget(other, said["roots"][0]["id"]).problem == "forbidden"


@pytest.mark.parametrize("number", ["999", "-1", "x", "1.5", "99999999999999999999999", "%2e%2e", "1%00"])
def test_an_id_that_no_folder_has_is_none(service: Running, number: str) -> None:
    answer = forget(service, number)
    assert (answer.status, answer.problem) in {(404, "not-found"), (422, "invalid")}


def test_nothing_is_taken_out_while_the_library_is_written_to(running: Running, home: Path) -> None:
    number = roots(running)["other"]["id"]
    with FileLock(home / "library" / "lock", what="it"):
        locked = forget(running, number)
    assert (locked.status, locked.problem, locked.headers["retry-after"]) == (409, "library-locked", "2")
    assert "other" in roots(running)


def test_nothing_is_taken_out_while_a_job_runs(
    running: Running, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.server.test_jobs import stubborn

    monkeypatch.setattr("sterna.server._jobs._COMMAND", stubborn(home, "{}"))
    monkeypatch.setattr("sterna.server._jobs._PATIENCE", 0.2)
    number = roots(running)["other"]["id"]
    assert running.post("/api/jobs", {}).status == 202
    busy = forget(running, number)
    assert (busy.status, busy.problem, busy.headers["retry-after"]) == (409, "job-running", "2")
    running.ask("DELETE", "/api/jobs/1")
    assert forget(running, number).status == 200


def test_a_page_of_another_site_takes_nothing_out(running: Running) -> None:
    number = roots(running)["other"]["id"]
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = running.ask("DELETE", f"/api/roots/{number}", headers=headers)
        assert (refused.status, refused.problem) == (403, "forbidden")
    assert "other" in roots(running)


def test_a_folder_that_is_not_there_could_not_be_added_again_and_stays(running: Running, home: Path) -> None:
    (home / "other").rename(home / "unplugged")
    other = roots(running)["other"]
    assert (other["online"], other["removable"]) == (False, False)
    refused = forget(running, other["id"])
    assert (refused.status, refused.problem) == (403, "forbidden")
    assert "it is not there now" in refused.json["detail"]
    assert "sterna library forget" in refused.json["detail"]
    (home / "unplugged").rename(home / "other")
    assert roots(running)["other"]["removable"]
    assert forget(running, other["id"]).status == 200


def test_a_folder_with_patterns_that_a_job_could_not_give_it_again_stays(
    library: Library, running: Running, home: Path
) -> None:
    library.index(home / "other", exclude=["1.*"])
    other = roots(running)["other"]
    assert (other["photos"], other["removable"]) == (1, False)
    refused = forget(running, other["id"])
    assert (refused.status, refused.problem) == (403, "forbidden")
    assert "--exclude" in refused.json["detail"]
    assert "sterna library forget" in refused.json["detail"]
    assert roots(running)["other"]["photos"] == 1


def test_another_folder_than_the_confirmed_one_stays(library: Library, running: Running, home: Path) -> None:
    number = roots(running)["other"]["id"]
    other = forget(running, number, path=home / "mine")
    assert (other.status, other.problem) == (409, "another-root")
    assert set(roots(running)) == {"mine", "other"}
    assert forget(running, number, path=home / "other").json["path"] == str(home / "other")
    library.index(home / "other")  # as another process may
    assert roots(running)["other"]["id"] > number
    assert forget(running, number).problem == "not-found"


def test_photographs_are_counted_again_after_a_folder_was_taken_out(running: Running) -> None:
    until(lambda: b"sterna_photos 5.0" in running.get("/metrics").body)
    number = roots(running)["other"]["id"]
    assert forget(running, number).status == 200
    until(lambda: b"sterna_photos 3.0" in running.get("/metrics").body, seconds=10)


def leave(service: Running, number: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", service.port))
    connection.sendall(f"DELETE /api/roots/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def test_what_is_being_taken_out_is_taken_out_and_who_waited_and_left_is_forgotten(
    library: Library, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = roots(running)["other"]["id"]
    begun, go, asked = threading.Event(), threading.Event(), []
    forget_it, tell = library.forget, library.roots

    def slow(root: Path) -> Forgotten:
        begun.set()
        assert go.wait(60)
        return forget_it(root)

    def told() -> tuple[RootRecord, ...]:
        asked.append(1)
        return tell()

    monkeypatch.setattr(library, "forget", slow)
    monkeypatch.setattr(library, "roots", told)
    with leave(running, number):
        assert begun.wait(60)
    for _ in range(20):
        with leave(running, number):
            time.sleep(0.01)
    assert running.get("/healthz").status == 200
    until(lambda: b'sterna_requests_total{method="DELETE"' in running.get("/metrics").body)
    time.sleep(0.3)
    go.set()
    until(lambda: "other" not in roots(running))
    assert forget(running, number).problem == "not-found"
    assert len(asked) == 2  # of the first and the last; the others wait no more


def test_a_watched_folder_that_was_taken_out_stays_out_and_one_that_was_added_is_watched(
    library: Library, home: Path
) -> None:
    pytest.importorskip("watchfiles")
    with serving(library, watch=True, allow_roots=(home,)) as service:
        until(lambda: b"sterna_photos 5.0" in service.get("/metrics").body)

        def forgotten() -> bool:  # the first look may be holding the library
            return forget(service, roots(service)["other"]["id"]).status == 200

        until(forgotten)
        draw_photo(70).save(home / "other" / "later.jpg")
        draw_photo(71).save(home / "mine" / "later.jpg")
        until(lambda: service.get("/api/status").json["indexed"] == 4)
        assert list(roots(service)) == ["mine"]

        def added() -> bool:
            job = service.post("/api/jobs", {"roots": [str(home / "other")]})
            return job.status == 202 and ended(service, job.json["id"])["state"] == "done"

        until(added)
        assert roots(service)["other"]["photos"] == 3
        draw_photo(72).save(home / "other" / "latest.jpg")
        until(lambda: roots(service)["other"]["photos"] == 4)
        for name in ("mine", "other"):
            until(lambda name=name: forget(service, roots(service)[name]["id"]).status == 200)
        assert service.get("/api/status").json["roots"] == []
    assert library.check() == []


def test_a_client_takes_folders_out_by_path_and_by_id(running: Running, home: Path) -> None:
    with sterna.Client(running.url) as client:
        with pytest.raises(UsageError, match="nowhere: not a folder of this library; its folders: "):
            client.forget("/nowhere")
        with pytest.raises(UsageError, match="999: not a folder of this library"):
            client.forget(999)
        with pytest.raises(UsageError, match="root=True"):
            client.forget(True)
        with pytest.raises(ServerError, match="--allow-roots") as refused:
            client.forget(PurePosixPath(home / "mine"))
        assert refused.value.status == 403
        gone = client.forget(str(home / "other") + "/")
        assert (str(gone.path), gone.files, gone.photos) == (str(home / "other"), 2, 2)
        client.index(PurePosixPath(home / "other"))
        assert client.forget(roots(running)["other"]["id"]).files == 2


def test_the_log_tells_that_a_folder_was_taken_out_and_not_which(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    forget(running, roots(running)["other"]["id"])
    lines = [record.getMessage() for record in caplog.records if record.name == "sterna.server"]
    assert any(line.endswith("forget files=2 photos=2") for line in lines)
    assert not any("other" in line for line in lines)


def test_photographs_of_several_folders_stay(tmp_path: Path, tiny_model: Path) -> None:
    root = colours(tmp_path)
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "red.png").write_bytes((root / "red.png").read_bytes())
    library = Library.open(tmp_path / "library", model=tiny_model)
    library.index(root, tmp_path / "copies")
    with serving(library, allow_roots=(tmp_path,)) as service:
        gone = forget(service, roots(service)["copies"]["id"]).json
        assert (gone["files"], gone["photos"]) == (1, 0)
        assert service.get("/api/status").json["indexed"] == 3
