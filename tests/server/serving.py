"""A service on a real socket, and plain HTTP to ask it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import uvicorn

from sterna.library import Library
from sterna.server import ServerSettings, create_app
from tests.library.fake import ColourEncoder

BOUNDARY = "a-boundary"


@dataclass(frozen=True)
class Answer:
    """A status, headers by lower-case name, and a body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The last part of a problem's type; that it is one is checked."""
        assert self.headers["content-type"] == "application/problem+json", self
        said = self.json
        assert said["status"] == self.status
        assert said["request_id"] == self.headers["x-request-id"]
        assert said["detail"]
        return said["type"].removeprefix("urn:sterna:problem:")


@dataclass(frozen=True)
class Running:
    """Where a service listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def post(self, path: str, asked: object, **headers: str) -> Answer:
        named = {"Content-Type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        return self.ask("POST", path, body=body, headers=named)

    def send(self, path: str, *images: bytes, asked: object = None) -> Answer:
        """Post a form with images and JSON."""
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.ask("POST", path, body=form(*images, asked=asked), headers={"Content-Type": kind})

    def search(self, asked: object) -> list[str]:
        """The names of what is found."""
        answer = self.post("/api/search", asked)
        assert answer.status == 200, answer
        return [hit["path"].rpartition("/")[2] for hit in answer.json["hits"]]

    def raw(self, data: bytes, *, wait: float = 30) -> bytes:
        """Send bytes as they are; returns what comes back to the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            found = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while part := connection.recv(65536):
                    found += part
            return found


def form(*images: bytes, asked: object = None) -> bytes:
    """A form as browsers send it."""
    parts = [
        f'form-data; name="image"; filename="{n}.png"\r\n\r\n'.encode() + one for n, one in enumerate(images)
    ]
    if asked is not None:
        parts.append(b'form-data; name="json"\r\n\r\n' + json.dumps(asked).encode())
    lines = b"".join(f"--{BOUNDARY}\r\n".encode() + b"Content-Disposition: " + one + b"\r\n" for one in parts)
    return lines + f"--{BOUNDARY}--\r\n".encode()


@contextlib.contextmanager
def serving(library: Library, *, http: Any = "h11", **settings: Any) -> Iterator[Running]:
    """A service of a library, in a thread, on a port of its own."""
    app = create_app(library, settings=ServerSettings(**settings))
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        access_log=False,
        server_header=False,
        http=http,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield Running(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def until(true: Any, *, seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


class GatedEncoder(ColourEncoder):
    """Embeds texts once it is let: `gate` opens it, `calls` are the sizes of the batches that came."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[int] = []

    def encode_texts(self, sentences: Any) -> np.ndarray:
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        self.calls.append(len(texts))
        assert self.gate.wait(60)
        return super().encode_texts(texts)
