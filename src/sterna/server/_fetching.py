"""Fetch an image from an address that somebody sent, and nothing from where only this machine can reach.

The rules, in the order in which they are kept, for the address and for each that it leads to:

1. http or https, its own port (80, 443), no user, plain ASCII; a host is a name or an address in its usual
   spelling.
2. The name is looked up once, here. Every address that it has must be of the public Internet.
3. The connection is made to an address that was looked at: nothing is looked up again, and no proxy is asked.
   The name is used for `Host`, TLS and the certificate alone.
4. All of it has a time, a length, and a share of what may be held of all requests.

What did not lead to a connection is told in one sentence, whatever it was, so that nobody learns from it what
is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import h11

from sterna._version import __version__
from sterna.server._addresses import in_turns, is_allowed, looked_up
from sterna.server._places import Place, place_of
from sterna.server._problems import Problem, busy
from sterna.server._work import Workers

if TYPE_CHECKING:
    from sterna.server._body import Bodies
    from sterna.server._settings import Limits

__all__ = ["Fetcher"]

_HOPS = 3  # redirections
_TRIES = 8  # addresses of a name
_PIECE = 8192  # bytes that are read and taken apart before others have their turn
_HEAD = 1 << 15  # bytes of an answer's head
_OFF = "this service fetches nothing; send the image itself, or start it with `sterna serve --fetch-images`"
_LEADS = {301, 302, 303, 307, 308}


class Fetcher:
    """Fetches images, a few at a time.

    Arguments:
        limits: `fetches`, `fetch_seconds` and `image`.
        held: where what is fetched takes its share.
        on: whether anything is fetched.
        look_up, allows, ports: stand in, in tests alone, for what looks up a name, says which addresses may
            be connected to, and which ports beside a scheme's own.
    """

    def __init__(
        self,
        limits: Limits,
        held: Bodies,
        *,
        on: bool,
        look_up: Callable[[str], list[str]] = looked_up,
        allows: Callable[[str], bool] = is_allowed,
        ports: Sequence[int] = (),
    ) -> None:
        self._limits = limits
        self._held = held
        self._look_up = look_up
        self._allows = allows
        self._ports = frozenset(ports)
        self._resolving = Workers(limits.fetches, queue=limits.fetches)  # a look-up cannot be stopped
        self._count = 0
        self._tls = ssl.create_default_context() if on else None

    @contextlib.asynccontextmanager
    async def beside(self, images: Sequence[bytes], url: str | None) -> AsyncIterator[list[bytes]]:
        """Images that were sent, and the one at an address, which is held for as long as it is needed.

        Raises `Problem` where it cannot be fetched, or nothing is.
        """
        if url is None:
            yield list(images)
            return
        if self._tls is None:
            raise Problem(403, f"image_url: {_OFF}", kind="fetching-off")
        if self._count >= self._limits.fetches:
            raise busy("too many images are being fetched", seconds=2)
        parts = bytearray()
        self._count += 1
        try:
            await self._within_time(url, parts)
        except BaseException:
            self._held.give(len(parts))
            raise
        finally:
            self._count -= 1
        image = bytes(parts)
        del parts
        try:
            yield [*images, image]
        finally:
            self._held.give(len(image))

    async def _within_time(self, url: str, parts: bytearray) -> None:
        connected = asyncio.Event()
        try:
            async with asyncio.timeout(self._limits.fetch_seconds):
                await self._follow(url, parts, connected=connected)
        except TimeoutError:
            seconds = self._limits.fetch_seconds
            raise (
                _refused(f"it takes longer than {seconds:g} seconds") if connected.is_set() else _unreached()
            ) from None

    async def _follow(self, url: str, parts: bytearray, *, connected: asyncio.Event) -> None:
        for _ in range(_HOPS + 1):
            connected.clear()
            reader, writer, place = await self._connect(url)
            connected.set()
            try:
                leads = await self._exchange(reader, writer, place, parts)
            except (OSError, ValueError, h11.ProtocolError):  # a number of thousands of digits is no number
                raise _refused("the answer breaks off or is no HTTP") from None
            finally:
                writer.transport.abort()
            if leads is None:
                return
            try:
                url = urljoin(url, leads)
            except ValueError:
                raise _refused("it leads to what is no address") from None
        raise _refused(f"it leads elsewhere more than {_HOPS} times")

    async def _connect(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Place]:
        place = place_of(url, ports=self._ports)
        try:
            addresses = await self._resolving.run(self._look_up, place.host)
        except (OSError, UnicodeError):
            raise _unreached() from None
        if not addresses or not all(map(self._allows, addresses)):
            raise _unreached()
        tls = self._tls if place.secure else None
        name = place.host.rstrip(".") if place.secure else None
        tried = in_turns(addresses)[:_TRIES]
        for address in tried:
            try:
                async with asyncio.timeout(self._limits.fetch_seconds / len(tried)):
                    # an address in numbers is taken as it is: nothing is looked up again
                    reader, writer = await asyncio.open_connection(
                        address, place.port, limit=_PIECE, ssl=tls, server_hostname=name
                    )
            except ssl.SSLCertVerificationError:
                raise _refused("its certificate does not prove its name") from None
            except OSError:
                continue
            return reader, writer, place
        raise _unreached()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place, parts: bytearray
    ) -> str | None:
        """Ask, and take what comes; returns where the answer leads, `None` where it is the file itself."""
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        asked = h11.Request(
            method="GET",
            target=place.target,
            headers=[
                ("Host", place.named),
                ("User-Agent", f"sterna/{__version__}"),
                ("Accept", "image/*"),
                ("Accept-Encoding", "identity"),
                ("Connection", "close"),
            ],
        )
        writer.write((http.send(asked) or b"") + (http.send(h11.EndOfMessage()) or b""))
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                await asyncio.sleep(0)  # much may lie ready that takes long to be taken apart
                http.receive_data(await reader.read(_PIECE))
            elif isinstance(event, h11.Response):
                if (leads := self._looked_at(event)) is not None:
                    return leads
            elif isinstance(event, h11.Data):
                self._take(bytes(event.data), parts)
            elif isinstance(event, h11.EndOfMessage):
                return None
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection was closed")

    def _looked_at(self, answer: h11.Response) -> str | None:
        """Where an answer leads, `None` where a file follows; `Problem` for any other."""
        headers = dict(answer.headers)
        if answer.status_code in _LEADS and b"location" in headers:
            return headers[b"location"].decode("latin-1")
        if answer.status_code != 200:
            raise _refused(f"its server answers {answer.status_code}")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise _refused("its server packs it, which was not asked for")
        if int(headers.get(b"content-length", b"0")) > self._limits.image:
            raise self._too_long()
        return None

    def _take(self, part: bytes, parts: bytearray) -> None:
        if len(parts) + len(part) > self._limits.image:
            raise self._too_long()
        self._held.take(len(part))
        parts.extend(part)

    def _too_long(self) -> Problem:
        return _refused(f"it is longer than {self._limits.image:,} bytes")

    def close(self) -> None:
        """Wait for what is being looked up, and take nothing more."""
        self._resolving.close()


def _unreached() -> Problem:
    return _refused("no server of the public Internet answers there")


def _refused(reason: str) -> Problem:
    return Problem(422, f"image_url: the image cannot be fetched: {reason}", kind="unfetched-image")
