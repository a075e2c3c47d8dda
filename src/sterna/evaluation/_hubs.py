"""Hubs: items near to everything, which crowd out the right answers; two corrections against a bank.

Both take from an item's scores what it scores with queries that are known not to mean it: those of the bank,
which is of other images and captions (training's). Letters: G gallery, B bank, E embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError, check_known, is_whole
from sterna.evaluation._blocks import Adjust, bounded, distinct_rows, finite_rows
from sterna.evaluation._relevance import Way
from sterna.scoring import Score, Vectors, blocks

__all__ = ["HUBS", "Bank", "Hubs", "hub_corrections"]

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Hubs:
    """A correction of hubs and its parameters.

    Fields:
        name: a key of `HUBS`.
        k: how many of the bank's nearest queries CSLS takes the mean over.
        beta: how steep the inverted softmax is.

    Raises `UsageError` where a name is unknown or a parameter is not above 0.
    """

    name: str
    k: int = 10
    beta: float = 20.0

    def __post_init__(self) -> None:
        check_known("hubs", self.name, HUBS)
        if not is_whole(self.k, least=1):
            raise UsageError(f"k={self.k}; CSLS needs a whole number of neighbours, at least 1")
        if not (self.beta > 0 and np.isfinite(self.beta)):
            raise UsageError(f"beta={self.beta}; the inverted softmax needs a number above 0")

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameter that this correction uses."""
        return {"k": self.k} if self.name == "csls" else {"beta": self.beta}


@dataclass(frozen=True, eq=False)
class Bank:
    """Images and captions that hubs are known by; never those that are measured.

    Fields:
        images: vectors [.., E]; a row that is not finite is left out.
        captions: vectors [.., E]; the same.
        name: what to call it in reports, such as the split it is.
    """

    images: Vectors
    captions: Vectors
    name: str = "bank"


def hub_corrections(
    hubs: Hubs, bank: Bank, *, images: Vectors, captions: Vectors, score: Score, block: int = 1024
) -> Mapping[Way, Adjust]:
    """Corrections of the scores both ways: captions are queries of the bank for images, images for captions.

    Arguments:
        hubs: which, and how.
        bank: what the hubs are known by.
        images, captions: the vectors that are measured, [N, E] and [C, E].
        score: gives [N, C] similarities of images and captions.
        block: items at a time.

    Raises `UsageError` where the bank is what is measured, of another width, or empty, or has fewer queries
    than CSLS needs. Captions of other images may have the same words, and so the same vectors.
    """
    equal_images = np.array_equal(bank.images, images, equal_nan=True)
    for what, the_same in (("images", equal_images), ("captions", bank.captions is captions)):
        if the_same:
            raise UsageError(f"the bank's {what} are those that are measured; it has to be of others")
    of_captions = _terms(
        hubs, captions, bank.images, what="images", block=block, score=lambda c, i: score(i, c).T
    )
    of_images = _terms(hubs, images, bank.captions, what="captions", block=block, score=score)
    return {"i2t": _less(of_captions), "t2i": _less(of_images)}


def _less(terms: Values) -> Adjust:
    return lambda _, gallery, scores: scores.astype(np.float64) - terms[gallery]


def _terms(hubs: Hubs, gallery: Vectors, bank: Vectors, *, what: str, block: int, score: Score) -> Values:
    """What is to be taken from each item's scores, [G]; equal items have equal terms."""
    bank = np.asarray(bank)
    if bank.ndim != 2 or bank.shape[1] != gallery.shape[1]:
        raise UsageError(f"the bank's {what} have the shape {bank.shape}; [B, {gallery.shape[1]}] is needed")
    bank = bank[finite_rows(bank)]
    needed = hubs.k if hubs.name == "csls" else 1
    if len(bank) < needed:
        raise UsageError(f"the bank has {len(bank)} {what} with vectors; {hubs.name} needs at least {needed}")
    distinct, which = distinct_rows(gallery)
    usable = np.where(finite_rows(distinct)[:, None], distinct, 0)
    found = [np.zeros(0)]
    for _, scores in blocks(usable, bank, block=bounded(block, len(bank)), score=score):
        found.append(HUBS[hubs.name](scores.astype(np.float64), hubs))
    return np.concatenate(found)[which]


def _csls(scores: Values, hubs: Hubs) -> Values:
    """Half the mean of the k highest scores (Conneau et al.: Word Translation Without Parallel Data, 2018).

    CSLS(q, g) = 2 s(q, g) - r(q) - r(g); r(q) is the same for all answers to q and left out, and the rest
    halved, so that scores stay comparable with plain ones.
    """
    highest = np.partition(scores, scores.shape[1] - hubs.k, axis=1)[:, scores.shape[1] - hubs.k :]
    return np.asarray(np.sort(highest, axis=1).mean(axis=1) / 2)


def _inverted_softmax(scores: Values, hubs: Hubs) -> Values:
    """log(sum(exp(beta s))) / beta over the bank.

    The query's probability given the item is exp(beta s) over that sum (Smith et al.: Offline bilingual word
    vectors, orthogonal transformations and the inverted softmax, 2017, equation 6); this is its logarithm
    over beta, which sorts in the same way.
    """
    highest = scores.max(axis=1, keepdims=True)
    total = np.exp(hubs.beta * (scores - highest)).sum(axis=1)
    return np.asarray(highest[:, 0] + np.log(total) / hubs.beta)


HUBS: Mapping[str, Callable[[Values, Hubs], Values]] = {
    "csls": _csls,
    "inverted-softmax": _inverted_softmax,
}
