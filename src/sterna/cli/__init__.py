"""The command line: each command parses its arguments, makes one call of the Python API, and prints."""

from __future__ import annotations

from sterna.cli._app import app
from sterna.cli._main import main

__all__ = ["app", "main"]
