"""Batches of a plan, read where the features lie, one part of a step at a time, never the whole set."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator
from ctypes import c_bool
from functools import partial
from multiprocessing.sharedctypes import RawValue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sterna.errors import RunError
from sterna.training._learner import Batch
from sterna.training._plan import BatchOrder, Part, Plan
from sterna.training._readers import Reader
from sterna.training._split import Split

__all__ = ["read_batches"]

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


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
        image_rows = self.split.image_rows[part.images]
        ids, ids_mask = self.reader.ids(rows)
        return Batch(
            *self.reader.regions(image_rows, part.views),
            *self.reader.tokens(rows),
            owners=torch.from_numpy(owners),
            places=torch.from_numpy(part.images),
            epoch=torch.tensor(part.step / self.plan.steps_per_epoch, dtype=torch.float64),
            maps=self.reader.maps(image_rows, part.views),
            ids=ids,
            ids_mask=ids_mask,
        )

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
) -> Generator[Batch, None, None]:
    """Every batch from step `start` to the end of the run, in order; `workers` processes read ahead.

    They end with the run, or when the generator is closed. Raises `RunError` where a worker dies.
    """
    ending = RawValue(c_bool, False) if workers else None
    start_worker = partial(_start_worker, parent=_forking_parent(), ending=ending)
    loader: DataLoader[Batch] = DataLoader(
        _Parts(reader, split, plan, captions_per_image=captions_per_image),
        sampler=BatchOrder(plan, start),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=start_worker if workers else None,
        generator=torch.Generator().manual_seed(plan.seed),
    )
    iterator = iter(loader)
    try:
        yield from iterator
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError(
            "a process that reads batches died, perhaps for want of shared memory (/dev/shm); try workers=0"
        ) from error
    finally:
        if ending is not None:
            ending.value = True
        del iterator  # which ends the workers; not earlier, or one that is busy would not hear of it


def _as_it_is(batch: Any) -> Any:
    return batch


def _forking_parent() -> int | None:
    """This process's id where it makes its workers itself, not through a server."""
    return os.getpid() if multiprocessing.get_start_method() == "fork" else None


def _start_worker(number: int, *, parent: int | None, ending: Any) -> None:
    # Ctrl-C, and a scheduler's SIGTERM, reach the whole group; they are for the parent, which still wants the
    # batches of its step. Only when it has ended reading is a SIGTERM its own. A parent that is killed takes
    # its workers along.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if ending.value else None)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:  # it was killed before this line
            os._exit(1)
