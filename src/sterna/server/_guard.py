"""Who may come in: the name that was asked for, the page that asks, and the token that it bears."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from sterna.server._problems import Problem
from sterna.server._settings import ServerSettings, is_loopback

__all__ = ["COOKIE", "SHOWN", "Guard"]

COOKIE = "sterna_session"
# headers that pages of other sites may read
SHOWN = ("X-Request-ID", "Retry-After", "Location", "ETag", "Accept-Ranges", "Content-Range")
_OPEN = {"/", "/healthz", "/readyz", "/login"}  # they tell nothing of the library
_PAGE = "/page/"  # and neither do the page and its files
_WALKED_TO = {"/", "/login"}  # a link on another site may lead here


class Guard:
    """Looks at a request before anything else does.

    Arguments:
        settings: the service's.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._token = None if settings.token is None else settings.token.get_secret_value().encode()
        self._here = is_loopback(settings.host)
        self._cors = frozenset(settings.cors)
        names = {name.lower() for name in settings.allowed_hosts}
        if not self._here:
            names |= {settings.host.lower(), socket.gethostname().lower()}
        self._names = names

    @property
    def session(self) -> str:
        """What the cookie of somebody who has shown the token holds; the token cannot be told from it."""
        return hmac.new(self._token or b"", b"sterna session", hashlib.sha256).hexdigest()

    def check(self, *, method: str, path: str, headers: Headers) -> None:
        """Raise `Problem` where a request may not come in."""
        host = headers.get("host", "")
        if not self._knows(host):
            raise Problem(
                421, "this name is not one of this service's; name it with --allow-host where it should be"
            )
        self._check_page(method, path, headers=headers, host=host)
        wanted = self._token is not None and not self.is_open(path)
        if wanted and method != "OPTIONS" and not self._bears(headers):
            raise Problem(
                401,
                "a token is needed: send it as `Authorization: Bearer TOKEN`, or open the login link",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def is_open(self, path: str) -> bool:
        """Whether an address answers anybody, token or not."""
        return path in _OPEN or path.startswith(_PAGE)

    def allows_page(self, headers: Headers) -> bool:
        """Whether a page asks that may read the answer although it is another site's."""
        return headers.get("origin") in self._cors

    def is_token(self, text: str) -> bool:
        """Whether a text is the token; how much of it is right cannot be told from the time that it takes."""
        return self._token is not None and hmac.compare_digest(text.encode("utf-8", "replace"), self._token)

    def _knows(self, host: str) -> bool:
        """Whether a `Host` header names this service: a page whose name was pointed here has another."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and host.count(":") else host
        name = name.strip("[]").rstrip(".").lower()
        if name in self._names or is_loopback(name):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return not self._here  # an address is nobody's name

    def _check_page(self, method: str, path: str, *, headers: Headers, host: str) -> None:
        """Refuse what a page of another site asks for behind the back of who looks at it."""
        origin = headers.get("origin")
        if self.allows_page(headers):
            return
        if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
            raise Problem(403, "a page of another site asks; allow it with --cors ORIGIN where it should")
        walked = headers.get("sec-fetch-mode") == "navigate" and method in {"GET", "HEAD"}
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"} and not (
            walked and path in _WALKED_TO
        ):
            raise Problem(403, "a page of another site asks; allow it with --cors ORIGIN where it should")

    def _bears(self, headers: Headers) -> bool:
        kind, _, text = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.is_token(text.strip()):
            return True
        value = cookie_parser(headers.get("cookie", "")).get(COOKIE)  # others' cookies may be malformed
        return value is not None and hmac.compare_digest(value.encode(), self.session.encode())
