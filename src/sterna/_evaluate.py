"""`sterna.evaluate`: a model's name and a path of data in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sterna.data import CaptionedImages
    from sterna.encoders import Encoder
    from sterna.evaluation import Progress, Report

__all__ = ["evaluate"]


def evaluate(
    model: str | Path | Encoder | None,
    data: str | Path | CaptionedImages,
    *,
    split: str | None = None,
    format: str | None = None,  # noqa: A002  the word that people use
    restval: bool = True,
    images: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Measure a model on captioned images.

    Arguments:
        model: as `sterna.load` takes it (None: the model inside the package), or an encoder.
        data: as `sterna.data.read` takes it, or what it gave.
        split: needed where the data has several splits.
        format, restval, images, columns: how to read the data, as for `sterna.data.read`.
        bootstrap, seed, progress: as for `sterna.evaluation.evaluate`.

    Raises `DataError` and `ModelError` where the data or the model cannot be used.
    """
    from sterna import encoders, evaluation
    from sterna.data import CaptionedImages, read

    if not isinstance(data, CaptionedImages):
        data = read(data, format=format, restval=restval, images=images, columns=columns)
    encoder = encoders.load(model) if model is None or isinstance(model, str | Path) else model
    return evaluation.evaluate(encoder, data, split=split, bootstrap=bootstrap, seed=seed, progress=progress)
