"""Which files of a model folder cannot be used, found out by using them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sterna.errors import ModelError

__all__ = ["damaged_files"]


def damaged_files(folder: str | Path) -> list[str]:
    """A sentence for each file of a model folder that cannot be loaded or run, which names it.

    One that was changed and still runs is not among them. Raises `ModelError` where `config.json` is not
    right or a file is missing.
    """
    from PIL import Image

    from sterna.encoders._folder import FolderEncoder

    encoder = FolderEncoder(Path(folder), threads=1)
    uses: tuple[Callable[[], object], ...] = (
        lambda: encoder.encode_texts("a photograph"),
        lambda: encoder.encode_images(Image.new("RGB", (8, 8))),
    )
    found = []
    for use in uses:
        try:
            use()
        except ModelError as error:
            found.append(str(error))
    return found
