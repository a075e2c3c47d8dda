"""What an address that somebody sent means: the host that is connected to, and what is asked for there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from sterna.server._problems import Problem

__all__ = ["Place", "place_of"]

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}\.?$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z][a-z0-9-]{0,62}\.?", re.I)


@dataclass(frozen=True)
class Place:
    """Where an address leads: what is connected to, and what is asked for."""

    host: str
    port: int
    secure: bool
    target: str

    @property
    def named(self) -> str:
        """The host as `Host` and addresses write it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port in _PORTS.values() else f"{name}:{self.port}"


def place_of(url: str, *, ports: Collection[int] = ()) -> Place:
    """What an address means; `Problem` for one that is not plainly an address of a file on the web.

    Arguments:
        url: what was sent, or where an answer leads.
        ports: taken beside a scheme's own.
    """
    try:
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise ValueError
        parts = urlsplit(url)
        host, usual = parts.hostname or "", _PORTS[parts.scheme]
        port = usual if parts.port is None else parts.port
        if not _NAME.fullmatch(host):
            host = str(ipaddress.ip_address(host))  # in its usual spelling, or none
    except (ValueError, KeyError):
        raise _wrong("an address such as https://example.org/beach.jpg is needed") from None
    if "@" in parts.netloc:
        raise _wrong("an address with a user's name or password is not taken")
    if port != usual and port not in ports:
        raise _wrong("a port of its own is not taken; http has 80, and https 443")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(host, port, parts.scheme == "https", target)


def _wrong(sentence: str) -> Problem:
    return Problem(422, f"image_url: {sentence}", errors=[{"field": "image_url", "detail": sentence}])
