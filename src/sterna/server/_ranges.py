"""Which part of a file is asked for, and whether who asks has it already (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from starlette.requests import Request

from sterna.server._problems import Problem

__all__ = ["has_already", "http_date", "part_of"]

_PART = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.ASCII | re.IGNORECASE)


def http_date(nanoseconds: int) -> str | None:
    """When a file was changed, as headers say it; `None` for a year that no calendar has."""
    try:
        return format_datetime(datetime.fromtimestamp(nanoseconds // 10**9, UTC), usegmt=True)
    except (OverflowError, OSError, ValueError):
        return None


def has_already(request: Request, tag: str, *, changed: str | None = None) -> bool:
    """Whether who asks has this very picture already, by its tag, or by when it was changed."""
    known = request.headers.get("if-none-match")
    if known is not None:
        return known.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in known.split(",")}
    since = request.headers.get("if-modified-since")
    if since is None or changed is None:
        return False
    try:
        return parsedate_to_datetime(changed) <= parsedate_to_datetime(since)
    except (TypeError, ValueError, OverflowError):  # no date, or one without a zone
        return False


def part_of(request: Request, *, size: int, tag: str, changed: str | None) -> tuple[int, int] | None:
    """The first byte that is asked for and the one after the last; `None` for all of a file.

    Several parts at one time, and what is no range, ask for all of it, as do parts of another state of it
    (`If-Range`). Raises `Problem` for a part that lies behind its end.
    """
    condition = request.headers.get("if-range")
    if request.method != "GET" or (condition is not None and condition.strip() not in {tag, changed}):
        return None
    found = _PART.fullmatch(request.headers.get("range", "").strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:  # so many of the last bytes
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise Problem(
            416, f"range: the file has {size:,} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, end
