"""Re-ranking against a slow list of who comes first."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.errors import UsageError
from sterna.evaluation import Protocol, Reranking, measure, rank_both_ways, rerank
from sterna.scoring import ALIGNMENTS, align, pad


def made(seed: int, images: int, captions: int) -> dict[str, object]:
    """Vectors, regions and words without any meaning, of whole numbers: no rounding, and many ties."""
    rng = np.random.default_rng(seed)
    return {
        "images": rng.integers(-2, 3, size=(images, 5)).astype(np.float32),
        "captions": rng.integers(-2, 3, size=(captions, 5)).astype(np.float32),
        "owners": rng.integers(0, images, captions),
        "regions": [rng.integers(-2, 3, size=(rng.integers(1, 5), 4)).astype("f4") for _ in range(images)],
        "words": [rng.integers(-2, 3, size=(rng.integers(1, 6), 4)).astype("f4") for _ in range(captions)],
    }


def slow_order(cosines: list[float], alignments: list[float], first: int | None) -> list[tuple[int, float]]:
    """(group, score) of each item; a higher group is ahead of every lower one."""
    best = sorted(cosines, reverse=True)
    last = best[min(first or len(best), len(best)) - 1]
    return [
        (1, aligned) if cosine >= last else (0, cosine)
        for cosine, aligned in zip(cosines, alignments, strict=True)
    ]


def slow_ranks(orders: list[list[tuple[int, float]]], right: list[list[int]]) -> list[list[int]]:
    """Ties against the model."""
    found = []
    for order, answers in zip(orders, right, strict=True):
        wrong = [place for place in range(len(order)) if place not in answers]
        best = sorted((order[answer] for answer in answers), reverse=True)
        found.append([sum(order[w] >= one for w in wrong) + place for place, one in enumerate(best)])
    return found


def chained(lists: list[list[int]]) -> list[int]:
    return [one for many in lists for one in many]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    images=st.integers(1, 7),
    captions=st.integers(1, 9),
    first=st.sampled_from([None, 1, 2, 3, 100]),
    name=st.sampled_from(["MrSw", "MrAVGw", "MwSr", "symm"]),
    kept=st.booleans(),
)
def test_the_first_answers_are_ordered_by_alignment_and_stay_ahead(
    seed: int, images: int, captions: int, first: int | None, name: str, kept: bool
) -> None:
    what = made(seed, images, captions)
    cosines = what["images"] @ what["captions"].T
    aligned = ALIGNMENTS[name](pad(what["regions"]), pad(what["words"]))
    owners = what["owners"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sterna.evaluation._rerank._KEPT", 1 << 27 if kept else 0)
        adjust = rerank(Reranking(what["regions"], what["words"], name, first))
    ranks = rank_both_ways(what["images"], what["captions"], owners, block=3, adjust=adjust)
    own = [np.flatnonzero(owners == image).tolist() for image in range(images)]
    asked = [image for image in range(images) if own[image]]
    orders = [slow_order(list(cosines[image]), list(aligned[image]), first) for image in asked]
    assert ranks.i2t.ranks.tolist() == chained(slow_ranks(orders, [own[image] for image in asked]))
    orders = [slow_order(list(cosines[:, c]), list(aligned[:, c]), first) for c in range(captions)]
    assert ranks.t2i.ranks.tolist() == chained(slow_ranks(orders, [[owner] for owner in owners]))


def test_all_that_tie_with_the_last_of_the_first_are_re_ranked() -> None:
    """Constant vectors and perfect alignments: no luck decides who is among the first."""
    eye = list(np.eye(6)[:, None])
    adjust = rerank(Reranking(eye, eye, "MrSw", 1))
    ranks = rank_both_ways(np.ones((6, 3)), np.ones((6, 3)), np.arange(6), adjust=adjust)
    assert ranks.t2i.ranks.tolist() == ranks.i2t.ranks.tolist() == [0] * 6


def test_an_image_without_regions_or_vector_is_never_found_and_disturbs_no_other() -> None:
    what = made(0, 5, 5)
    owners = np.arange(5)
    for first in (None, 2, 5):
        regions = list(what["regions"])
        regions[1] = None
        vectors = what["images"].copy()
        vectors[3] = np.nan
        adjust = rerank(Reranking(regions, what["words"], "MrSw", first))
        ranks = rank_both_ways(vectors, what["captions"], owners, adjust=adjust)
        assert ranks.t2i.ranks[3] == 5
        assert ranks.i2t.ranks[3] == 5
        assert (ranks.t2i.returned <= 4).all()
        if first != 2:
            assert ranks.t2i.ranks[1] == ranks.i2t.ranks[1] == 5
        assert (ranks.t2i.ranks[[0, 2, 4]] < 5).all()


def test_a_caption_without_words_is_never_found_and_finds_nothing() -> None:
    what = made(0, 5, 5)
    for first in (None, 5):
        words = [None, *what["words"][1:]]
        adjust = rerank(Reranking(what["regions"], words, "MrSw", first))
        ranks = rank_both_ways(what["images"], what["captions"], np.arange(5), adjust=adjust)
        assert ranks.t2i.ranks[0] == ranks.i2t.ranks[0] == 5
        assert (ranks.i2t.ranks[1:] < 4).all()


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_the_same_words_in_two_places_tie_exactly(name: str) -> None:
    """A product may round differently in different places of a matrix; the right twin must not win by that."""
    rng = np.random.default_rng(0)
    regions = [rng.normal(size=(7, 33)).astype("f4") for _ in range(9)]
    words = [rng.normal(size=(rng.integers(1, 9), 33)).astype("f4") for _ in range(70)]
    twins = [*words, *(one.copy() for one in words)]
    adjust = rerank(Reranking(regions, twins, name))["i2t"]
    scores = adjust(np.arange(9), np.arange(140), np.zeros((9, 140), np.float32))
    assert np.array_equal(scores[:, :70], scores[:, 70:])
    assert len(np.unique(scores[0])) == 70


def test_folds_are_re_ranked_each_among_its_own() -> None:
    what = made(3, 6, 12)
    owners = np.arange(12) // 2
    whole = [Reranking(what["regions"], what["words"], "symm", 2)]
    found = measure(
        what["images"], what["captions"], owners, protocol=Protocol(folds=(2, 3)), adjust=rerank(whole[0])
    )
    for fold, part in enumerate(found.parts):
        images, captions = slice(3 * fold, 3 * fold + 3), slice(6 * fold, 6 * fold + 6)
        alone = rank_both_ways(
            what["images"][images],
            what["captions"][captions],
            owners[:6],
            adjust=rerank(Reranking(what["regions"][images], what["words"][captions], "symm", 2)),
        )
        assert part.i2t.ranks.tolist() == alone.i2t.ranks.tolist()
        assert part.t2i.ranks.tolist() == alone.t2i.ranks.tolist()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UsageError, match=r"alignment='dot' is not known; known: MrAVGw, MrSw"):
        Reranking([], [], "dot")
    with pytest.raises(UsageError, match="rerank=0; at least the first 1 can be re-ranked"):
        Reranking([], [], "MrSw", 0)


def test_large_scores_leave_room_for_the_places_of_the_first() -> None:
    """In float32 there is nothing between 10^10 and the next thousand."""
    eye = list(np.eye(6, dtype=np.float32)[:, None])
    vectors = np.random.default_rng(0).normal(1e5, 1, size=(6, 3)).astype(np.float32)
    adjust = rerank(Reranking(eye, eye, "MrSw", 6))
    ranks = rank_both_ways(vectors, vectors, np.arange(6), adjust=adjust)
    assert ranks.t2i.ranks.tolist() == ranks.i2t.ranks.tolist() == [0] * 6


def test_all_alignments_are_computed_once_and_held_once() -> None:
    """Of both ways, and once for captions that are there twice."""
    asked: list[tuple[int, int]] = []

    def count(regions: list[np.ndarray], words: list[np.ndarray], **options: str) -> np.ndarray:
        asked.append((len(regions), len(words)))
        return align(regions, words, **options)

    what = made(0, 300, 150)
    words = what["words"] * 4
    regions = [np.append(one, [[place, 0, 0, 0]], axis=0) for place, one in enumerate(what["regions"])]
    owners = np.arange(600) // 2
    alone = {one.tobytes() for one in words}
    adjust = rerank(Reranking(regions, words, "MrSw", align=count))
    vectors = np.zeros((300, 1)), np.zeros((600, 1))
    rank_both_ways(*vectors, owners, adjust=adjust)
    assert asked == [(300, len(alone))]
    adjust = rerank(
        Reranking(regions, words, "MrSw", align=lambda *_, **__: np.zeros((300, len(alone)), "f4"))
    )
    tracemalloc.start()
    try:
        scores = adjust["i2t"](np.arange(2), np.arange(600), np.zeros((2, 600), "f4"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert scores.shape == (2, 600)
    assert peak < 1.5 * 300 * len(alone) * 4


def test_the_first_stay_ahead_of_scores_between_whole_numbers() -> None:
    """The worst aligned of the first two still leads the third, whose cosine is not far below theirs."""
    eye = list(np.eye(3, dtype=np.float32)[:, None])
    adjust = rerank(Reranking(eye, eye, "MrSw", 2))
    captions = np.array([[0.9], [0.8], [0.7]])
    assert rank_both_ways(np.ones((1, 1)), captions, np.zeros(3, int)).i2t.ranks.tolist() == [0, 1, 2]
    scores = adjust["i2t"](np.array([2]), np.arange(3), captions.T)
    assert scores[0, :2].min() > scores[0, 2]
