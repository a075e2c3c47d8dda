"""How much is taken at one time: bodies, slow senders, queues, batches, and those who go away."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sterna.library import Library
from tests.library.fake import ColourEncoder
from tests.server.conftest import colours
from tests.server.serving import Answer, GatedEncoder, Running, serving, until
from tests.server.test_search import png


@contextlib.contextmanager
def gated(folder: Path, **limits: object) -> Iterator[tuple[Running, GatedEncoder]]:
    """A service whose texts are embedded only once its encoder's gate is open."""
    encoder = GatedEncoder()
    library = Library.open(folder / "library", model=encoder)
    library.index(colours(folder))
    with serving(library, limits=limits) as service:
        until(lambda: service.get("/readyz").status == 200)
        encoder.calls.clear()
        try:
            yield service, encoder
        finally:
            encoder.gate.set()


def waiting(service: Running) -> float:
    lines = service.get("/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("sterna_waiting "))


def test_a_body_that_says_it_is_too_long_is_not_read(service: Running) -> None:
    head = b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = service.raw(head + b"Content-Length: 99999999999\r\nConnection: close\r\n\r\n")
    assert b" 413 " in answer.splitlines()[0]
    assert b"urn:sterna:problem:too-large" in answer


def test_a_body_in_pieces_is_cut_where_it_gets_too_long(tmp_path: Path) -> None:
    with gated(tmp_path, body=5000) as (service, _):
        head = b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        piece = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
        answer = service.raw(head + b"Content-Type: application/json\r\n\r\n" + piece * 6)
        assert b" 413 " in answer.splitlines()[0]
        assert service.search({"text": "red", "k": 1}) == ["red.png"]


def test_an_image_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with gated(tmp_path, image=2000) as (service, _):
        answer = service.send("/api/search", png("red") + bytes(2000))
        assert (answer.status, answer.problem) == (413, "too-large")


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"+5", b"5, 6", b"\xb2"])
def test_a_length_that_is_none_is_refused(service: Running, length: bytes) -> None:
    head = b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = service.raw(head + b"Content-Length: " + length + b"\r\nConnection: close\r\n\r\n{}")
    assert answer.split()[1] in {b"400", b"422"}


@pytest.mark.parametrize("path", ["/api/search", "/nowhere", "/login", "/healthz"])
def test_a_request_with_two_lengths_is_refused_and_the_connection_closed(service: Running, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    body = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    answer = service.raw(head + body + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"connection: close" in answer.lower()
    assert b"a request has a Content-Length or a Transfer-Encoding, and not both" in answer
    assert answer.count(b"HTTP/1.1 ") == 1  # what follows is not read


def test_an_upload_needs_no_disk(service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    large = png("red") + bytes(3_000_000)  # what follows an image's end is no part of it
    answer = service.send("/api/search", large, asked={"k": 1})
    assert (answer.status, answer.json["hits"][0]["path"]) == (200, "red.png")


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/secret")

    with gated(tmp_path) as (service, _):
        monkeypatch.setattr(Library, "status", full)
        answer = service.get("/api/status")
        assert (answer.status, answer.problem) == (507, "disk-full")
        assert answer.json["detail"] == "the disk of the service is full"


def test_a_body_that_comes_too_slowly_is_given_up(tmp_path: Path) -> None:
    with gated(tmp_path, upload_seconds=0.3) as (service, _):
        head = b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        answer = service.raw(head + b"Content-Length: 100\r\n\r\n{")
        assert b" 408 " in answer.splitlines()[0]
        assert b"urn:sterna:problem:too-slow" in answer


def test_headers_without_end_are_refused(service: Running) -> None:
    answer = service.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000)
    assert answer.startswith(b"HTTP/1.1 4")


def test_bodies_of_many_together_are_bounded(tmp_path: Path) -> None:
    with gated(tmp_path, bodies=3000) as (service, encoder):
        encoder.gate.clear()
        asked = {"text": "red", "filters": {"name": "x" * 900}}
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(service.post, "/api/search", {**asked, "k": k}) for k in (1, 2, 3)]
            until(lambda: len(encoder.calls) > 0)
            refused = service.post(
                "/api/search", {"text": "red", "filters": {"name": "x" * 999, "folder": "y" * 999}}
            )
            encoder.gate.set()
            assert (refused.status, refused.headers["retry-after"]) == (503, "2")
            assert [answer.result().status for answer in answers] == [200] * 3
        assert service.search({"text": "red", "k": 1}) == ["red.png"]


def test_bodies_that_are_still_coming_count_from_their_first_byte(tmp_path: Path) -> None:
    with gated(tmp_path, bodies=3000, upload_seconds=20) as (service, _), contextlib.ExitStack() as stack:
        head = (
            b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(2):  # neither is complete, and neither says how long it will be
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            slow.sendall(head + b"578\r\n" + b"x" * 1400 + b"\r\n")
        time.sleep(0.3)
        refused = service.post("/api/search", {"text": "red", "filters": {"name": "x" * 900}})
        assert (refused.status, refused.headers["retry-after"]) == (503, "2")
        stack.close()
        until(lambda: service.post("/api/search", {"text": "red" + " " * 900, "k": 1}).status == 200)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login?token=x"), ("GET", "/api/status"), ("GET", "/"),
     ("DELETE", "/api/jobs/1"), ("POST", "/healthz"), ("OPTIONS", "/api/search"), ("POST", "/nowhere"),
     ("HEAD", "/healthz")],
)  # fmt: skip
@pytest.mark.parametrize("length", [b"Content-Length: 5000", b"Transfer-Encoding: chunked"])
def test_a_body_that_nobody_wants_is_not_waited_for(
    service: Running, method: str, path: str, length: bytes
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    answer = service.raw(head + length + b"\r\n\r\n", wait=3)
    assert answer.split()[1] in {b"404", b"405", b"413"}, answer


def test_texts_that_come_together_are_embedded_together(tmp_path: Path) -> None:
    with gated(tmp_path, batch=8, threads=8) as (service, encoder):
        encoder.gate.clear()
        colour = ["red", "lime", "blue"] * 4
        with ThreadPoolExecutor(12) as pool:
            answers = [pool.submit(service.search, {"text": text, "k": 1}) for text in colour]
            until(lambda: waiting(service) >= 4)
            encoder.gate.set()
            names = {"red": ["red.png"], "lime": ["green.png"], "blue": ["blue.png"]}
            assert [answer.result() for answer in answers] == [names[text] for text in colour]
        assert sum(encoder.calls) == 12
        assert max(encoder.calls) > 1
        assert max(encoder.calls) <= 8


def test_a_full_queue_says_when_to_ask_again(tmp_path: Path) -> None:
    with gated(tmp_path, queue=3, batch=1) as (service, encoder):
        encoder.gate.clear()
        with ThreadPoolExecutor(8) as pool:
            first = pool.submit(service.post, "/api/embed", {"texts": ["red"]})
            until(lambda: encoder.calls == [1])
            more = pool.submit(service.post, "/api/embed", {"texts": ["a", "b", "c"]})
            until(lambda: waiting(service) >= 3)
            refused = service.post("/api/embed", {"texts": ["red"]})
            assert (refused.status, refused.problem, refused.headers["retry-after"]) == (503, "busy", "1")
            assert service.get("/healthz").status == 200
            encoder.gate.set()
            assert (first.result().status, more.result().status) == (200, 200)
        assert service.post("/api/embed", {"texts": ["red"]}).status == 200


def test_who_goes_away_leaves_nothing_to_be_done(tmp_path: Path) -> None:
    with gated(tmp_path, queue=3, batch=1) as (service, encoder):
        encoder.gate.clear()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(service.post, "/api/embed", {"texts": ["red"]})
            until(lambda: encoder.calls == [1])
            body = json.dumps({"texts": ["x", "y", "z"]}).encode()
            with socket.create_connection(("127.0.0.1", service.port)) as gone:
                gone.sendall(
                    b"POST /api/embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
                )
                until(lambda: waiting(service) >= 3)
            until(lambda: waiting(service) == 0)
            second = pool.submit(service.post, "/api/embed", {"texts": ["lime"]})
            encoder.gate.set()
            assert (first.result().status, second.result().status) == (200, 200)
        assert encoder.calls == [1, 1]


def test_who_goes_away_while_sending_is_forgotten(service: Running) -> None:
    for data in (
        b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
        b"GET / HT",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", service.port)) as gone:
            gone.sendall(data)
    assert service.get("/healthz").status == 200


def insist(service: Running, text: str) -> Answer:
    """Ask until there is room, for who looks whether there is takes some, too."""
    while True:
        answer = service.post("/api/embed", {"texts": [text]})
        if answer.status != 503:
            return answer
        assert answer.headers["retry-after"] == "1"


def test_too_many_requests_at_one_time_are_told_to_wait(tmp_path: Path) -> None:
    with gated(tmp_path, requests=3) as (service, encoder):
        encoder.gate.clear()
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(insist, service, text) for text in "abc"]
            until(lambda: service.get("/api/jobs").status == 503)
            encoder.gate.set()
            assert [answer.result().status for answer in answers] == [200] * 3
        assert service.get("/healthz").status == 200


def test_a_text_that_breaks_the_model_spoils_no_other(tmp_path: Path) -> None:
    class Picky(GatedEncoder):
        def encode_texts(self, sentences):
            if any("bad" in one for one in sentences):
                raise RuntimeError("the very words that were asked: bad")
            return super().encode_texts(sentences)

    library = Library.open(tmp_path / "library", model=Picky())
    with serving(library, limits={"batch_wait": 0.3}) as service, ThreadPoolExecutor(2) as pool:
        bad = pool.submit(service.post, "/api/embed", {"texts": ["bad"]})
        good = pool.submit(service.post, "/api/embed", {"texts": ["red"]})
        assert (bad.result().status, bad.result().problem) == (500, "internal")
        assert b"very words" not in bad.result().body
        assert good.result().status == 200


def test_many_ask_many_things_and_all_are_answered(service: Running, ids: dict[str, int]) -> None:
    faults: list[object] = []

    def ask(number: int) -> None:
        try:
            for _ in range(6):
                assert service.search({"text": "lime", "k": 1}) == ["green.png"]
                assert service.get(f"/api/photos/{ids['red.png']}/thumbnail?size=128").status == 200
                assert service.get("/api/status").status == 200
                assert service.send("/api/search", png((0, 0, 200 + number)), asked={"k": 1}).status == 200
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("sterna-")]


def test_a_service_that_has_stopped_leaves_no_thread(tmp_path: Path) -> None:
    before = sorted(threads())
    with gated(tmp_path) as (service, encoder):
        assert service.send("/api/embed", png("red"), asked={"texts": ["red"]}).status == 200
        assert len(threads()) > len(before)
        encoder.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(service.post, "/api/embed", {"texts": ["blue"]})
            until(lambda: len(encoder.calls) > 1)
            threading.Timer(0.5, encoder.gate.set).start()
    assert sorted(threads()) == before
    assert late.result().status == 200


class Forgetful(ColourEncoder):
    """Answers the first of several texts alone, and of `red` none."""

    def encode_texts(self, sentences: Any) -> np.ndarray:
        vectors = super().encode_texts(sentences)[:1]
        return vectors[:0] if "red" in sentences else vectors


def test_a_model_that_answers_too_little_is_an_error_and_not_a_silence(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=Forgetful())
    library.index(colours(tmp_path))
    with serving(library) as service:
        assert service.post("/api/embed", {"texts": ["red"]}).problem == "internal"
        assert len(service.post("/api/embed", {"texts": ["blue", "lime"]}).json["vectors"]) == 2


def test_many_wrong_fields_are_counted_and_not_told_one_by_one(service: Running) -> None:
    asked = {"text": "red", **{f"wrong{number}": 0 for number in range(150_000)}}
    answer = service.post("/api/search", asked)
    assert answer.status == 422
    assert answer.json["detail"].startswith("150,000 fields are unknown or wrong")
    assert "errors" not in answer.json
    asked = {"vector": ["x"] * 8000}
    answer = service.post("/api/search", asked)
    assert answer.status == 422
    assert len(answer.body) < 1000


def test_json_may_not_be_as_long_as_an_image(tmp_path: Path) -> None:
    with gated(tmp_path, json_body=2000) as (service, _):
        answer = service.post("/api/search", {"text": "red", "name": "x" * 2000})
        assert answer.status == 413
        assert "longer than 2,000 bytes" in answer.json["detail"]
        assert service.search({"text": "red", "k": 1}) == ["red.png"]


def test_strangers_who_send_slowly_keep_nobody_out(tmp_path: Path) -> None:
    with gated(tmp_path, requests=3) as (service, _):
        head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n"
        with contextlib.ExitStack() as connections:
            for _ in range(6):
                connection = connections.enter_context(
                    socket.create_connection(("127.0.0.1", service.port), 10)
                )
                connection.sendall(head + b"{")
            until(lambda: service.get("/").status == 503)
            assert service.get("/healthz").status == 200
            assert service.get("/readyz").status == 200
            assert service.search({"text": "red", "k": 1}) == ["red.png"]
