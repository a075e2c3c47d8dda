"""Jobs: indexing in a process of its own, followed and stopped, on folders that may be indexed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sterna.library import Library
from tests.conftest import draw_photo
from tests.library.fake import save
from tests.server.serving import Running, serving, until


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with `photos`, four of them, and `more`, one."""
    (tmp_path / "photos").mkdir()
    for number in range(4):
        draw_photo(number).save(tmp_path / "photos" / f"{number}.jpg")
    save(tmp_path / "more" / "red.png", "red")
    return tmp_path


@pytest.fixture
def running(home: Path, tiny_model: Path) -> Iterator[Running]:
    library = Library.open(home / "library", model=tiny_model)
    library.index(home / "photos")
    with serving(library, allow_roots=(home / "more",)) as service:
        yield service


def ended(service: Running, number: int) -> dict[str, Any]:
    def job() -> dict[str, Any]:
        return service.get(f"/api/jobs/{number}").json

    until(lambda: job()["state"] != "running")
    return job()


def test_a_job_brings_the_library_up_to_date(running: Running, home: Path) -> None:
    draw_photo(9).save(home / "photos" / "new.jpg")
    started = running.post("/api/jobs", {})
    assert (started.status, started.headers["location"]) == (202, "/api/jobs/1")
    job = ended(running, 1)
    assert (job["state"], job["report"]["new"], job["error"]) == ("done", 1, None)
    assert len(running.search({"text": "a dog", "min_score": None})) == 5
    assert [one["id"] for one in running.get("/api/jobs").json["jobs"]] == [1]
    assert b'sterna_jobs_total{state="done"} 1.0' in running.get("/metrics").body


def test_a_report_names_folders_whose_names_are_no_text(home: Path, tiny_model: Path) -> None:
    inner = home / "more" / os.fsdecode(b"tr\xffps")
    save(inner / "blue.png", "blue")
    library = Library.open(home / "library", model=tiny_model)
    library.index(inner)
    with serving(library, allow_roots=(home / "more",)) as service:
        service.post("/api/jobs", {"roots": [str(home / "more")]})
        job = ended(service, 1)
        assert job["report"]["taken_in"] == [{"path": f"{home}/more/tr?ps", "into": f"{home}/more"}]


def test_duplicates_are_compared_anew_after_a_job(running: Running, home: Path) -> None:
    assert running.get("/api/duplicates?min_score=1&copies=true").json["total"] == 0
    (home / "photos" / "copy.jpg").write_bytes((home / "photos" / "0.jpg").read_bytes())
    running.post("/api/jobs", {})
    ended(running, 1)
    assert running.get("/api/duplicates?min_score=1&copies=true").json["total"] == 1


def test_a_job_is_followed_to_its_end(running: Running, home: Path) -> None:
    number = running.post("/api/jobs", {"roots": [str(home / "more")]}).json["id"]
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request("GET", f"/api/jobs/{number}/events")
    answer = connection.getresponse()
    assert answer.getheader("content-type") == "text/event-stream; charset=utf-8"
    assert answer.getheader("x-accel-buffering") == "no"  # or a proxy would keep them
    events = [part.split("data: ", 1)[1] for part in answer.read().decode().split("\n\n") if "data: " in part]
    connection.close()
    told = [json.loads(event) for event in events]
    assert told[-1]["state"] == "done"
    assert told[-1]["report"]["new"] == 1
    assert {one["id"] for one in told} == {number}


def test_only_known_and_allowed_folders_are_indexed(running: Running, home: Path) -> None:
    (home / "more" / "link").symlink_to(home / "library")
    (home / "other").mkdir()
    for roots, kind in {
        (str(home / "other"),): "forbidden",
        (str(home),): "forbidden",
        (str(home / "photos" / ".."),): "forbidden",
        (str(home / "more" / ".." / "other"),): "forbidden",
        (str(home / "more" / "link"),): "forbidden",
        (str(home / "more" / "nowhere"),): "invalid",
        (str(home / "more" / "red.png"),): "invalid",
        ("more",): "forbidden",
        ("~",): "forbidden",
        ("a\0b",): "invalid",
        (999,): "not-found",
    }.items():
        answer = running.post("/api/jobs", {"roots": list(roots)})
        assert answer.problem == kind, (roots, answer)
    assert running.get("/api/jobs").json == {"jobs": []}
    root = running.get("/api/status").json["roots"][0]
    for wanted in (root["id"], root["path"]):
        number = running.post("/api/jobs", {"roots": [wanted]}).json["id"]
        assert ended(running, number)["state"] == "done"


@pytest.mark.parametrize("root", ["", "a\0b", "/" + "a" * 4096, -1, True, 1.5, None, [1]])
def test_what_names_no_folder_is_told_in_one_sentence(running: Running, root: object) -> None:
    answer = running.post("/api/jobs", {"roots": [root]})
    assert (answer.status, answer.problem) == (422, "invalid")
    assert answer.json["detail"] == (
        "roots.0: the path of a folder (4,096 letters at most) or the id of one of the library is needed"
    )


def test_the_path_of_a_folder_may_be_long(running: Running, home: Path) -> None:
    folder = home / "more" / Path(*["a" * 200] * 9)
    folder.mkdir(parents=True)
    assert running.post("/api/jobs", {"roots": [str(folder)]}).status == 202


def test_a_folder_that_became_a_link_after_it_was_allowed_is_not_added(
    running: Running, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "private").mkdir()
    save(home / "private" / "secret.png", "blue")
    (home / "more" / "inner").mkdir()
    swap = (
        "import pathlib, runpy, sys; inner = pathlib.Path(sys.argv[1]); inner.rmdir(); "
        "inner.symlink_to(sys.argv[2]); runpy.run_module('sterna.server._job', run_name='__main__')"
    )
    command = (sys.executable, "-c", swap, str(home / "more" / "inner"), str(home / "private"))
    monkeypatch.setattr("sterna.server._jobs._COMMAND", command)
    running.post("/api/jobs", {"roots": [str(home / "more" / "inner")]})
    job = ended(running, 1)
    assert job["state"] == "failed"
    assert job["error"] == f"{home / 'more' / 'inner'}: is a link, or lies behind one; nothing was added"
    assert [root["path"] for root in running.get("/api/status").json["roots"]] == [str(home / "photos")]


BUSY = """
import json, os, pathlib, signal, sys, time
import sterna.server._job as job

job._PATIENCE = 0.5
def index(self, *roots, follow_links, progress):
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    while True:  # as a decoder in C: it hears nothing
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
job.Library.index = index
sys.exit(job._main())
"""


def test_a_job_that_hears_nothing_ends_some_time_after_a_service_that_was_killed(
    home: Path, tiny_model: Path
) -> None:
    Library.open(home / "library", model=tiny_model).index(home / "photos")
    command = [sys.executable, "-c", BUSY, str(home / "number")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as popen:
        wish = {"library": str(home / "library"), "model": str(tiny_model), "roots": []}
        popen.stdin.write(json.dumps(wish).encode() + b"\n")
        popen.stdin.flush()
        until((home / "number").is_file)
        popen.stdin.close()
        assert popen.wait(10) == 130


def test_one_job_runs_at_a_time_and_is_stopped(home: Path, tiny_model: Path) -> None:
    library = Library.open(home / "library", model=tiny_model)
    library.index(home / "photos")
    for number in range(400):
        save(home / "photos" / f"more-{number}.png", (number % 256, number // 2, 9), size=(400, 300))
    with serving(library) as service:
        assert service.post("/api/jobs", {}).status == 202
        second = service.post("/api/jobs", {})
        assert (second.status, second.problem) == (409, "job-running")
        stopped = service.ask("DELETE", "/api/jobs/1")
        assert (stopped.status, stopped.json["state"]) == (200, "cancelled")
        assert service.ask("DELETE", "/api/jobs/1").problem == "job-ended"
        assert service.get("/api/jobs/2").problem == "not-found"
        assert library.check() == []
        assert service.post("/api/jobs", {}).status == 202  # and is stopped with the service


def test_a_job_that_fails_says_why(home: Path, tiny_model: Path) -> None:
    import shutil

    from sterna.files import FileLock

    shutil.copytree(tiny_model, home / "model")
    library = Library.open(home / "library", model=home / "model")
    library.index(home / "photos")
    with serving(library) as service:
        with FileLock(home / "library" / "lock", what="it"):
            service.post("/api/jobs", {})
            job = ended(service, 1)
        assert (job["state"], job["report"]) == ("failed", None)
        assert "is being written by another process" in job["error"]


def test_a_model_that_was_handed_over_cannot_index(service: Running) -> None:
    assert service.post("/api/jobs", {}).problem == "conflict"
    assert service.get("/api/jobs/1/events").problem == "not-found"


def test_few_follow_a_job_at_one_time(home: Path, tiny_model: Path) -> None:
    library = Library.open(home / "library", model=tiny_model)
    library.index(home / "photos")
    with serving(library, limits={"watchers": 0}) as service:
        service.post("/api/jobs", {})
        answer = service.get("/api/jobs/1/events")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        ended(service, 1)


STUBBORN = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
print(sys.argv[2] * int(sys.argv[3]), flush=True)
time.sleep(300)
"""


def stubborn(folder: Path, line: str, *, times: int = 1) -> tuple[str, ...]:
    """A process that says one line and heeds nothing; it writes its number to a file."""
    return (sys.executable, "-c", STUBBORN, str(folder / "number"), line, str(times))


def is_there(folder: Path) -> bool:
    try:
        os.kill(int((folder / "number").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("line", "times"), [("no JSON", 1), ("[1]", 1), ('{"failed": 1}', 1), ("x", 2_000_000)]
)
def test_a_process_that_says_what_cannot_be_read_is_ended(
    running: Running, home: Path, monkeypatch: pytest.MonkeyPatch, line: str, times: int
) -> None:
    monkeypatch.setattr("sterna.server._jobs._COMMAND", stubborn(home, line, times=times))
    running.post("/api/jobs", {})
    job = ended(running, 1)
    assert job["state"] == "failed"
    assert "the process that indexes cannot be used" in job["error"]
    assert not is_there(home)


def test_a_job_hears_no_ctrl_c_and_its_low_priority_counts_beside_the_service(
    running: Running, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.server._jobs._COMMAND", stubborn(home, "{}"))
    running.post("/api/jobs", {})
    until(lambda: (home / "number").is_file() and (home / "number").read_text() != "")
    number = int((home / "number").read_text())
    assert os.getpgid(number) != os.getpgid(0)  # a terminal tells a group of Ctrl-C
    assert os.getsid(number) == os.getsid(0)  # Linux shares cores among sessions, whatever their priority
    os.kill(number, signal.SIGKILL)
    ended(running, 1)


def test_a_job_is_stopped_even_where_who_asked_for_that_left(
    running: Running, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.server._jobs._COMMAND", stubborn(home, "{}"))
    monkeypatch.setattr("sterna.server._jobs._PATIENCE", 0.5)
    running.post("/api/jobs", {})
    until(lambda: (home / "number").is_file() and (home / "number").read_text())
    with socket.create_connection(("127.0.0.1", running.port)) as gone:
        gone.sendall(b"DELETE /api/jobs/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
    assert ended(running, 1)["state"] == "cancelled"
    until(lambda: not is_there(home), seconds=10)
    monkeypatch.undo()
    assert running.post("/api/jobs", {}).status == 202
