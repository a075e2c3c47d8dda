"""Batches out of feature stores: read where they lie, one part of a step at a time, never the whole set."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sterna.features import FeatureStore
from sterna.training._learner import Batch
from sterna.training._means import mean_column
from sterna.training._plan import BatchOrder, Part, Plan

__all__ = ["Reader", "Split", "read_batches"]

_WHOLE = np.array([[[0, 0, 1, 1]]], dtype=np.float32)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


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


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split with their captions, as places in the stores.

    Fields:
        image_rows: int64 [N]; caption_rows: int64 [C], grouped by image.
        starts: int64 [N + 1]: the captions of image i are `starts[i]` to `starts[i + 1]`.
    """

    image_rows: NDArray[np.int64]
    caption_rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def owners(self) -> NDArray[np.int64]:
        """The image of each caption, int64 [C]."""
        return np.repeat(np.arange(len(self.image_rows)), np.diff(self.starts))


class _Parts(Dataset[Batch]):
    """What a part of the plan looks like as tensors."""

    def __init__(self, reader: Reader, split: Split, plan: Plan, *, captions_per_image: int | None) -> None:
        self.reader = reader
        self.split = split
        self.plan = plan
        self.captions_per_image = captions_per_image

    def __getitem__(self, part: Part) -> Batch:
        captions = [self._captions(part.epoch, int(image)) for image in part.images]
        rows = self.split.caption_rows[np.concatenate(captions)]
        owners = np.repeat(np.arange(len(captions)), [len(chosen) for chosen in captions])
        regions = self.reader.regions(self.split.image_rows[part.images], part.views)
        return Batch(*regions, *self.reader.tokens(rows), torch.from_numpy(owners))

    def _captions(self, epoch: int, image: int) -> NDArray[np.int64]:
        start, end = int(self.split.starts[image]), int(self.split.starts[image + 1])
        if self.captions_per_image is None:
            return np.arange(start, end)
        chosen = self.plan.choose_captions(epoch, image, owned=end - start, wanted=self.captions_per_image)
        return start + chosen


def read_batches(
    reader: Reader,
    split: Split,
    plan: Plan,
    *,
    start: int,
    captions_per_image: int | None,
    workers: int,
) -> Iterator[Batch]:
    """Every batch from step `start` to the end of the run, in order; `workers` processes read ahead."""
    loader: DataLoader[Batch] = DataLoader(
        _Parts(reader, split, plan, captions_per_image=captions_per_image),
        sampler=BatchOrder(plan, start),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_start_worker if workers else None,
        generator=torch.Generator().manual_seed(plan.seed),
    )
    return iter(loader)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401
    return batch


def _start_worker(number: int) -> None:
    # An interrupt is for the parent, which still wants the batches of its step.
    # A parent that is killed takes its workers along.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
