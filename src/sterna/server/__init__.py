"""A library as a service on HTTP: one process that searches, embeds, shows photographs and indexes.

What it answers is what `sterna.library` answers; here requests are bounded, checked and told apart. It
listens to this machine alone unless it is given a token.
"""

from __future__ import annotations

from sterna.server._run import create_app, run
from sterna.server._settings import Limits, ServerSettings, is_loopback

__all__ = ["Limits", "ServerSettings", "create_app", "is_loopback", "run"]
