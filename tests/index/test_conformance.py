"""Every index is held to the same promises, against a dictionary and a loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sterna.index
from sterna.errors import UsageError
from sterna.index import KINDS, Index, build_index

NOBODY = np.empty(0, np.int64)
Make = Callable[..., Index]


@pytest.fixture(params=sorted(KINDS), scope="module")
def make(request: pytest.FixtureRequest) -> Make:
    def build(dim: int, *, dtype: type = np.float32) -> Index:
        return build_index(NOBODY, np.empty((0, dim), dtype), kind=request.param)

    build.kind = request.param  # type: ignore[attr-defined]
    return build


def unit(count: int, dim: int, *, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def oracle(
    known: dict[int, np.ndarray], query: np.ndarray, k: int, allow: set[int] | None = None
) -> tuple[list[float], list[int]]:
    """Score everything, sort by score and id, cut, pad."""
    scored = []
    for name, vector in known.items():
        if allow is None or name in allow:
            score = sum(float(a) * float(b) for a, b in zip(query, vector, strict=True))
            scored.append((-np.float32(score), name))
    scored = sorted(scored)[:k]
    rest = k - len(scored)
    return [float(-s) for s, _ in scored] + [-np.inf] * rest, [name for _, name in scored] + [-1] * rest


# small whole numbers: every score is exact, and equal scores are frequent
VECTOR = st.lists(st.integers(-3, 3), min_size=4, max_size=4)
STEP = st.one_of(
    st.tuples(st.just("upsert"), st.lists(st.tuples(st.integers(0, 30), VECTOR), max_size=12)),
    st.tuples(st.just("delete"), st.lists(st.integers(0, 30), max_size=6)),
    st.tuples(
        st.just("search"),
        st.tuples(
            st.lists(VECTOR, min_size=1, max_size=3),
            st.integers(1, 40),
            st.none() | st.lists(st.integers(0, 40), max_size=20),
        ),
    ),
)


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(STEP, max_size=12), half=st.booleans())
def test_any_history_answers_like_a_dictionary(make: Make, steps: list, half: bool) -> None:
    dtype = np.float16 if half else np.float32
    index = make(4, dtype=dtype)
    known: dict[int, np.ndarray] = {}
    for kind, what in [*steps, ("search", ([[1, 2, -1, 0]], 7, None))]:
        if kind == "upsert":
            ids = np.array([name for name, _ in what], np.int64)
            index.upsert(ids, np.array([v for _, v in what], dtype).reshape(-1, 4))
            known.update({name: np.array(vector) for name, vector in what})
        elif kind == "delete":
            gone = set(what) & set(known)
            assert index.delete(np.array(what, np.int64)) == len(gone)
            known = {name: vector for name, vector in known.items() if name not in gone}
        else:
            queries, k, allow = what
            allowed = None if allow is None else np.array(allow, np.int64)
            scores, ids = index.search(np.array(queries, np.float32), k, allow=allowed)
            assert scores.dtype == np.float32
            assert ids.dtype == np.int64
            for number, query in enumerate(queries):
                expected = oracle(known, np.array(query), k, None if allow is None else set(allow))
                assert (scores[number].tolist(), ids[number].tolist()) == expected
        assert index.count() == len(known)
    ids, vectors = index.snapshot()
    assert ids.tolist() == sorted(known)
    assert vectors.dtype == dtype
    assert all((vector == known[name]).all() for name, vector in zip(ids.tolist(), vectors, strict=True))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("queries", [1, 3, 40])
def test_thousands_of_vectors_are_ranked_as_a_full_sort_does(make: Make, dtype: type, queries: int) -> None:
    vectors = unit(9_000, 24).astype(dtype)
    ids = np.random.default_rng(1).permutation(20_000)[:9_000].astype(np.int64)
    index = build_index([ids[:5_000], ids[5_000:]], [vectors[:5_000], vectors[5_000:]], kind=make.kind)
    asked = unit(queries, 24, seed=2)
    scores, found = index.search(asked, 50)
    exact = asked.astype(np.float64) @ vectors.astype(np.float64).T
    for number in range(queries):
        order = np.argsort(-exact[number])[:50]
        assert found[number].tolist() == ids[order].tolist()
        assert np.allclose(scores[number], exact[number][order], atol=1e-7)


@pytest.mark.parametrize("queries", [1, 20])
def test_scores_that_are_all_tiny_are_ranked_exactly(make: Make, queries: int) -> None:
    """No photograph has anything to do with the query: what terms round to is larger than the scores."""
    random = np.random.default_rng(0)
    query = unit(1, 256, seed=7)[0].astype(np.float64)
    vectors = unit(4_000, 256).astype(np.float64)
    vectors -= np.outer(vectors @ query, query)
    vectors += np.outer(random.standard_normal(4_000) * 1e-7, query)
    vectors = vectors.astype(np.float32)
    asked = np.tile(query.astype(np.float32), (queries, 1)) * np.float32(3)
    _, found = build_index(np.arange(4_000), vectors, kind=make.kind).search(asked, 10)
    exact = (vectors.astype(np.float64) * asked[0].astype(np.float64)).sum(axis=1).astype(np.float32)
    assert found.tolist() == [np.lexsort((np.arange(4_000), -exact))[:10].tolist()] * queries


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rows_that_are_added_later_may_be_longer_than_those_before(make: Make, dtype: type) -> None:
    vectors = unit(5_000, 32).astype(dtype)
    index = build_index(np.arange(5_000), vectors / 64, kind=make.kind)
    index.upsert(np.arange(5_000, 10_000), vectors * 64)
    known = dict(enumerate(np.concatenate([vectors / 64, vectors * 64])))
    scores, ids = index.search(vectors[:1], 20)
    expected = oracle(known, vectors[0], 20)
    assert ids[0].tolist() == expected[1]
    assert np.allclose(scores[0], expected[0], rtol=1e-6)


def test_searches_and_writes_go_on_side_by_side_and_a_search_sees_whole_writes(make: Make) -> None:
    """Every write moves all of a group of vectors at once: a search finds the group as it was or is."""
    steady = unit(6_000, 16)
    index = build_index(np.arange(6_000), steady, kind=make.kind)
    group = np.arange(6_000, 6_040)
    query = unit(1, 16, seed=8)
    index.upsert(group, np.tile(query * 2, (40, 1)))
    problems: list[str] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            try:
                scores, ids = index.search(query, 40)
                if sorted(ids[0].tolist()) != group.tolist() or len(set(scores[0].tolist())) > 1:
                    problems.append(str(ids[0]))
                index.snapshot()
            except Exception as error:
                problems.append(repr(error))

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for step in range(120):
        index.upsert(group, np.tile(query * (2 + step % 5), (40, 1)))
        new = np.arange(10_000 + 300 * step, 10_300 + 300 * step)  # the tail is sealed on the way
        index.upsert(new, steady[:300])
    done.set()
    for thread in threads:
        thread.join()
    assert problems == []


def test_searches_do_not_wait_for_one_another(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    index = build_index(np.arange(10), unit(10, 8), kind=make.kind)
    both = threading.Barrier(2, timeout=10)
    exact = sterna.index._search.exact_scores

    def meet(*arguments: object) -> object:
        both.wait()
        return exact(*arguments)

    monkeypatch.setattr("sterna.index._search.exact_scores", meet)
    thread = threading.Thread(target=index.search, args=(unit(1, 8), 3))
    thread.start()
    index.search(unit(1, 8), 3)
    thread.join()
    assert not both.broken


def test_equal_vectors_come_back_by_ascending_id_however_many_there_are(make: Make) -> None:
    vectors = np.tile(unit(1, 16), (12_000, 1)).astype(np.float16)
    ids = np.random.default_rng(3).permutation(12_000).astype(np.int64)
    index = build_index(ids, vectors, kind=make.kind)
    scores, found = index.search(vectors[:1], 30)
    assert found[0].tolist() == list(range(30))
    assert len(set(scores[0].tolist())) == 1


def test_a_score_does_not_depend_on_the_other_queries_or_vectors(make: Make) -> None:
    vectors = unit(6_000, 32)
    ids = np.arange(6_000)
    queries = unit(40, 32, seed=5)
    whole = build_index(ids, vectors, kind=make.kind)
    together, found = whole.search(queries, 5)
    for number in range(40):
        alone, same = whole.search(queries[number : number + 1], 5)
        assert (alone[0] == together[number]).all()
        assert (same[0] == found[number]).all()
        few = build_index(found[number], vectors[found[number]], kind=make.kind)
        assert (few.search(queries[number : number + 1], 5)[0][0] == together[number]).all()


def test_implementations_agree_to_the_last_bit() -> None:
    vectors = unit(5_000, 20).astype(np.float16)
    answers = [
        build_index(np.arange(5_000), vectors, kind=kind).search(unit(2, 20, seed=9), 25) for kind in KINDS
    ]
    for scores, ids in answers[1:]:
        assert (scores == answers[0][0]).all()
        assert (ids == answers[0][1]).all()


def test_only_allowed_ids_come_back_from_a_large_index(make: Make) -> None:
    vectors = unit(8_000, 16).astype(np.float16)
    index = build_index(np.arange(8_000), vectors, kind=make.kind)
    allow = np.arange(0, 8_000, 2)
    _, ids = index.search(unit(1, 16, seed=4), 20, allow=allow)
    exact = unit(1, 16, seed=4).astype(np.float64)[0] @ vectors[allow].astype(np.float64).T
    assert ids[0].tolist() == allow[np.argsort(-exact)[:20]].tolist()
    nobody, none = index.search(unit(1, 16), 3, allow=NOBODY)
    assert nobody[0].tolist() == [-np.inf] * 3
    assert none[0].tolist() == [-1] * 3


def test_memory_maps_are_searched_where_they_are_and_never_written(make: Make, tmp_path: Path) -> None:
    vectors = unit(6_000, 16).astype(np.float16)
    vectors.tofile(tmp_path / "rows")
    before = (tmp_path / "rows").read_bytes()
    mapped = np.memmap(tmp_path / "rows", np.float16, mode="r", shape=(6_000, 16))
    names = np.arange(6_000)
    names[::3] = -1
    index = build_index(names, mapped, kind=make.kind)
    assert index.count() == 4_000
    index.upsert(np.array([1, 7_000]), np.ones((2, 16), np.float32))
    assert index.delete(np.array([2, 3])) == 1
    assert index.count() == 4_000
    _, ids = index.search(np.ones((1, 16)), 4)
    assert ids[0][:2].tolist() == [1, 7_000]
    assert 2 not in index.search(vectors[2:3], 4_000)[1]
    assert (tmp_path / "rows").read_bytes() == before


def test_a_tail_that_grows_past_its_block_is_found_whole(make: Make) -> None:
    index = make(8)
    vectors = unit(20_000, 8)
    for start in range(0, 20_000, 2_500):
        index.upsert(np.arange(start, start + 2_500), vectors[start : start + 2_500])
    picks = np.array([0, 9_999, 16_383, 16_384, 19_999])
    scores, ids = index.search(vectors[picks], 1)
    assert ids[:, 0].tolist() == picks.tolist()
    assert np.allclose(scores, 1, atol=1e-6)


def test_what_does_not_fit_is_refused_in_a_sentence(make: Make) -> None:
    index = make(4)
    with pytest.raises(UsageError, match=r"queries \[1, 3\] do not fit an index of width 4"):
        index.search(np.ones((1, 3)), 1)
    with pytest.raises(UsageError, match="k=0: at least 1"):
        index.search(np.ones((1, 4)), 0)
    with pytest.raises(UsageError, match=r"ids \[2\] and vectors \[1, 4\] do not fit"):
        index.upsert(np.array([1, 2]), np.ones((1, 4)))
    with pytest.raises(UsageError, match="below zero"):
        index.upsert(np.array([-1]), np.ones((1, 4)))
    with pytest.raises(UsageError, match="not finite"):
        index.upsert(np.array([1]), np.full((1, 4), np.nan))
    assert index.count() == 0


def test_building_names_what_is_wrong() -> None:
    with pytest.raises(UsageError, match="kind='hnsw': no such index; known are auto, faiss, numpy"):
        build_index(NOBODY, np.empty((0, 4), np.float32), kind="hnsw")
    with pytest.raises(UsageError, match="an id comes twice"):
        build_index(np.array([3, 3]), np.ones((2, 4), np.float32))
    with pytest.raises(UsageError, match="int8 cannot be indexed"):
        build_index(np.array([3]), np.ones((1, 4), np.int8))
    with pytest.raises(UsageError, match="needs its ids"):
        build_index(np.array([3]), np.ones((2, 4), np.float32))


def test_the_choice_is_numpy_for_few_vectors_and_faiss_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    for kind, build in list(KINDS.items()):
        monkeypatch.setitem(
            KINDS, kind, lambda rows, kind=kind, build=build: chosen.append(kind) or build(rows)
        )
    build_index(np.arange(10), np.ones((10, 2), np.float16))
    build_index(np.arange(30_000), np.ones((30_000, 2), np.float16))
    assert chosen == ["numpy", "faiss"]


def test_the_door_names_what_is_public() -> None:
    assert len(set(sterna.index.__all__)) == len(sterna.index.__all__)
    assert all(hasattr(sterna.index, name) for name in sterna.index.__all__)
