"""Texts that JSON can hold."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["plain"]


def plain(text: object) -> str:
    """A text that JSON can hold; bytes of names that are no text become question marks."""
    return os.fsencode(text).decode("utf-8", "replace") if isinstance(text, Path) else _scalar(str(text))


def _scalar(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
