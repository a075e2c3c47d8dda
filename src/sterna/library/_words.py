"""Functions of ours that SQL calls: what a file is called, and what a text holds, in any script."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import sqlite3
from functools import lru_cache

from sterna.library._paths import sidecar_names

__all__ = ["add_functions", "bytes_of", "folded"]


def add_functions(connection: sqlite3.Connection) -> None:
    """Let a connection's SQL call `is_named`, `says`, `text_beside` and `folder_of`; see each below."""
    for name, arguments, function in (
        ("is_named", 2, _is_named),
        ("says", 2, _says),
        ("text_beside", 1, _beside),
        ("folder_of", 1, _folder_of),
    ):
        connection.create_function(name, arguments, function, deterministic=True)


def folded(text: str) -> str:
    """A text without the difference of capitals, as two are compared."""
    return text.casefold()


def bytes_of(text: str) -> bytes:
    """A text as SQL takes it here: as its own text it could hold no byte of a name that is not UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _text_of(value: bytes) -> str:
    return value.decode("utf-8", "surrogatepass")


@lru_cache(maxsize=64)
def _pattern(name: str) -> re.Pattern[str] | None:
    """What a name has to match where it is given as a pattern; `None` where as a part."""
    return re.compile(fnmatch.translate(name)) if any(sign in name for sign in "*?[") else None


def _is_named(path: bytes, given: bytes) -> bool:
    """Whether the name of a file at this path fits a folded pattern, or has it as a part."""
    name = _text_of(given)
    own = folded(os.fsdecode(path[path.rfind(b"/") + 1 :]))
    pattern = _pattern(name)
    return name in own if pattern is None else bool(pattern.match(own))


def _says(captions: str, given: bytes) -> bool:
    """Whether one of the sentences in a JSON list holds a folded text."""
    text = _text_of(given)
    return any(text in folded(sentence) for sentence in json.loads(captions))


def _beside(photo: bytes) -> bytes:
    """The text file beside a photograph that is named without the photograph's own ending."""
    return sidecar_names(photo)[1]


def _folder_of(path: bytes) -> bytes:
    """The folder that a file lies in, below the root; empty where that is the root."""
    return path[: max(path.rfind(b"/"), 0)]
