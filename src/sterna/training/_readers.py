"""Reading features of images and captions as tensors, or only what is looked at of them."""

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
from sterna.model import TERN, Tower
from sterna.training._learner import Learner, takes_means
from sterna.training._means import keep_means, mean_column
from sterna.training._settings import ImageTuningSettings

if TYPE_CHECKING:
    from sterna.training._inputs import Inputs

__all__ = ["TOKENS", "Reader", "below", "image_columns", "open_readers"]

TOKENS = "tokens"  # the column of token ids
_NOTHING, _MEANS, _WHOLE_ITEMS = "nothing", "means", "items"
_WHOLE = np.array([[[0, 0, 1, 1]]], dtype=np.float32)


def below(tuning: ImageTuningSettings) -> str:
    """How columns end that hold what is trained on in place of features; "" where nothing is trained."""
    if tuning.augment is not None:
        return ".pixels"
    return f".maps{tuning.stages}" if tuning.tuned else ""


def image_columns(views: Sequence[str], tuning: ImageTuningSettings) -> tuple[str, ...]:
    """The columns that an image must have to be trained on: its views, and what enters trained stages."""
    entering = tuple(f"{view}{below(tuning)}" for view in views)
    return entering if tuning.augment is not None or not tuning.tuned else (*views, *entering)


class Reader:
    """Reads features of images and captions, or only what is looked at of them.

    It opens the stores when it is first used, in whichever process that is.

    Arguments:
        folder: holds the stores `images` and `captions`.
        views: names of the images' views, as numbered by a plan.
        image_means, text_means: read the kept means (`sterna.training._means`).
        regions, tokens: whether anything looks at what the frozen backbones made; nothing is read else.
        below: how columns end that hold what enters the trained part of the image backbone; they are read,
            too, unless it is "".
        ids: read token ids, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        views: Sequence[str],
        image_means: bool,
        text_means: bool,
        regions: bool = True,
        tokens: bool = True,
        below: str = "",
        ids: bool = False,
    ) -> None:
        self.folder = folder
        self.views = tuple(views)
        self.image_means = image_means
        self.text_means = text_means
        self.reads_regions = regions
        self.reads_tokens = tokens
        self.below = below
        self.reads_ids = ids

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
        if not self.reads_regions:
            return *_nothing(len(rows)), torch.zeros(len(rows), 0, 4)
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

    def maps(self, rows: NDArray[np.int64], views: NDArray[np.int64]) -> Tensor | None:
        """What enters the stages that are trained, [B, P, Q] as stored, each image's in its view."""
        if not self.below:
            return None
        whole: NDArray[Any] | None = None
        for view in np.unique(views):
            chosen = np.flatnonzero(views == view)
            values, _ = self.images.rows(f"{self.views[view]}{self.below}", rows[chosen])
            if len(chosen) == len(rows):
                return torch.from_numpy(values)
            whole = np.empty((len(rows), *values.shape[1:]), values.dtype) if whole is None else whole
            whole[chosen] = values
        return None if whole is None else torch.from_numpy(whole)

    def tokens(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Values [B, T, D] and mask [B, T] of stored captions."""
        if not self.reads_tokens:
            return _nothing(len(rows))
        values, mask = self.captions.rows(mean_column("values") if self.text_means else "values", rows)
        return torch.from_numpy(values), torch.from_numpy(mask)

    def ids(self, rows: NDArray[np.int64]) -> tuple[Tensor | None, Tensor | None]:
        """Token ids [B, T] int64 and mask [B, T] of stored captions."""
        if not self.reads_ids:
            return None, None
        values, mask = self.captions.rows(TOKENS, rows)
        return torch.from_numpy(values.astype(np.int64)), torch.from_numpy(mask)

    def _one_view(
        self, rows: NDArray[np.int64], view: str
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        if self.image_means:
            values, mask = self.images.rows(mean_column(view), rows)
            return values, mask, np.tile(_WHOLE, (len(rows), 1, 1))
        values, mask = self.images.rows(view, rows)
        boxes, _ = self.images.rows(f"{view}.boxes", rows)
        return values, mask, boxes


def _nothing(count: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(count, 0, 1), torch.zeros(count, 0, dtype=torch.bool)


def open_readers(
    inputs: Inputs,
    learner: Learner,
    *,
    views: tuple[str, ...],
    tuning: ImageTuningSettings,
    others: Sequence[TERN] = (),
) -> tuple[Reader, Reader]:
    """Readers for training, with `views`, and for validation; means that do are kept first.

    Arguments:
        learner: is fed by them; what its backbones are trained on is read in place of features.
        tuning: what of the image backbone is trained, and on what.
        others: models that read the same features while it is trained.
    """
    needs, model = learner.objective.needs, learner.model
    image_tuned, text_tuned = learner.image_backbone is not None, learner.text_backbone is not None
    training = (
        _look([one.image for one in others], model.image, tuned=image_tuned, mean="image_targets" in needs),
        _look([one.text for one in others], model.text, tuned=text_tuned, mean="targets" in needs),
    )
    validation = (_look([], model.image, tuned=image_tuned), _look([], model.text, tuned=text_tuned))
    try:
        images = FeatureStore.open(inputs.folder / "images")
        if training[0] == _MEANS:
            for view in views:
                images = keep_means(images, view, inputs.train_ids)
        if validation[0] == _MEANS:
            keep_means(images, "original", inputs.validation_ids)
        if _MEANS in (training[1], validation[1]):
            keep_means(FeatureStore.open(inputs.folder / "captions"), "values", inputs.caption_ids)
        kept = True
    except DiskError:  # features of somebody else, or a full disk: slower, the same model
        kept = False
    readers = (
        Reader(
            inputs.folder,
            views=names,
            image_means=kept and image == _MEANS,
            text_means=kept and text == _MEANS,
            regions=image != _NOTHING,
            tokens=text != _NOTHING,
            below=below(tuning),
            ids=text_tuned,
        )
        for names, (image, text) in ((views, training), (("original",), validation))
    )
    return next(readers), next(readers)


def _look(others: Sequence[Tower], tower: Tower, *, tuned: bool, mean: bool = False) -> str:
    """How much is looked at of what a frozen backbone made; `mean` says that its mean is, in any case."""
    looking = [*others, *([] if tuned else [tower])]
    if not looking and not mean:
        return _NOTHING
    return _MEANS if all(takes_means(one) for one in looking) else _WHOLE_ITEMS
