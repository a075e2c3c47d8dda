"""Groups of near vectors: what the bound leaves out is what comparing all pairs leaves out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.errors import UsageError
from sterna.index import near_groups

Groups = list[tuple[list[int], list[float]]]


def slow_groups(ids: np.ndarray, rows: np.ndarray, order: list[int], min_score: float) -> Groups:
    """One after the other: who has joined nobody is joined by all behind that are near and free."""
    wide, place = rows.astype(np.float64), {name: at for at, name in enumerate(ids.tolist())}
    free, groups = list(order), []
    while free:
        first, *rest = free
        all_scores = (wide @ wide[place[first]]).astype(np.float32)
        scores = {name: all_scores[place[name]] for name in rest}
        mine = sorted((name for name in rest if scores[name] >= min_score), key=lambda name: -scores[name])
        if mine:
            groups.append(([first, *mine], [1.0, *(float(scores[name]) for name in mine)]))
        free = [name for name in rest if name not in mine]
    return groups


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def as_lists(groups: list[tuple[np.ndarray, np.ndarray]]) -> Groups:
    return [(ids.tolist(), scores.tolist()) for ids, scores in groups]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 90),
    dim=st.sampled_from([3, 40, 100]),
    centres=st.integers(1, 12),
    spread=st.sampled_from([0.05, 0.4, 2.0]),
    min_score=st.sampled_from([0.3, 0.8, 0.95, 0.999]),
    dtype=st.sampled_from([np.float16, np.float32]),
)
def test_groups_are_those_of_comparing_one_by_one(
    seed: int, count: int, dim: int, centres: int, spread: float, min_score: float, dtype: type
) -> None:
    random = np.random.default_rng(seed)
    near = random.normal(size=(centres, dim))[random.integers(0, centres, count)]
    rows = unit(near + spread * random.normal(size=(count, dim))).astype(dtype)
    ids = random.permutation(1000)[:count]
    order = random.permutation(ids)
    found = near_groups(ids, rows, min_score=min_score, order=order)
    assert [ids for ids, _ in as_lists(found)] == [
        ids for ids, _ in slow_groups(ids, rows, order.tolist(), min_score)
    ]


@pytest.mark.parametrize(("spread", "min_score"), [(0.3, 0.9), (2.0, 0.5), (0.0, 0.99)])
def test_groups_of_several_blocks_and_matrices_are_the_same(spread: float, min_score: float) -> None:
    random = np.random.default_rng(3)
    centres = random.normal(size=(900, 96))
    rows = unit(centres[random.integers(0, 900, 3000)] + spread * random.normal(size=(3000, 96)))
    rows = rows.astype(np.float16)
    ids = random.permutation(5000)[:3000]
    holes = ids.copy()
    holes[::7] = -1
    order = random.permutation(holes[holes >= 0])
    parts = [slice(0, 10), slice(10, 2100), slice(2100, 3000)]
    found = near_groups(
        [holes[part] for part in parts], [rows[part] for part in parts], min_score=min_score, order=order
    )
    alive = holes >= 0
    slow = slow_groups(holes[alive], rows[alive], order.tolist(), min_score)
    assert [(sorted(ids), scores) for ids, scores in as_lists(found)] == [
        (sorted(ids), scores) for ids, scores in slow
    ]


def test_a_chain_of_neighbours_is_not_one_group() -> None:
    angles = np.deg2rad([0, 10, 20, 30, 40, 50])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = as_lists(near_groups(np.arange(6), rows, min_score=float(np.cos(np.deg2rad(12)))))
    assert [ids for ids, _ in found] == [[0, 1], [2, 3], [4, 5]]


def test_the_order_says_who_is_joined_and_who_is_left_out() -> None:
    rows = unit(np.array([[1, 0, 0], [1, 0.1, 0], [1, 0.2, 0], [0, 0, 1]], np.float32))
    names = np.array([7, 8, 9, 5])
    ((ids, scores),) = near_groups(names, rows, min_score=0.99, order=np.array([8, 9, 7]))
    assert ids[0] == 8
    assert set(ids.tolist()) == {7, 8, 9}
    assert scores[0] == 1
    assert (np.diff(scores) <= 0).all()
    ((ids, _),) = near_groups(names, rows, min_score=0.9, order=np.array([7, 9]))
    assert ids.tolist() == [7, 9]


def test_vectors_of_different_kinds_do_not_join_each_other() -> None:
    rows = np.tile(unit(np.ones((1, 4), np.float32)), (7, 1))
    kinds = np.array([0, 1, -1, 1, 0, 2, -1])
    found = as_lists(near_groups(np.arange(7), rows, min_score=0.9, kinds=kinds))
    assert [ids for ids, _ in found] == [[0, 2, 4, 6], [1, 3]]


def test_ten_thousand_equal_vectors_are_one_group_told_evenly() -> None:
    rows = np.tile(unit(np.ones((1, 16), np.float32)), (10_000, 1))
    told: list[tuple[int, int]] = []
    ((ids, scores),) = near_groups(
        np.arange(10_000), rows, min_score=0.9, report=lambda done, total: told.append((done, total))
    )
    assert ids.tolist() == list(range(10_000))
    assert scores.min() >= 0.99
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (10_000, 10_000)


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="an id comes twice"):
        near_groups(np.array([1, 1]), np.eye(2, dtype=np.float32), min_score=0.9)
