"""Which images a step sees: a pure function of seed and step, so a resumed run needs no memory of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

__all__ = ["BatchOrder", "Part", "Plan", "seed_of"]

# What a stream of random numbers is for; part of its seed, so that no two streams are the same.
_ORDER, _VIEW, _CAPTIONS, _STEP, _BATCHES = range(5)
_POOL = 16  # batches that images of like length are gathered from


class Part(NamedTuple):
    """One forward pass: `images` are positions in the split, `views` the view of each, both int64 [B]."""

    step: int
    epoch: int
    images: NDArray[np.int64]
    views: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """The order of a whole run.

    Arguments:
        images: how many the training split has.
        batch_images: images a forward pass; the last of an epoch that do not fill one are left out.
        accumulation: forward passes a step; an epoch's last step may have fewer.
        views: how many views an image has; one is drawn for each image and epoch.
        lengths: of each image, such as the tokens of its longest caption; with them, images of like length
            share a batch. As many are left out of an epoch as without, chosen whatever their length.
    """

    images: int
    batch_images: int
    accumulation: int
    epochs: int
    seed: int
    views: int = 1
    lengths: tuple[int, ...] | None = field(default=None, repr=False)

    @property
    def parts_per_epoch(self) -> int:
        """Forward passes in one epoch, at least one."""
        return max(1, self.images // self.batch_images)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimizer in one epoch."""
        return -(-self.parts_per_epoch // self.accumulation)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.epochs

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, that `step` (from 0) belongs to."""
        return step // self.steps_per_epoch

    def parts_in(self, step: int) -> int:
        """Forward passes of `step`."""
        first = step % self.steps_per_epoch * self.accumulation
        return min(self.accumulation, self.parts_per_epoch - first)

    def parts(self, step: int) -> list[Part]:
        """The forward passes of `step`, in order."""
        epoch = self.epoch_of(step)
        order, views = _epoch(self, epoch)
        first = step % self.steps_per_epoch * self.accumulation
        parts = []
        for number in range(first, first + self.parts_in(step)):
            images = order[number * self.batch_images : (number + 1) * self.batch_images]
            parts.append(Part(step, epoch, images, views[images]))
        return parts

    def choose_captions(self, epoch: int, image: int, *, owned: int, wanted: int) -> NDArray[np.int64]:
        """`wanted` of an image's `owned` captions, ascending and without repetition; all if it has fewer."""
        if owned <= wanted:
            return np.arange(owned)
        stream = np.random.default_rng([self.seed, _CAPTIONS, epoch, image])
        return np.sort(stream.permutation(owned)[:wanted])


@lru_cache(maxsize=2)
def _epoch(plan: Plan, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.random.default_rng([plan.seed, _ORDER, epoch]).permutation(plan.images)
    if plan.lengths is not None:
        order = _gathered(order, plan, np.random.default_rng([plan.seed, _BATCHES, epoch]))
    return order, np.random.default_rng([plan.seed, _VIEW, epoch]).integers(0, plan.views, plan.images)


def _gathered(order: NDArray[np.int64], plan: Plan, random: np.random.Generator) -> NDArray[np.int64]:
    """`order` with images of like length beside each other, in batches that come in any order."""
    shown = order[: plan.parts_per_epoch * plan.batch_images]
    lengths = np.asarray(plan.lengths)[shown]
    pools = np.arange(len(shown)) // (_POOL * plan.batch_images)
    shown = shown[np.lexsort((lengths, pools))]
    if len(shown) < plan.batch_images:
        return shown
    return random.permutation(shown.reshape(-1, plan.batch_images), axis=0).ravel()


def seed_of(seed: int, step: int, part: int) -> int:
    """The seed of torch's generator for one forward pass."""
    return int(np.random.SeedSequence([seed, _STEP, step, part]).generate_state(1, np.uint64)[0])


class BatchOrder(Sampler[Part]):
    """Every part from step `start` to the end of the run, epochs joined, so that workers live through all."""

    def __init__(self, plan: Plan, start: int) -> None:
        self.plan = plan
        self.start = start

    def __iter__(self) -> Iterator[Part]:
        for step in range(self.start, self.plan.steps):
            yield from self.plan.parts(step)

    def __len__(self) -> int:
        return sum(self.plan.parts_in(step) for step in range(self.start, self.plan.steps))
