"""What follows the question mark of an address: a name that the address does not know is refused."""

from __future__ import annotations

import difflib

from fastapi import Request
from fastapi.routing import APIRoute

from sterna.server._problems import Problem

__all__ = ["check_parameters"]

_MOST = 20  # names that are told of
_LONGEST = 60  # letters of a name that came


async def check_parameters(request: Request) -> None:
    """Raise `Problem` for a name that a described address does not know; a misspelt filter filters nothing.

    The addresses of the page are not described: what follows them is for the page alone.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not (route.include_in_schema or request.method == "HEAD"):
        return
    known = sorted(field.alias for field in route.dependant.query_params)
    wrong = [name for name in dict.fromkeys(request.query_params) if name not in known][:_MOST]
    if not wrong:
        return
    errors = [{"field": name[:_LONGEST], "detail": _detail(name, known)} for name in wrong]
    sentence = "; ".join(f"{one['field']}: {one['detail']}" for one in errors)
    all_known = ", ".join(known) or "none"
    raise Problem(422, f"{sentence}; known: {all_known}", errors=errors)


def _detail(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name[:_LONGEST], known, n=1, cutoff=0.6)
    return "unknown parameter" + (f", did you mean {near[0]!r}?" if near else "")
