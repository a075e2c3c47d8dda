"""The ways in which a loss of pytorch-metric-learning is computed between images and captions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["MINED", "PAIRS", "WAYS", "Pairing", "together"]

Tuples = tuple[Tensor, ...]


class Pairing(NamedTuple):
    """A batch as the library sees it."""

    images: Tensor
    """[N, E]"""
    labels: Tensor
    """[N], of the images: different ones"""
    captions: Tensor
    """[C, E]"""
    owners: Tensor
    """[C], rows of `images`"""

    def told(self) -> Tensor:
        """Labels of the captions [C], a tensor of their own."""
        return self.labels[self.owners]

    def both(self) -> tuple[Tensor, Tensor]:
        """Images and then captions as one set [N + C, E], and their labels [N + C]."""
        return torch.cat((self.images, self.captions)), torch.cat((self.labels, self.told()))


def between(loss: nn.Module, miner: nn.Module | None, batch: Pairing) -> Tensor:
    """Images as queries against captions, captions as queries against images; the mean of the two."""
    sides = (batch.images, batch.labels), (batch.captions, batch.told())
    return _mean([_one_way(loss, miner, *sides), _one_way(loss, miner, *sides[::-1])])


def _one_way(
    loss: nn.Module, miner: nn.Module | None, queries: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]
) -> Tensor:
    # The library takes the other set for the queries themselves when it sees the same tensor of labels
    # twice, and silently drops each query's pair with "itself", here its positive: `Pairing.told` is new.
    vectors, labels = others
    chosen = None if miner is None else miner(*queries, vectors, labels)
    value: Tensor = loss(*queries, chosen, ref_emb=vectors, ref_labels=labels)
    return value


def joined(loss: nn.Module, miner: nn.Module | None, batch: Pairing) -> Tensor:
    """Images and captions as one set, of which pairs or triplets across the two count alone."""
    vectors, labels = batch.both()
    value: Tensor = loss(vectors, labels, _across(miner, batch))
    return value


def _across(miner: nn.Module | None, batch: Pairing) -> Tuples:
    """Triplets (anchor, positive, negative), or what the miner picks, by places in the joined set."""
    sides = (batch.images, batch.labels), (batch.captions, batch.told())
    starts = 0, len(batch.images)
    ways: list[Tuples] = []
    for queries, others, start, other in ((*sides, *starts), (*sides[::-1], *starts[::-1])):
        vectors, labels = others
        chosen = _triplets(queries[1], labels) if miner is None else miner(*queries, vectors, labels)
        anchors = (0,) if len(chosen) == 3 else (0, 2)
        ways.append(tuple(one + (start if at in anchors else other) for at, one in enumerate(chosen)))
    return tuple(torch.cat(parts) for parts in zip(*ways, strict=True))


def _triplets(labels: Tensor, others: Tensor) -> Tuples:
    own = labels[:, None] == others
    return torch.where(own[:, :, None] & ~own[:, None, :])


def pairs(loss: nn.Module, miner: nn.Module | None, batch: Pairing) -> Tensor:
    """As `joined`, from (anchor, positive, anchor, negative): each positive pair counts once."""
    if miner is not None:
        return joined(loss, miner, batch)
    vectors, labels = batch.both()
    count = len(batch.images)
    apart = (torch.arange(len(vectors), device=labels.device) < count)[:, None]
    across, own = apart != apart.T, labels[:, None] == labels
    value: Tensor = loss(vectors, labels, (*torch.where(across & own), *torch.where(across & ~own)))
    return value


def rounds(loss: nn.Module, miner: nn.Module | None, batch: Pairing) -> Tensor:
    """As `pairs`, with one caption of each described image a round, until each caption had its turn.

    For losses that take one positive of each label; images with fewer captions begin again.
    """
    vectors, labels = batch.both()
    counts = torch.bincount(batch.owners, minlength=len(batch.images))
    rows = torch.where(counts > 0)[0]
    sorted_by_owner = torch.argsort(batch.owners, stable=True)
    starts = counts.cumsum(0) - counts
    none = rows[:0]
    values = []
    for turn in range(int(counts.max())):
        chosen = sorted_by_owner[starts[rows] + turn % counts[rows]] + len(batch.images)
        values += [loss(vectors, labels, (rows, chosen, none, none))]
        values += [loss(vectors, labels, (chosen, rows, none, none))]
    return _mean(values)


def together(loss: nn.Module, miner: nn.Module | None, batch: Pairing) -> Tensor:
    """Images and captions as one set: two captions of an image are a positive pair too."""
    vectors, labels = batch.both()
    chosen = None if miner is None else miner(vectors, labels)
    value: Tensor = loss(vectors, labels, chosen)
    return value


def matched(loss: nn.Module, miner: nn.Module | None, batch: Pairing) -> Tensor:
    """Row by row, each caption's image and the caption; 0 for a single one, which varies in nothing."""
    if len(batch.captions) < 2:
        return 0 * (batch.images.sum() + batch.captions.sum())
    value: Tensor = loss(batch.images[batch.owners], ref_emb=batch.captions)
    return value


def classes(loss: nn.Module, miner: nn.Module | None, batch: Pairing) -> Tensor:
    """Labels as classes, of the images and of the captions; the mean of the two."""
    return _mean([loss(batch.images, batch.labels), loss(batch.captions, batch.told())])


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack([value.reshape(()) for value in values]).mean()


WAYS: dict[str, Callable[[nn.Module, nn.Module | None, Pairing], Tensor]] = {
    "between": between,
    "classes": classes,
    "joined": joined,
    "matched": matched,
    "pairs": pairs,
    "rounds": rounds,
    "together": together,
}

MINED = frozenset({"between", "joined", "pairs", "together"})
"""the ways in which a miner may pick"""

PAIRS: dict[str, tuple[str, ...]] = {
    "between": ("cross", "all"),
    "classes": ("cross",),
    "joined": ("cross", "all"),
    "matched": ("cross",),
    "pairs": ("cross", "all"),
    "rounds": ("cross", "all"),
    "together": ("all",),
}
"""what `pairs` may be, by the way of a loss; the first is its default"""
