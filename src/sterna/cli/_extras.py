"""What a command says where the part that it needs is not installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sterna.errors import MissingExtraError

__all__ = ["learning_wing"]


@contextlib.contextmanager
def learning_wing(what: str) -> Iterator[None]:
    """Turn a missing module of the extra `train` into a `MissingExtraError` about `what`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "sterna":
            raise
        raise MissingExtraError(what, extra="train") from error
