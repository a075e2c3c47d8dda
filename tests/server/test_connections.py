"""Connections: those that ask nothing, ask slowly, read nothing, speak no HTTP, or are too many."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sterna.library import Library
from sterna.server._connections import bounded
from tests.library.fake import ColourEncoder
from tests.server.conftest import colours
from tests.server.serving import Running, serving, until
from tests.server.test_stop import library as a_library
from tests.server.test_stop import started

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
library = a_library


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A service of 8 connections, which have little time."""
    monkeypatch.setattr("sterna.server._connections._HEAD_SECONDS", 0.6)
    monkeypatch.setattr("sterna.server._connections._STALLED_SECONDS", 0.6)
    monkeypatch.setattr("sterna.server._connections._BEAT", 0.1)
    opened = Library.open(tmp_path / "library", model=ColourEncoder())
    opened.index(colours(tmp_path))
    with serving(opened, http=bounded(8)) as running:
        until(lambda: running.get("/readyz").status == 200)
        yield running


def connected(service: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=10)


def is_closed(connection: socket.socket, *, seconds: float) -> bool:
    """Whether the other side ends it within some time, having sent nothing."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"G", HEAD])
def test_a_head_that_does_not_come_to_its_end_ends_the_connection(service: Running, sent: bytes) -> None:
    with connected(service) as one:
        one.sendall(sent)
        assert not is_closed(one, seconds=0.3)
        assert is_closed(one, seconds=3)


def test_a_head_that_comes_slowly_has_no_more_time(service: Running) -> None:
    start = time.monotonic()
    with connected(service) as one, contextlib.suppress(ConnectionError):
        for number in range(100):
            one.sendall(HEAD if number == 0 else b"X")
            if is_closed(one, seconds=0.05):
                break
    assert time.monotonic() - start < 3


def test_the_second_head_on_a_connection_has_no_more_time_than_the_first(service: Running) -> None:
    with connected(service) as one:
        one.sendall(HEAD + b"\r\n")
        time.sleep(0.3)
        assert one.recv(65536).startswith(b"HTTP/1.1 200")
        one.sendall(HEAD)
        assert is_closed(one, seconds=3)


def test_an_answer_that_takes_its_time_is_waited_for(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = ColourEncoder.encode_texts

    def slowly(self: ColourEncoder, sentences: object) -> object:
        time.sleep(1.5)
        return encode(self, sentences)

    monkeypatch.setattr(ColourEncoder, "encode_texts", slowly)
    assert service.search({"text": "lime", "k": 1}) == ["green.png"]


def large(service: Running, root: Path) -> int:
    """The id of a photograph whose file is long."""
    path = root / "photos" / "red.png"
    path.write_bytes(path.read_bytes() + os.urandom(20_000_000))
    return service.post("/api/search", {"text": "red", "k": 1}).json["hits"][0]["id"]


def test_an_answer_that_nobody_reads_ends_the_connection(service: Running, tmp_path: Path) -> None:
    number = large(service, tmp_path)
    with connected(service) as one:
        one.sendall(f"GET /api/photos/{number}/original HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: b'status="499"} 1.0' in service.get("/metrics").body, seconds=10)


def test_an_answer_that_is_read_slowly_comes_to_its_end(service: Running, tmp_path: Path) -> None:
    number = large(service, tmp_path)
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        one.settimeout(10)
        one.connect(("127.0.0.1", service.port))
        path = f"/api/photos/{number}/original"
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        got = 0
        while part := one.recv(1 << 20):
            got += len(part)
            time.sleep(0.005)
        assert got > 20_000_000


def test_who_asks_is_answered_while_others_hold_all_connections(service: Running) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(service)) for _ in range(30)]
        assert service.get("/healthz").status == 200
        assert sum(is_closed(one, seconds=0.1) for one in idle[:20]) == 20  # those that came first
        assert service.get("/healthz").status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/search HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 50000000\r\n\r\n",
        b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99999999999\r\n\r\n",  # answered with `Connection: close`
    ],
)
def test_of_a_body_that_is_refused_little_is_read_and_the_answer_arrives(
    service: Running, head: bytes
) -> None:
    with connected(service) as one:
        one.sendall(head)
        sent = 0
        piece = bytes(1 << 16)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while sent < 40_000_000:
                sent += one.send(piece)
        assert sent < 30_000_000  # what lies in the buffers of the system was sent, too
        answer = one.recv(65536)
    assert answer.split()[1] in {b"404", b"413", b"421"}, answer
    assert b"application/problem+json" in answer


def test_a_refused_body_that_never_ends_is_not_waited_for(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.server._connections._REST_SECONDS", 0.5)
    start = time.monotonic()
    with connected(service) as one, contextlib.suppress(ConnectionError):
        one.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        while time.monotonic() - start < 10:
            one.sendall(b"x")
            time.sleep(0.05)
    assert time.monotonic() - start < 5


def test_a_connection_serves_on_after_a_short_body_that_was_refused(service: Running) -> None:
    with connected(service) as one:
        one.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000\r\n\r\n")
        assert one.recv(65536).startswith(b"HTTP/1.1 404")
        one.sendall(bytes(30000) + HEAD + b"\r\n")
        came = b""
        while b'{"status":"ok"}' not in came:
            part = one.recv(65536)
            assert part
            came += part


def test_short_bodies_that_were_refused_do_not_add_up(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.server._connections._BEAT", 60.0)
    head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
    with connected(service) as one:
        one.sendall(head)
        for _ in range(13):
            came = b""
            while not came.endswith(b"}"):
                part = one.recv(65536)
                assert part
                came += part
            assert came.startswith(b"HTTP/1.1 404")
            one.sendall(bytes(60000) + head)


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01", b"GET /healthz\r\n\r\n", HEAD + b"\x00: x\r\n\r\n", HEAD + b"X" * 200_000],
)  # fmt: skip
def test_what_is_no_http_is_answered_with_a_problem(service: Running, sent: bytes) -> None:
    answer = service.raw(sent + b"\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    for line in (
        b"content-type: application/problem+json",
        b"content-security-policy: default-src 'none'",
        b"x-content-type-options: nosniff",
        b"connection: close",
    ):
        assert line in head.lower()
    assert b"urn:sterna:problem:malformed" in body


def test_a_service_with_few_files_answers_and_says_little(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nulimit -n 250\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    with started(library) as process, contextlib.ExitStack() as stack:
        until(lambda: process.service.get("/readyz").status == 200)
        for _ in range(300):
            with contextlib.suppress(OSError):
                stack.enter_context(connected(process.service))
        until(lambda: answers(process.service), seconds=10)
        said = process.stop()
    assert "Traceback" not in said
    assert said.count("too-many-open-files") <= 1


def answers(service: Running) -> bool:
    try:
        return service.get("/healthz").status == 200
    except OSError:
        return False
