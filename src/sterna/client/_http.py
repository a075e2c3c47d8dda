"""One connection to a service: requests, answers, and problems as errors."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sterna.errors import ServerError, UnknownPhotoError, UsageError

__all__ = ["Connection"]

_MOST = 1 << 30  # bytes of an answer
_BEAT = 30.0  # seconds: twice those between two signs of life of who tells of events
R = TypeVar("R")


@dataclass(frozen=True)
class _Answer:
    """What came back: `kind` is its content type, `location` where a redirection leads."""

    status: int
    kind: str
    location: str | None
    body: bytes


class Connection:
    """A connection that is kept open between requests; threads take turns.

    Arguments:
        url: where the service listens.
        token: what it wants to see, `None` for none.
        timeout: seconds to wait for any part of an answer.

    Raises `UsageError` where `url` is no address of a service, or another argument cannot be used.
    """

    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        if token is not None and not (token and token.isascii() and token.isprintable()):
            raise UsageError("token: letters, digits and signs are needed, and no line's end")
        if not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
            raise UsageError(f"timeout={timeout!r}: a number of seconds above 0 is needed")
        try:
            parts = urlsplit(url if url.isascii() and url.isprintable() and " " not in url else "")
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"url={url!r}: no address of a service; write one such as http://127.0.0.1:8265")
        self.url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._lock = threading.Lock()
        self._host, self._port, self._timeout = parts.hostname, port, timeout
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._http = self._opened(timeout)

    def _opened(self, timeout: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)

    def get(self, path: str, read: Callable[[Any], R]) -> R:
        """What `read` makes of the JSON that a path answers."""
        return self.ask("GET", path, read)

    def post(self, path: str, read: Callable[[Any], R], *, asked: Any, images: Sequence[bytes] = ()) -> R:
        """What `read` makes of the JSON that a path answers to JSON and images."""
        try:
            body, kind = json.dumps(asked, allow_nan=False).encode(), "application/json"
        except (TypeError, ValueError) as error:
            raise UsageError(f"what is asked cannot be sent as JSON ({error})") from None
        if images:
            body, kind = _form(body, images)
        return self.ask("POST", path, read, body=body, kind=kind)

    def ask(
        self,
        method: str,
        path: str,
        read: Callable[[Any], R],
        *,
        body: bytes | None = None,
        kind: str | None = None,
    ) -> R:
        """What `read` makes of the JSON of an answer.

        Raises `UnknownPhotoError` and `UsageError` for what is asked wrongly, `ServerError` for all else.
        """
        return self._read(self._fetch(method, path, body=body, kind=kind), read)

    def _read(self, answer: _Answer, read: Callable[[Any], R]) -> R:
        try:
            return read(json.loads(answer.body))
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            raise self._of_another(answer) from None

    def file(self, path: str, *, kind: str) -> bytes:
        """The bytes of the file that a path answers, whose type begins with `kind`; raises as `ask` does."""
        answer = self._fetch("GET", path)
        if not answer.kind.startswith(kind):
            raise self._of_another(answer)
        return answer.body

    def events(self, path: str, read: Callable[[Any], R]) -> Iterator[R]:
        """What `read` makes of each event that a path tells of, on a connection of its own, to the last.

        Raises as `ask` does, once the first is asked for.
        """
        own = self._opened(max(self._timeout, _BEAT))
        try:
            with self._reached():
                own.request("GET", self._base + path, headers=self._headers)
                answer = own.getresponse()
                kind = answer.getheader("Content-Type", "")
                location = answer.getheader("Location") if answer.status // 100 == 3 else None
                told = answer.status == 200 and kind.startswith("text/event-stream")
                whole = _Answer(answer.status, kind, location, b"" if told else self._all_of(answer))
            if not told:
                raise self._refusal(whole)
            while True:
                with self._reached():
                    line = answer.readline()
                if not line:
                    return
                if line.startswith(b"data: "):
                    yield self._read(_Answer(200, kind, None, line[6:]), read)
        finally:
            own.close()

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        """Raise `ServerError` where the service cannot be reached."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ServerError(
                f"{self.url}: no service can be reached ({reason}); is `sterna serve` running?"
            ) from error

    def _fetch(
        self, method: str, path: str, *, body: bytes | None = None, kind: str | None = None
    ) -> _Answer:
        headers = dict(self._headers) if kind is None else {**self._headers, "Content-Type": kind}
        with self._lock:
            answer = self._exchange(method, path, body, headers=headers)
        if answer.status // 100 == 2:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: _Answer) -> Exception:
        """What an answer that is not what was asked for is."""
        if answer.location is not None:
            return ServerError(
                f"{self.url}: leads elsewhere, to {answer.location!r}; name the service's own address",
                status=answer.status,
            )
        return _error(answer) or self._of_another(answer)

    def _of_another(self, answer: _Answer) -> ServerError:
        came = f"status {answer.status}, {answer.kind or 'no type'}"
        return ServerError(f"{self.url}: no service of Sterna's answers there ({came})", status=answer.status)

    def close(self) -> None:
        """Close the connection; it is opened again where it is used again."""
        with self._lock:
            self._http.close()

    def _exchange(self, method: str, path: str, body: bytes | None, *, headers: dict[str, str]) -> _Answer:
        kept = self._http.sock is not None
        try:
            return self._once(method, path, body, headers=headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            # one that was kept open may have been closed meanwhile; nothing came of it, so it is asked again
            self._http.close()
            if kept and isinstance(error, http.client.RemoteDisconnected | BrokenPipeError):
                return self._exchange(method, path, body, headers=headers)
            raise ServerError(f"{self.url}: the service closed the connection") from error
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            with self._reached():
                raise error

    def _once(self, method: str, path: str, body: bytes | None, *, headers: dict[str, str]) -> _Answer:
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it may have answered before all came
            self._http.request(method, self._base + path, body=body, headers=headers)
        answer = self._http.getresponse()
        location = answer.getheader("Location") if answer.status // 100 == 3 else None
        return _Answer(answer.status, answer.getheader("Content-Type", ""), location, self._all_of(answer))

    def _all_of(self, answer: http.client.HTTPResponse) -> bytes:
        """All of an answer; `ServerError` for one that is longer than what is kept in memory."""
        body = answer.read(_MOST + 1)
        if len(body) > _MOST:
            self._http.close()  # the rest of it is still coming
            raise ServerError(
                f"{self.url}: the answer is longer than {_MOST:,} bytes; ask for less at a time"
            )
        return body


def _form(text: bytes, images: Sequence[bytes]) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    start = f"--{boundary}\r\nContent-Disposition: form-data; name=".encode()
    parts = [start + b'"json"\r\n\r\n' + text]
    for number, image in enumerate(images):
        parts.append(start + f'"image"; filename="{number}"\r\n\r\n'.encode() + image)
    return b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _error(answer: _Answer) -> Exception | None:
    """The error of a problem, `None` where it is none of Sterna's."""
    try:
        said = json.loads(answer.body)
        kind, detail = str(said["type"]), str(said["detail"])
    except (LookupError, TypeError, ValueError, RecursionError):
        return None
    if kind.endswith(":unknown-photo"):
        return UnknownPhotoError(detail)
    if answer.status == 422:
        return UsageError(detail)
    return ServerError(detail, status=answer.status)
