"""What a model does not find: the worst captions, the images that are in the way, and kinds of captions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UsageError
from sterna.evaluation._ranks import Ranking, Ranks

__all__ = ["KINDS", "Failures", "Hub", "Kind", "Worst", "failures_of"]

_CUTOFFS = (1, 5, 10)


def _words(text: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(text.split())})\b")


# words in -ing that tell no action
_THINGS = (
    "building clothing morning evening ceiling something nothing anything everything during string ring wing "
    "king spring railing awning"
)
KINDS: Mapping[str, re.Pattern[str]] = {
    "people": _words(
        "man men woman women boys? girls? person people child children kids? baby lady guys? toddler"
    ),
    "animals": _words("dogs? pupp(?:y|ies) cats? horses? birds? animals? cows? sheep ducks? goats?"),
    "counts": _words("two three four five six seven eight several many pair couple both group crowd"),
    "colours": _words(
        "red blue green yellow black white brown orange purple pink gr[ae]y tan blond(?:e)? golden"
    ),
    "actions": re.compile(rf"\b(?!(?:{'|'.join(_THINGS.split())})s?\b)[a-z]{{2,}}ing\b"),
    "scenes": _words(
        "beach ocean sea lake river water pool snow snowy mountains? hill forest woods field grass grassy "
        "park streets? road city sidewalk sand desert rocks? cliff stage track yard"
    ),
    "clothes": _words(
        "shirts? t-shirt hats? cap jackets? coat dress(?:es)? pants jeans shorts uniforms? suit helmets? "
        "sunglasses glasses boots swimsuit costume"
    ),
    "relations": re.compile(
        r"\b(?:behind|beside|under|above|between|near|next to|in front of|on top of|to the (?:left|right))\b"
    ),
    "7 words or fewer": re.compile(r"^\W*(?:\w+\W+){0,6}\w*\W*$"),
    "15 words or more": re.compile(r"^\W*(?:\w+\W+){14,}"),
}
"""Kinds of English captions by what their words match; a caption may be of several."""


@dataclass(frozen=True)
class Worst:
    """A caption whose own image comes late.

    Fields:
        caption: its position.
        rank: of its own image, 1 for the best.
        first: positions of the images that came first.
        scores: theirs.
        score: of its own image; `None` where that has none and is not found at all.
    """

    caption: int
    rank: int
    first: tuple[int, ...]
    scores: tuple[float, ...]
    score: float | None


@dataclass(frozen=True)
class Hub:
    """An image that is among the first ten of many captions; `captions` says how many."""

    image: int
    captions: int


@dataclass(frozen=True)
class Kind:
    """How captions of a kind find their own image: shares in the first 1, 5 and 10, and the median rank."""

    name: str
    captions: int
    hits: Mapping[int, float]
    median_rank: float


@dataclass(frozen=True)
class Failures:
    """What a model does not find by captions.

    Fields:
        worst: the captions that find their own image last, the worst first.
        hubs: the images that are among the first ten of the most captions.
        expected: in how many an image would be if all were alike.
        never: the share of the images that are among the first ten of none.
        kinds: how captions of each kind do, all of them first.
        images: how many there are to be found.
    """

    worst: tuple[Worst, ...]
    hubs: tuple[Hub, ...]
    expected: float
    never: float
    kinds: tuple[Kind, ...]
    images: int


def failures_of(ranks: Ranks, captions: Sequence[str], *, worst: int = 20, hubs: int = 20) -> Failures:
    """What finding images by captions fails at.

    Arguments:
        ranks: of one gallery, whose first ten answers were kept (`Protocol(top=10)`).
        captions: the sentences, in the order of the data.
        worst, hubs: how many of each.

    Raises `UsageError` where the first answers were not kept.
    """
    found = ranks.t2i
    if found.top is None:
        raise UsageError("the first answers were not kept: measure with Protocol(top=10)")
    places = np.arange(len(found.first)) if found.queries is None else found.queries
    order = np.argsort(-found.first, kind="stable")[:worst]
    ten = found.top[:, :10]
    counts = np.bincount(ten[ten >= 0], minlength=found.gallery)
    most = np.argsort(-counts, kind="stable")[:hubs]
    sentences = [captions[place].lower() for place in places]
    return Failures(
        worst=tuple(_worst(found, query, caption=int(places[query])) for query in order),
        hubs=tuple(Hub(int(image), int(counts[image])) for image in most),
        expected=float(counts.mean()),
        never=float((counts == 0).mean()),
        kinds=tuple(_kinds(sentences, found.first)),
        images=found.gallery,
    )


def _worst(found: Ranking, query: int, *, caption: int) -> Worst:
    assert found.top is not None
    assert found.top_scores is not None
    assert found.scores is not None
    kept = found.top[query] >= 0
    score = float(found.scores[found.offsets[query]])
    return Worst(
        caption,
        int(found.first[query]) + 1,
        tuple(map(int, found.top[query][kept])),
        tuple(map(float, found.top_scores[query][kept])),
        None if math.isnan(score) else score,
    )


def _kinds(sentences: Sequence[str], first: NDArray[np.int64]) -> list[Kind]:
    of = {name: np.array([bool(kind.search(one)) for one in sentences]) for name, kind in KINDS.items()}
    neither = ~(of["people"] | of["animals"])
    of = {"all": np.ones(len(sentences), dtype=bool), **of, "no person or animal": neither}
    return [
        Kind(
            name,
            int(chosen.sum()),
            {cutoff: float((first[chosen] < cutoff).mean()) for cutoff in _CUTOFFS},
            float(np.median(first[chosen]) + 1),
        )
        for name, chosen in of.items()
        if chosen.any()
    ]
