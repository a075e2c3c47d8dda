"""What is not found, counted by hand on a small gallery."""

from __future__ import annotations

import numpy as np
import pytest

from sterna.errors import UsageError
from sterna.evaluation import Protocol, failures_of, measure
from sterna.evaluation._failures import KINDS

CAPTIONS = [
    "Two dogs run",
    "A girl in a red dress is standing next to a building",
    "A beach",
    "Something during the morning",
]


def small(top: int):
    """Three images; the captions' own come at places 1, 3, 1 and 2."""
    pictures = np.eye(3)
    texts = np.array([[1, 0.5, 0], [1, 0, 0.5], [0, 0.2, 1], [0.9, 0, 0.8]])
    owners = np.array([0, 1, 2, 2])
    return measure(pictures, texts, owners, protocol=Protocol(top=top), bootstrap=0).ranks


def test_the_worst_captions_hubs_and_kinds() -> None:
    found = failures_of(small(10), CAPTIONS, worst=2, hubs=2)
    assert [(one.caption, one.rank, one.first) for one in found.worst] == [
        (1, 3, (0, 2, 1)),
        (3, 2, (0, 2, 1)),
    ]
    assert found.worst[0].scores == pytest.approx((1, 0.5, 0))
    assert [one.score for one in found.worst] == pytest.approx([0, 0.8])
    assert found.images == 3
    assert [(hub.image, hub.captions) for hub in found.hubs] == [(0, 4), (1, 4)]
    assert (found.expected, found.never) == (4.0, 0.0)
    kinds = {kind.name: kind for kind in found.kinds}
    assert {name: kind.captions for name, kind in kinds.items()} == {
        "all": 4,
        "people": 1,
        "animals": 1,
        "counts": 1,
        "colours": 1,
        "actions": 1,
        "scenes": 1,
        "clothes": 1,
        "relations": 1,
        "7 words or fewer": 3,
        "no person or animal": 2,
    }
    assert kinds["all"].hits == {1: 0.5, 5: 1.0, 10: 1.0}
    assert kinds["all"].median_rank == 1.5
    assert (kinds["colours"].hits[1], kinds["colours"].median_rank) == (0.0, 3.0)


def test_a_caption_whose_image_cannot_be_read_has_no_score() -> None:
    pictures = np.eye(2)
    pictures[1] = np.nan
    ranks = measure(pictures, np.eye(2), np.arange(2), protocol=Protocol(top=10), bootstrap=0).ranks
    worst = failures_of(ranks, ["a dog", "a cat"]).worst
    assert [(one.caption, one.rank, one.score) for one in worst] == [(1, 3, None), (0, 1, 1.0)]


def test_the_first_answers_are_needed() -> None:
    with pytest.raises(UsageError, match=r"measure with Protocol\(top=10\)"):
        failures_of(small(0), CAPTIONS)


@pytest.mark.parametrize(
    ("kind", "sentence", "is_one"),
    [
        ("actions", "a man jumps", False),
        ("actions", "a man is jumping", True),
        ("actions", "two buildings and a king", False),
        ("counts", "a couple on a bench", True),
        ("counts", "a stone", False),
        ("colours", "the greyhound", False),
        ("colours", "a blond boy", True),
        ("7 words or fewer", "one two three four five six seven .", True),
        ("7 words or fewer", "one two three four five six seven eight", False),
        ("15 words or more", " ".join("abcdefghijklmno"), True),
        ("15 words or more", " ".join("abcdefghijklmn"), False),
        ("relations", "a dog to the left of a cat", True),
    ],
)
def test_kinds_of_captions(kind: str, sentence: str, is_one: bool) -> None:
    assert bool(KINDS[kind].search(sentence)) is is_one
