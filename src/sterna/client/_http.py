"""One connection to a service: requests, answers, and problems as errors."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import ssl
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from sterna.errors import ServerError, UnknownPhotoError, UsageError

__all__ = ["Connection"]

_MOST = 1 << 30  # bytes of an answer


class Connection:
    """A connection that is kept open between requests; threads take turns.

    Arguments:
        url: where the service listens.
        token: what it wants to see, `None` for none.
        timeout: seconds to wait for any part of an answer.

    Raises `UsageError` where `url` is no address of a service.
    """

    def __init__(self, url: str, *, token: str | None, timeout: float) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"url={url!r}: no address of a service; write one such as http://127.0.0.1:8265")
        self.url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._lock = threading.Lock()
        if parts.scheme == "https":
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, port, timeout=timeout, context=ssl.create_default_context()
            )
        else:
            self._http = http.client.HTTPConnection(parts.hostname, port, timeout=timeout)

    def get(self, path: str) -> Any:
        """What a path answers, from JSON."""
        return json.loads(self.fetch("GET", path))

    def post(self, path: str, asked: Any, *, images: Sequence[bytes] = ()) -> Any:
        """What a path answers to JSON and images, from JSON."""
        text = json.dumps(asked, allow_nan=False).encode()
        if not images:
            return json.loads(self.fetch("POST", path, body=text, kind="application/json"))
        body, kind = _form(text, images)
        return json.loads(self.fetch("POST", path, body=body, kind=kind))

    def fetch(self, method: str, path: str, *, body: bytes | None = None, kind: str | None = None) -> bytes:
        """The body of an answer.

        Raises `UnknownPhotoError` and `UsageError` for what is asked wrongly, `ServerError` for all else.
        """
        headers = dict(self._headers) if kind is None else {**self._headers, "Content-Type": kind}
        with self._lock:
            status, answer = self._exchange(method, path, body, headers=headers)
        if status < 400:
            return answer
        raise _error(status, answer, url=self.url)

    def close(self) -> None:
        """Close the connection; it is opened again where it is used again."""
        with self._lock:
            self._http.close()

    def _exchange(
        self, method: str, path: str, body: bytes | None, *, headers: dict[str, str]
    ) -> tuple[int, bytes]:
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
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ServerError(
                f"{self.url}: no service can be reached ({reason}); is `sterna serve` running?"
            ) from error

    def _once(
        self, method: str, path: str, body: bytes | None, *, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it may have answered before all came
            self._http.request(method, self._base + path, body=body, headers=headers)
        answer = self._http.getresponse()
        return answer.status, answer.read(_MOST)


def _form(text: bytes, images: Sequence[bytes]) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    start = f"--{boundary}\r\nContent-Disposition: form-data; name=".encode()
    parts = [start + b'"json"\r\n\r\n' + text]
    for number, image in enumerate(images):
        parts.append(start + f'"image"; filename="{number}"\r\n\r\n'.encode() + image)
    return b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


def _error(status: int, answer: bytes, *, url: str) -> Exception:
    try:
        said = json.loads(answer)
        kind, detail = str(said["type"]), str(said["detail"])
    except (ValueError, KeyError, TypeError):
        return ServerError(f"{url}: no service of Sterna's answers there (status {status})", status=status)
    if kind.endswith(":unknown-photo"):
        return UnknownPhotoError(detail)
    if status == 422:
        return UsageError(detail)
    return ServerError(detail, status=status)
