"""Sterna: image-text retrieval with Transformer Encoder Reasoning Networks.

The door: names are looked up when they are first used, so that importing the package costs nearly nothing.
Rooms (`sterna.training`, `sterna.data`, ...) open the same way.
"""

from __future__ import annotations

from sterna._version import __version__

TYPE_CHECKING = False  # as type checkers know it; `typing` takes long to load, and Ctrl-C may come meanwhile
if TYPE_CHECKING:
    from sterna._evaluate import evaluate
    from sterna.client import Client
    from sterna.encoders import Encoder, load
    from sterna.errors import (
        DataError,
        DiskError,
        LibraryError,
        LockedError,
        MissingExtraError,
        ModelError,
        PhotoError,
        RunError,
        ServerError,
        SettingsError,
        SternaError,
        StoppedError,
        StoreError,
        UnknownPhotoError,
        UsageError,
    )
    from sterna.explanations import Explanation, explain
    from sterna.library import Library

__all__ = [
    "Client",
    "DataError",
    "DiskError",
    "Encoder",
    "Explanation",
    "Library",
    "LibraryError",
    "LockedError",
    "MissingExtraError",
    "ModelError",
    "PhotoError",
    "RunError",
    "ServerError",
    "SettingsError",
    "SternaError",
    "StoppedError",
    "StoreError",
    "UnknownPhotoError",
    "UsageError",
    "__version__",
    "evaluate",
    "explain",
    "load",
]

_ELSEWHERE = {
    "Client": "sterna.client",
    "Encoder": "sterna.encoders",
    "Explanation": "sterna.explanations",
    "Library": "sterna.library",
    "evaluate": "sterna._evaluate",
    "explain": "sterna.explanations",
    "load": "sterna.encoders",
}
_ROOMS = frozenset({
    "backbones", "client", "data", "encoders", "errors", "evaluation", "explanations", "features", "figures",
    "images", "index", "library", "model", "objectives", "scoring", "server", "training",
})  # fmt: skip


def __getattr__(name: str) -> object:
    import importlib

    if name in _ROOMS:
        return importlib.import_module(f"sterna.{name}")
    if name in __all__:
        return getattr(importlib.import_module(_ELSEWHERE.get(name, "sterna.errors")), name)
    raise AttributeError(f"module 'sterna' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
