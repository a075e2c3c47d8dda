"""Reading features of images and captions as tensors, or only their means where a model looks at no more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sterna.errors import DiskError
from sterna.features import FeatureStore
from sterna.model import TERN
from sterna.training._learner import takes_means
from sterna.training._means import keep_means, mean_column

if TYPE_CHECKING:
    from sterna.training._inputs import Inputs

__all__ = ["Reader", "open_readers"]

_WHOLE = np.array([[[0, 0, 1, 1]]], dtype=np.float32)


class Reader:
    """Reads features of images and captions, or only their means where a tower looks at no more.

    It opens the stores when it is first used, in whichever process that is.

    Arguments:
        folder: holds the stores `images` and `captions`.
        views: names of the images' views, as numbered by a plan.
        image_means, text_means: read the kept means (`sterna.training._means`).
    """

    def __init__(self, folder: Path, *, views: Sequence[str], image_means: bool, text_means: bool) -> None:
        self.folder = folder
        self.views = tuple(views)
        self.image_means = image_means
        self.text_means = text_means

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("images", "captions")}

    @cached_property
    def images(self) -> FeatureStore:
        """The store of images."""
        return FeatureStore.open(self.folder / "images")

    @cached_property
    def captions(self) -> FeatureStore:
        """The store of captions."""
        return FeatureStore.open(self.folder / "captions")

    def regions(self, rows: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Values [B, R, D], mask [B, R] and boxes [B, R, 4] of stored images, each in its view."""
        pieces = [(np.flatnonzero(views == view), self.views[view]) for view in np.unique(views)]
        read = [(chosen, *self._one_view(rows[chosen], view)) for chosen, view in pieces]
        if len(read) == 1:
            return tuple(torch.from_numpy(array) for array in read[0][1:])  # type: ignore[return-value]
        longest = max(mask.shape[1] for _, _, mask, _ in read)
        whole = [np.zeros((len(rows), longest, *array.shape[2:]), dtype=array.dtype) for array in read[0][1:]]
        for chosen, *arrays in read:
            for target, array in zip(whole, arrays, strict=True):
                target[chosen, : array.shape[1]] = array
        values, mask, boxes = (torch.from_numpy(array) for array in whole)
        return values, mask, boxes

    def tokens(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Values [B, T, D] and mask [B, T] of stored captions."""
        values, mask = self.captions.rows(mean_column("values") if self.text_means else "values", rows)
        return torch.from_numpy(values), torch.from_numpy(mask)

    def _one_view(
        self, rows: NDArray[np.int64], view: str
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        if self.image_means:
            values, mask = self.images.rows(mean_column(view), rows)
            return values, mask, np.tile(_WHOLE, (len(rows), 1, 1))
        values, mask = self.images.rows(view, rows)
        boxes, _ = self.images.rows(f"{view}.boxes", rows)
        return values, mask, boxes


def open_readers(inputs: Inputs, model: TERN, *, views: tuple[str, ...]) -> tuple[Reader, Reader]:
    """Readers for training, with `views`, and for validation; means that do for `model` are kept first."""
    image_means, text_means = takes_means(model.image), takes_means(model.text)
    try:
        if image_means:
            images = FeatureStore.open(inputs.folder / "images")
            for view in views:
                images = keep_means(images, view, inputs.train_ids)
            keep_means(images, "original", inputs.validation_ids)
        if text_means:
            keep_means(FeatureStore.open(inputs.folder / "captions"), "values", inputs.caption_ids)
    except DiskError:  # features of somebody else, or a full disk: slower, the same model
        image_means = text_means = False
    training, validation = (
        Reader(inputs.folder, views=names, image_means=image_means, text_means=text_means)
        for names in (views, ("original",))
    )
    return training, validation
