from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna import errors, evaluation
from sterna.evaluation import Ranking, rank_both_ways, report
from sterna.scoring import order
from tests.evaluation import slow


def _lists(ranking: Ranking) -> list[list[int]]:
    return [part.tolist() for part in np.split(ranking.ranks, ranking.offsets[1:-1])]


# Whole numbers: products and sums are exact however they are blocked, and ties are frequent.
_numbers = st.sampled_from([-2.0, -1.0, 0.0, -0.0, 0.0, 1.0, 1.0, 2.0, np.nan, np.inf])


@st.composite
def _data(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images = draw(st.integers(1, 14))
    owners = draw(st.lists(st.integers(0, images - 1), min_size=1, max_size=24))
    rows = st.lists(_numbers, min_size=2, max_size=2)
    image_vectors = draw(st.lists(rows, min_size=images, max_size=images))
    text_vectors = draw(st.lists(rows, min_size=len(owners), max_size=len(owners)))
    return np.array(image_vectors, np.float32), np.array(text_vectors, np.float32), np.array(owners)


@settings(max_examples=80, deadline=None)
@given(data=_data(), block=st.integers(1, 30))
def test_ranks_and_figures_are_those_of_sorted_lists(
    data: tuple[np.ndarray, np.ndarray, np.ndarray], block: int
) -> None:
    images, captions, owners = data
    ranks = rank_both_ways(images, captions, owners, block=block)
    i2t, t2i = slow.both_ways(images, captions, owners.tolist())
    assert _lists(ranks.i2t) == i2t
    assert _lists(ranks.t2i) == t2i
    assert ranks.i2t.images.tolist() == sorted(set(owners.tolist()))
    assert ranks.t2i.images.tolist() == owners.tolist()
    found = report(ranks, bootstrap=0)
    for figures, lists, gallery in ((found.i2t, i2t, len(captions)), (found.t2i, t2i, len(images))):
        expected = slow.figures_of(lists, gallery)
        for cutoff in (1, 5, 10):
            assert figures.hits[cutoff] == pytest.approx(expected[f"hits.{cutoff}"])
            assert figures.recall[cutoff] == pytest.approx(expected[f"recall.{cutoff}"])
        assert figures.median_rank == expected["median_rank"]
        assert figures.mean_rank == pytest.approx(expected["mean_rank"])
        assert figures.mrr == pytest.approx(expected["mrr"])
    hits = [*found.i2t.hits.values(), *found.t2i.hits.values()]
    assert found.rsum == pytest.approx(100 * sum(hits))


def test_the_order_of_the_captions_does_not_matter() -> None:
    random = np.random.default_rng(0)
    images, captions = random.normal(size=(9, 4)), random.normal(size=(30, 4))
    owners = random.integers(0, 9, 30)
    shuffled = random.permutation(30)
    one, other = (
        rank_both_ways(images, captions, owners),
        rank_both_ways(images, captions[shuffled], owners[shuffled]),
    )
    assert one.i2t.ranks.tolist() == other.i2t.ranks.tolist()
    assert one.t2i.ranks[shuffled].tolist() == other.t2i.ranks.tolist()


def test_constant_vectors_find_nothing() -> None:
    owners = np.repeat(np.arange(40), 5)
    found = report(rank_both_ways(np.ones((40, 3)), np.ones((200, 3)), owners), bootstrap=0)
    assert found.rsum == 0
    assert (found.t2i.mean_rank, found.i2t.mean_rank) == (40, 196)


def test_constant_images_find_nothing_though_captions_differ() -> None:
    captions = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    images = np.full((40, 16), 0.1, np.float32)
    ranks = rank_both_ways(images, captions, np.repeat(np.arange(40), 5))
    assert set(ranks.t2i.ranks.tolist()) == {39}


@pytest.mark.parametrize("block", [1, 3, 16, 1024])
def test_equal_vectors_tie_exactly_wherever_they_stand(block: int) -> None:
    random = np.random.default_rng(1)
    images = random.normal(size=(997, 61)).astype(np.float32)
    images[500:] = images[: len(images) - 500]  # a product may round differently at the edges of a block
    captions = random.normal(size=(50, 61)).astype(np.float32)
    owners = random.integers(0, 497, 50)
    ranks = rank_both_ways(images, captions, owners, block=block)
    twins = rank_both_ways(images, captions, owners + 500, block=block)
    assert ranks.t2i.ranks.tolist() == twins.t2i.ranks.tolist()
    assert ranks.t2i.ranks.min() >= 1


def test_zeros_of_both_signs_are_equal() -> None:
    images = np.array([[0.0, 1.0], [-0.0, 1.0]], np.float32)
    ranks = rank_both_ways(images, images, np.array([0, 1]))
    assert ranks.t2i.ranks.tolist() == [1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_has_no_vector_is_never_found_even_in_a_small_gallery(bad: float) -> None:
    images = np.eye(4, dtype=np.float32)
    images[1] = bad
    captions = np.eye(4, dtype=np.float32)
    captions[2] = bad
    ranks = rank_both_ways(images, captions, np.arange(4))
    assert ranks.t2i.ranks.tolist() == [0, 4, 4, 0]
    assert ranks.i2t.ranks.tolist() == [0, 4, 4, 0]
    found = report(ranks, bootstrap=0)
    assert found.t2i.hits == {1: 0.5, 5: 0.5, 10: 0.5}
    assert found.t2i.mrr == 0.5


def test_images_without_captions_are_looked_through_but_ask_nothing() -> None:
    images = np.eye(3, dtype=np.float32)
    captions = np.array([[1.0, 0.5, 0.0], [1.0, 0.0, 2.0]], np.float32)
    ranks = rank_both_ways(images, captions, np.array([1, 1]))
    assert (ranks.images, ranks.captions) == (3, 2)
    assert ranks.t2i.ranks.tolist() == [1, 2]
    assert ranks.i2t.images.tolist() == [1]
    assert ranks.i2t.ranks.tolist() == [0, 1]


def test_another_similarity_can_be_ranked_by() -> None:
    random = np.random.default_rng(0)
    images, captions = random.normal(size=(8, 5)), random.normal(size=(16, 5))
    owners = np.arange(16) // 2
    similarities = order(images, captions)
    ranks = rank_both_ways(images, captions, owners, score=order, block=3)
    assert ranks.t2i.ranks.tolist() == [
        slow.ranks_of(similarities[:, caption].tolist(), {int(owner)})[0]
        for caption, owner in enumerate(owners)
    ]
    assert ranks.i2t.first.tolist() == [
        slow.ranks_of(similarities[image].tolist(), {2 * image, 2 * image + 1})[0] for image in range(8)
    ]


def test_wrong_arguments_are_named() -> None:
    images, captions = np.zeros((2, 3)), np.zeros((4, 3))
    with pytest.raises(errors.UsageError, match=r"shapes \(2, 3\) and \(4, 2\)"):
        rank_both_ways(images, captions[:, :2], np.zeros(4, int))
    with pytest.raises(errors.UsageError, match="one for each of 4 captions"):
        rank_both_ways(images, captions, np.zeros(3, int))
    with pytest.raises(errors.UsageError, match="owners reach from 0 to 2; there are 2 images"):
        rank_both_ways(images, captions, np.array([0, 1, 2, 1]))
    with pytest.raises(errors.UsageError, match="owners reach from -1 to 1"):
        rank_both_ways(images, captions, np.array([0, 1, -1, 1]))
    with pytest.raises(errors.UsageError, match="owners are float64; integers are needed"):
        rank_both_ways(images, captions, np.zeros(4))
    with pytest.raises(errors.UsageError, match="there are no captions"):
        report(rank_both_ways(images, captions[:0], np.zeros(0, int)))


def test_every_metric_is_defined_in_words() -> None:
    assert list(evaluation.METRICS) == [
        *("hits", "recall", "median_rank", "mean_rank", "mrr", "precision", "f1", "map", "ndcg"),
        *("ndcg_found", "average_precision", "map_at_r", "r_precision", "nearest_neighbour"),
        *("first_tier", "second_tier", "returned"),
    ]
    assert all(len(metric.words) > 20 for metric in evaluation.METRICS.values())
