"""The page's files: what they are sent as, how a browser keeps them, and who may have them."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from sterna.library import Library
from tests.library.fake import ColourEncoder
from tests.server.conftest import colours
from tests.server.serving import Running, serving

TOKEN = "a-token-of-many-signs"
PAGE = files("sterna.server") / "page"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("guarded")
    library = Library.open(folder / "library", model=ColourEncoder())
    library.index(colours(folder))
    with serving(library, token=TOKEN) as running:
        yield running


def test_the_page_is_at_the_root_with_the_policy_that_it_works_under(service: Running) -> None:
    answer = service.get("/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    text = answer.body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", text), "something is inline"
    assert not re.search(r"https?://", text), "something comes from elsewhere"


def test_every_file_that_the_page_names_is_there(service: Running) -> None:
    wanted = set(re.findall(r'(?:src|href)="(/page/[^"]+)"', service.get("/").body.decode()))
    seen: set[str] = set()
    while wanted - seen:
        path = (wanted - seen).pop()
        seen.add(path)
        answer = service.get(path)
        assert answer.status == 200, path
        wanted |= {f"/page/{name}" for name in re.findall(r'from "\./([^"]+)"', answer.body.decode())}
    assert {f"/page/{one.name}" for one in PAGE.iterdir()} - seen == {"/page/index.html"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("base.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_a_file_has_its_type_and_is_not_sent_twice(service: Running, name: str, kind: str) -> None:
    answer = service.get(f"/page/{name}")
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.body == (PAGE / name).read_bytes()
    again = service.get(f"/page/{name}", If_None_Match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert service.get(f"/page/{name}", If_None_Match='"another"').status == 200


@pytest.mark.parametrize(
    "name", ["nothing.js", "../_page.py", "..%2f_page.py", "%2e%2e/_page.py", "x" * 200, ""]
)
def test_no_other_file_is_given(service: Running, name: str) -> None:
    assert service.get(f"/page/{name}").status in {404, 422}


def test_the_page_comes_without_the_token_and_tells_nothing(guarded: Running) -> None:
    assert guarded.get("/").status == 200
    assert guarded.get("/page/main.js").status == 200
    assert guarded.get("/api/photos").problem == "token-needed"
    assert guarded.get("/page").status == 401


def test_a_typed_token_lets_a_browser_in(guarded: Running) -> None:
    wrong = guarded.post("/login", {"token": "wrong"})
    assert (wrong.status, wrong.problem) == (401, "token-needed")
    assert "set-cookie" not in wrong.headers
    assert guarded.post("/login", {"token": TOKEN}, Origin="https://evil.example").status == 403
    entered = guarded.post("/login", {"token": TOKEN})
    assert entered.status == 204
    cookie, *attributes = entered.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=lax"} <= set(attributes)
    assert guarded.get("/api/photos", Cookie=cookie).status == 200


def test_a_service_without_a_token_takes_none(service: Running) -> None:
    assert service.post("/login", {"token": ""}).problem == "token-needed"


def chunked(service: Running, data: bytes) -> bytes:
    head = (
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return service.raw(head + b"%x\r\n" % len(data) + data + b"\r\n")


def test_a_body_that_anybody_may_send_is_short(guarded: Running) -> None:
    long = guarded.post("/login", {"token": "x" * 10_000})
    assert (long.status, long.problem) == (413, "too-large")
    assert chunked(guarded, b"x" * 10_000).split()[1] == b"413"
    signs = guarded.post("/login", {"token": "\N{BIRD}" * 600})  # each is twelve bytes of JSON
    assert signs.status == 401


def test_a_body_that_anybody_may_send_has_little_time(
    guarded: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.server._entrance._STRANGER_SECONDS", 0.2)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    with serving(library, token=TOKEN) as service:
        assert chunked(service, b"x").split()[1] == b"408"


def test_what_anybody_sends_takes_no_room_from_those_who_may_come_in(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    with (
        serving(library, token=TOKEN, limits={"bodies": 3000, "upload_seconds": 20}) as service,
        contextlib.ExitStack() as stack,
    ):
        head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        for _ in range(3):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            slow.sendall(head + b"578\r\n" + b"x" * 1400 + b"\r\n")
        time.sleep(0.3)
        asked = {"text": "red" + " " * 900, "k": 1}
        answer = service.post("/api/search", asked, Authorization=f"Bearer {TOKEN}")
        assert answer.status == 200


def test_the_page_is_in_the_package() -> None:
    assert (Path(str(PAGE)) / "index.html").is_file()
