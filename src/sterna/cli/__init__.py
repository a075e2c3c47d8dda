"""The command line: each command parses its arguments, makes one call of the Python API, and prints.

Little is loaded before `main` runs, so that Ctrl-C while the rest is loading is answered like any other.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in `sterna` itself
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sterna.cli._app import app

__all__ = ["app", "main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line with `args` (default: this process's) and return its exit code.

    Returns: 0 done; 1 failed; 2 wrong usage; 130 interrupted; 141 the reader of a pipe went away.
    """
    try:
        from sterna.cli._main import main as run

        return run(args)
    except KeyboardInterrupt:
        print("sterna: interrupted", file=sys.stderr)
        return 130


def __getattr__(name: str) -> object:
    if name == "app":
        from sterna.cli._app import app

        return app
    raise AttributeError(f"module 'sterna.cli' has no attribute {name!r}; it has app and main")
