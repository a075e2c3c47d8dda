"""Writing a folder with a file an item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.features._foreign import BadItem, Target
from sterna.files import disk_errors, new_file

__all__ = ["FolderWriter", "check_file_name"]


def check_file_name(identity: str) -> None:
    """Raise `BadItem` where an id cannot be a file's name; a `/` leads into a folder."""
    parts = identity.split("/")
    wrong = any(part in ("", ".", "..") or part.startswith(".") for part in parts)
    if wrong or "\0" in identity or "\\" in identity:
        raise BadItem("the id cannot be the name of a file")


class FolderWriter:
    """What formats with a file an item share."""

    def __init__(self, target: Target) -> None:
        self._target = target
        if target.dest.exists() and not target.dest.is_dir():
            raise DataError(f"{target.dest}: is a file; name a folder")
        with disk_errors(target.dest):
            target.dest.mkdir(parents=True, exist_ok=True)

    def _safe(self, identity: str) -> bool:
        try:
            check_file_name(identity)
        except BadItem:
            return False
        return True

    @staticmethod
    def _file(folder: Path, identity: str, suffix: str) -> Path:
        return folder / (identity + suffix)

    @staticmethod
    def _save(path: Path, what: NDArray[Any] | dict[str, NDArray[Any]]) -> None:
        try:
            with new_file(path) as aside, aside.open("wb") as file:
                if isinstance(what, dict):
                    np.savez_compressed(file, **what)  # type: ignore[arg-type]
                else:
                    np.save(file, what, allow_pickle=False)
        except (OSError, ValueError, UnicodeError) as error:
            raise BadItem(f"cannot be written as {path.name!r} ({error})") from None

    def close(self) -> None:
        """Every file was made durable when it was written."""

    def abandon(self) -> None:
        """Nothing is open between items."""
