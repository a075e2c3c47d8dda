"""A line for each request, for people or as JSON: what, how it went, how long, and never what was asked."""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass
from typing import Any

__all__ = ["Line", "Log"]

# asked every few seconds by pages that are open and by whoever looks after the service: not worth a line
_ROUTINE = {"/api/generation", "/healthz", "/readyz"}


@dataclass
class Line:
    """What is told of a request; `route` is the pattern of its path, `whole` once all is sent."""

    request_id: str
    method: str
    route: str = "-"
    status: int = 0
    seconds: float = 0.0
    bytes: int = 0
    whole: bool = False
    fault: str = ""


class Log:
    """Writes to the logger `sterna.server`.

    Arguments:
        as_json: each line is a JSON object.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._logger = logging.getLogger("sterna.server")

    def to_stderr(self) -> None:
        """Show the lines on stderr; for a process that does nothing else."""
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger.handlers = [handler]
        self._logger.propagate = False
        self._logger.setLevel(logging.INFO)

    def request(self, line: Line) -> None:
        """Tell of a request that has been answered; of one that is asked all the time if it went wrong."""
        if line.route in _ROUTINE and line.status == 200 and not line.fault:
            return
        facts: dict[str, Any] = {
            "id": line.request_id,
            "method": line.method,
            "route": line.route,
            "status": line.status,
            "ms": round(line.seconds * 1000, 1),
            "bytes": line.bytes,
        }
        if line.fault:
            facts["fault"] = line.fault
        self._write("request", facts, level=logging.ERROR if line.fault else logging.INFO)

    def event(self, name: str, **facts: Any) -> None:
        """Tell of anything else that happens."""
        self._write(name, facts, level=logging.INFO)

    def _write(self, name: str, facts: dict[str, Any], *, level: int) -> None:
        if not self._logger.isEnabledFor(level):
            return
        moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        if self._as_json:
            self._logger.log(level, json.dumps({"time": moment, "event": name, **facts}))
            return
        told = " ".join(f"{key}={value}" for key, value in facts.items())
        self._logger.log(level, f"{moment} {name} {told}")
