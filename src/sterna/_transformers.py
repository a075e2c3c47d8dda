"""`transformers` without its advice to programmers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from sterna.errors import MissingExtraError

__all__ = ["quiet_transformers"]


@contextlib.contextmanager
def quiet_transformers(*, bars: bool) -> Iterator[None]:
    """Keep advice off the terminal, and progress `bars` unless something is downloaded.

    Raises `MissingExtraError` where `transformers` is not installed.
    """
    try:
        import torch  # noqa: F401  without it transformers has no models
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise MissingExtraError("A model of Hugging Face", extra="hf") from error
    hub = logging.getLogger("huggingface_hub")
    before = (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled(), hub.level)
    transformers_logging.set_verbosity_error()
    hub.setLevel(logging.ERROR)
    if not bars:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before[0])
        if before[1]:
            transformers_logging.enable_progress_bar()
        hub.setLevel(before[2])
