"""Make the application, and run it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from sterna.errors import MissingExtraError, ServerError
from sterna.files import system_reason
from sterna.server._settings import ServerSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from sterna.library import Library

__all__ = ["create_app", "run"]

_PATIENCE = 20  # seconds that requests in flight have to finish
_BACKLOG = 128
_LONGEST_HEAD = 1 << 16  # bytes of a request's headers


def create_app(library: Library, *, settings: ServerSettings | None = None) -> ASGIApp:
    """An ASGI application that answers from a library, for any ASGI server.

    Arguments:
        library: answers; it is closed when the application ends.
        settings: how it runs; `None` for the defaults. Host and port only say who may come in.

    Raises `MissingExtraError` where the extra `server` is not installed.
    """
    with _server_parts():
        from sterna.server._app import build

    return build(library, settings or ServerSettings())[0]


def run(
    library: Library,
    *,
    settings: ServerSettings | None = None,
    announce: Callable[[str], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> None:
    """Answer from a library until SIGINT or SIGTERM; requests in flight are finished, the library closed.

    Arguments:
        library: answers.
        settings: how it runs; `None` for the defaults.
        announce: called with the service's address ("http://127.0.0.1:8265") once it listens.
        notice: called with a sentence on what is watched (`settings.watch`) and on what goes wrong there.

    Raises `MissingExtraError` where the extra `server`, or `watch` for watching, is not installed,
    `ServerError` where the address cannot be used.
    """
    chosen = settings or ServerSettings()
    with _server_parts():
        import uvicorn

        from sterna.server._app import build
        from sterna.server._connections import accept_quietly, bounded, most_connections

    entrance, service = build(library, chosen, notice=notice)
    service.log.to_stderr()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            self.force_exit = self.should_exit  # told twice
            self.should_exit = True

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.stop()
            await super().shutdown(sockets)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            accept_quietly(asyncio.get_running_loop(), lambda: service.log.event("too-many-open-files"))
            await super().startup(sockets)
            if announce is not None and self.started:
                announce(_address(listener, chosen.host))

    config = uvicorn.Config(
        entrance, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
        http=bounded(most_connections()), loop="asyncio", ws="none", timeout_graceful_shutdown=_PATIENCE,
        h11_max_incomplete_event_size=_LONGEST_HEAD, backlog=_BACKLOG,
    )  # fmt: skip
    with contextlib.closing(_listen(chosen)) as listener:
        Server(config).run([listener])


def _listen(settings: ServerSettings) -> socket.socket:
    """A socket that listens; a taken port is told in a sentence."""
    where = f"{settings.host} port {settings.port}"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except (OSError, UnicodeError) as error:
        raise ServerError(f"{where}: no address to listen at ({error}); choose another with --host") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or system_reason(error)
        raise ServerError(f"{where}: cannot be used ({reason}); choose another with --port") from None
    return listener


def _address(listener: socket.socket, host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 (every address of this machine: nothing that can be asked)  # nosec B104
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


@contextlib.contextmanager
def _server_parts() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "sterna":
            raise
        raise MissingExtraError("Serving a library", extra="server") from error
