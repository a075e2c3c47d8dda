"""`python -m tests.page.serve LIBRARY PORT MODEL TOKEN ALLOWED`: a service in a process of its own, as a user runs it.

MODEL is a model folder, or "colours" for the encoder of colours; TOKEN may be empty, and
ALLOWED, a folder in which requests may add others.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from pydantic import SecretStr

from sterna.library import Library
from sterna.server import ServerSettings, run
from tests.library.fake import ColourEncoder


def end_with_input() -> None:
    """Stop where whoever started this is no more."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    threading.Thread(target=end_with_input, daemon=True).start()
    folder, port, model, token, allowed = sys.argv[1:]
    library = Library.open(folder, model=ColourEncoder() if model == "colours" else Path(model))
    settings = ServerSettings(
        port=int(port),
        token=SecretStr(token) if token else None,
        allow_roots=(Path(allowed),) if allowed else (),
    )
    run(library, settings=settings, announce=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main()
