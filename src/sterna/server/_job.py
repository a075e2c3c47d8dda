"""A process that brings a library up to date for a service: `python -m` runs this module.

It reads what to do from the first line of standard input and writes a line of JSON for each step. It stops,
and keeps what is done, where the service closes its input, or ends itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

from sterna.errors import SternaError
from sterna.library import IndexReport, Library, Progress

__all__: list[str] = []

_NICE = 15  # a search that comes meanwhile goes first
_PATIENCE = 20.0  # seconds to keep what is done, where the service is not there any more to end this process


def _main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been started with it ignored
    wish = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_with_input, daemon=True).start()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICE)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")  # names may be no text
    os.dup2(2, 1)

    def tell(kind: str, value: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            print(json.dumps({kind: value}, ensure_ascii=False), file=answers, flush=True)

    try:
        with Library.open(wish["library"], model=wish["model"]) as library:
            # the service has resolved and allowed the folders, which may lead to other places now
            report = library.index(
                *wish["roots"],
                follow_links=False,
                progress=lambda progress: tell("progress", _told(progress)),
            )
    except SternaError as error:
        tell("failed", {"kind": type(error).__name__, "sentence": str(error)})
        return 1
    except KeyboardInterrupt:
        return 130
    tell("done", _report(report))
    return 0


def _stop_with_input() -> None:
    while sys.stdin.readline():
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_PATIENCE)
    os._exit(130)  # a photograph keeps its decoder busy; what was committed is kept


def _told(progress: Progress) -> dict[str, Any]:
    left = progress.seconds_left
    return {
        "phase": progress.phase,
        "done": progress.done,
        "total": progress.total,
        "new": progress.new,
        "failed": progress.failed,
        "rate": round(progress.rate, 2),
        "seconds_left": None if left is None else round(left, 1),
    }


def _report(report: IndexReport) -> dict[str, Any]:
    return {name: value for name, value in report.as_json().items() if name != "schema"}


if __name__ == "__main__":
    sys.exit(_main())
