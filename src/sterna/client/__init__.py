"""Ask a library that `sterna serve` shows, on this machine or another, with what Python itself brings."""

from __future__ import annotations

from sterna.client._client import Client
from sterna.client._types import (
    RemoteCaption,
    RemoteExplanation,
    RemoteFolder,
    RemoteForgotten,
    RemoteHit,
    RemoteJob,
    RemotePhoto,
    RemoteWord,
)

__all__ = [
    "Client",
    "RemoteCaption",
    "RemoteExplanation",
    "RemoteFolder",
    "RemoteForgotten",
    "RemoteHit",
    "RemoteJob",
    "RemotePhoto",
    "RemoteWord",
]
