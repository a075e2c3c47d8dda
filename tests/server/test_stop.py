"""`sterna serve` as people start it: what it says, who is let in, and that it stops cleanly."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sterna.library import Library
from tests.conftest import draw_photo
from tests.server.serving import Running, until


@dataclass
class Process:
    """A process that serves, and what it has said on stderr so far."""

    popen: subprocess.Popen[str]
    service: Running
    said: list[str]

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Stop it; returns all that it said."""
        self.popen.send_signal(number)
        _, rest = self.popen.communicate(timeout=60)
        return "".join([*self.said, rest])


@contextlib.contextmanager
def started(library: Path, *options: str, **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "sterna", "serve", "--port", "0", "--library", str(library), *options]
    popen = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
    said: list[str] = []
    try:
        for line in popen.stderr:
            said.append(line)
            if found := re.search(r"listening at http://\S+:(\d+)\n", line):
                yield Process(popen, Running(int(found[1])), said)
                return
        raise AssertionError("".join(said))
    finally:
        popen.kill()
        popen.communicate()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("stopping")
    (folder / "photos").mkdir()
    for number in range(3):
        draw_photo(number).save(folder / "photos" / f"{number}.jpg")
    with Library.open(folder / "library", model=tiny_model) as opened:
        opened.index(folder / "photos")
    return folder / "library"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_when_told(library: Path, number: int) -> None:
    with started(library) as process:
        until(lambda: process.service.get("/readyz").status == 200)
        assert len(process.service.search({"text": "a dog", "min_score": None})) == 3
        said = process.stop(number)
        assert process.popen.returncode == 0, said
    lines = said.splitlines()
    assert re.fullmatch(r"sterna: listening at http://127.0.0.1:\d+", lines[0])
    assert lines[-1] == "sterna: stopped"
    assert "Traceback" not in said
    assert not list(library.glob("*-wal")) or not (library / "catalog.sqlite-wal").stat().st_size


def test_a_request_in_flight_is_finished_and_who_follows_a_job_is_let_go(library: Path) -> None:
    with started(library) as process:
        until(lambda: process.service.get("/readyz").status == 200)
        for number in range(300):
            draw_photo(number).save(library.parent / "photos" / f"later-{number}.jpg")
        assert process.service.post("/api/jobs", {}).status == 202
        following = http.client.HTTPConnection("127.0.0.1", process.service.port, timeout=60)
        following.request("GET", "/api/jobs/1/events")
        events = following.getresponse()
        assert events.readline() == b"event: job\n"
        said = process.stop()
        assert process.popen.returncode == 0, said
        assert b"cancelled" in events.read()
        assert "Traceback" not in said
        assert "job number=1 state=cancelled" in said


def test_an_upload_that_is_broken_off_is_a_line_in_the_log_and_nothing_else(library: Library) -> None:
    with started(library) as process:
        until(lambda: process.service.get("/readyz").status == 200)
        for rest in (b"{", b""):
            with socket.create_connection(("127.0.0.1", process.service.port)) as gone:
                gone.sendall(
                    b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n" + rest
                )
        until(lambda: b'status="499"} 2.0' in process.service.get("/metrics").body)
        said = process.stop()
    assert "Traceback" not in said
    assert said.count("status=499") == 2


def test_another_host_needs_a_token_which_is_made_and_shown_once(library: Path) -> None:
    with started(library, "--host", "0.0.0.0") as process:
        process.said += [process.popen.stderr.readline(), said := process.popen.stderr.readline()]
        token = re.search(r"/login\?token=(\S+)\n", said)[1]
        assert len(token) >= 32
        assert process.service.get("/api/status").problem == "token-needed"
        assert process.service.get("/api/status", Authorization=f"Bearer {token}").status == 200
        said = process.stop()
        assert said.count(token) == 1


def test_a_token_comes_from_a_file_or_the_environment(library: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-in-a-file\n", encoding="utf-8")
    with started(
        library, "--token-file", str(tmp_path / "token"), STERNA_TOKEN="another-token-here"
    ) as process:
        assert process.service.get("/api/status", Authorization="Bearer a-token-in-a-file").status == 200
        assert process.service.get("/api/status", Authorization="Bearer another-token-here").status == 401
        assert "a-token-in-a-file" not in process.stop()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--token-file", "/nowhere"), "--token-file /nowhere: no such file"),
        (("--host", "256.1.1.1"), "256.1.1.1 port 0: no address to listen at"),
        (("--cors", "*"), "'*' is no origin"),
        (("--port", "99999"), "65535"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_sentence(
    library: Path, options: tuple[str, ...], sentence: str
) -> None:
    command = [sys.executable, "-m", "sterna", "serve", "--library", str(library), "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in {1, 2}
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told_in_a_sentence(library: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "sterna", "serve", "--library", str(library), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert (
        f"127.0.0.1 port {port}: cannot be used (Address already in use); choose another with --port"
        in done.stderr
    )


def test_without_its_extra_it_says_what_to_install(library: Path) -> None:
    program = (
        "import sys; sys.modules['uvicorn'] = None; from sterna.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "serve", "--library", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Serving a library needs an extra part: pip install 'sterna[server]'" in done.stderr
