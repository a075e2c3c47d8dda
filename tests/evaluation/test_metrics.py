"""Every metric against its definition, written out slowly, and against small cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna import errors, evaluation
from sterna.evaluation import METRICS, Protocol, Ranking, Relevance, measure, rank, rank_both_ways, report
from tests.evaluation import slow

# Whole numbers: products and sums are exact however they are blocked, and ties are frequent.
_numbers = st.sampled_from([-2.0, -1.0, 0.0, 1.0, 1.0, 2.0, math.nan])
_grades = st.sampled_from([1.0, 1.0, 2.0, 3.0, 0.5])


@st.composite
def _case(
    draw: st.DrawFn,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, list[dict[int, float]]]]:
    images = draw(st.integers(1, 9))
    owners = draw(st.lists(st.integers(0, images - 1), min_size=1, max_size=14))
    rows = st.lists(_numbers, min_size=2, max_size=2)
    image_vectors = np.array(draw(st.lists(rows, min_size=images, max_size=images)), np.float32)
    text_vectors = np.array(draw(st.lists(rows, min_size=len(owners), max_size=len(owners))), np.float32)
    right: dict[str, list[dict[int, float]]] = {}
    for way, asks, gallery in (("i2t", images, len(owners)), ("t2i", len(owners), images)):
        judged = st.dictionaries(st.integers(0, gallery - 1), _grades, max_size=gallery)
        right[way] = draw(st.lists(judged, min_size=asks, max_size=asks))
        right[way][0] = right[way][0] or {0: 1.0}
    return image_vectors, text_vectors, np.array(owners), right


@settings(max_examples=80, deadline=None)
@given(
    case=_case(),
    block=st.integers(1, 20),
    at=st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True),
    lowest=st.sampled_from([None, None, -3.0, 0.0, 1.0, 2.5]),
)
def test_every_figure_is_that_of_its_definition(
    case: tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, list[dict[int, float]]]],
    block: int,
    at: list[int],
    lowest: float | None,
) -> None:
    images, captions, owners, right = case
    relevance = {
        "i2t": Relevance.of(right["i2t"], gallery=len(captions)),
        "t2i": Relevance.of(right["t2i"], gallery=len(images)),
    }
    ranks = rank_both_ways(
        images,
        captions,
        owners,
        block=block,
        relevance=relevance,
        min_score=lowest,
        top=4,  # type: ignore[arg-type]
    )
    protocol = Protocol(at=tuple(at), metrics=tuple(METRICS), min_score=lowest)
    found = report(ranks, bootstrap=0, protocol=protocol)
    for way, queries, gallery in (("i2t", images, captions), ("t2i", captions, images)):
        asked = [place for place, grades in enumerate(right[way]) if grades]
        lists = [_slow_list(queries[place], gallery, right[way][place], lowest) for place in asked]
        graded = [right[way][place] for place in asked]
        expected = slow.metrics_of(lists, graded, len(gallery), at)
        figures = getattr(found, way).values
        assert set(figures) == set(expected)
        for name, value in expected.items():
            assert figures[name] == pytest.approx(value), f"{way}.{name}"
        _check_ranking(getattr(ranks, way), asked, lists, graded)


def _slow_list(
    query: np.ndarray, gallery: np.ndarray, grades: Mapping[int, float], lowest: float | None
) -> list[int]:
    scores = slow.scores_of(query, gallery)
    kept = [math.nan if lowest is not None and score < lowest else score for score in scores]
    return slow.listed(kept, grades)


def _check_ranking(
    ranking: Ranking, asked: list[int], lists: list[list[int]], graded: list[dict[int, float]]
) -> None:
    assert ranking.queries is not None
    assert ranking.answers is not None
    assert ranking.grades is not None
    assert ranking.top is not None
    assert ranking.queries.tolist() == asked
    for number, (answers, grades) in enumerate(zip(lists, graded, strict=True)):
        mine = slice(ranking.offsets[number], ranking.offsets[number + 1])
        ids = ranking.answers[mine].tolist()
        places = {answer: place for place, answer in enumerate(answers)}
        assert sorted(ids) == sorted(grades)
        # items that tie and are as right as each other may stand in each other's place
        expected = sorted(places.get(answer, ranking.gallery) for answer in grades)
        assert ranking.ranks[mine].tolist() == expected
        assert [grades[answer] for answer in ids] == ranking.grades[mine].tolist()
        top = [answer for answer in ranking.top[number].tolist() if answer >= 0]
        assert [grades.get(answer, 0) for answer in top] == [grades.get(answer, 0) for answer in answers[:4]]


def _one(ranks: list[int], *, gallery: int = 20, grades: list[float] | None = None) -> Ranking:
    return Ranking(
        ranks=np.array(ranks),
        offsets=np.array([0, len(ranks)]),
        images=np.array([0]),
        gallery=gallery,
        grades=None if grades is None else np.array(grades, dtype=float),
    )


@pytest.mark.parametrize(
    ("name", "cutoff", "expected"),
    [
        ("hits", 1, 0),
        ("hits", 2, 1),
        ("recall", 2, 1 / 3),
        ("recall", 5, 2 / 3),
        ("precision", 2, 1 / 2),
        ("precision", 5, 2 / 5),
        ("precision", 100, 3 / 100),
        ("f1", 2, 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
        ("f1", 1, 0),
        ("map", 4, (1 / 2) / 3),
        ("map", 5, (1 / 2 + 2 / 5) / 3),
        ("map", 100, (1 / 2 + 2 / 5 + 3 / 12) / 3),
        ("average_precision", 0, (1 / 2 + 2 / 5 + 3 / 12) / 3),
        ("map_at_r", 0, (1 / 2) / 3),
        ("r_precision", 0, 1 / 3),
        ("first_tier", 0, 1 / 3),
        ("second_tier", 0, 2 / 3),
        ("nearest_neighbour", 0, 0),
        ("mrr", 0, 1 / 2),
        ("mean_rank", 0, 2),
        ("median_rank", 0, 2),
    ],
)
def test_a_query_whose_right_answers_are_second_fifth_and_twelfth(
    name: str, cutoff: int, expected: float
) -> None:
    assert METRICS[name].values(_one([1, 4, 11]), cutoff).tolist() == pytest.approx([expected])


def test_graded_gain_is_exponential_and_discounted_by_rank() -> None:
    ranking = _one([0, 2, 3], grades=[1, 3, 2])
    gained = 1 / math.log2(2) + 7 / math.log2(4) + 3 / math.log2(5)
    best = 7 / math.log2(2) + 3 / math.log2(3) + 1 / math.log2(4)
    assert METRICS["ndcg"].values(ranking, 10).tolist() == pytest.approx([gained / best])
    assert METRICS["ndcg"].values(ranking, 1).tolist() == pytest.approx([1 / 7])
    assert METRICS["ndcg"].values(ranking, 3).tolist() == pytest.approx([(1 + 7 / 2) / best])


def test_what_is_never_found_counts_as_one_past_the_last_and_finds_nothing() -> None:
    ranking = _one([20], gallery=20)
    at = {name: 50 if metric.at else 0 for name, metric in METRICS.items() if name != "returned"}
    values = {name: METRICS[name].values(ranking, cutoff)[0] for name, cutoff in at.items()}
    assert values.pop("mean_rank") == values.pop("median_rank") == 21
    assert set(values.values()) == {0}


def test_of_equal_answers_the_less_right_comes_first() -> None:
    relevance = Relevance.of([{0: 3, 1: 1, 2: 2}], gallery=4)
    ranking = rank(np.ones((1, 2)), np.ones((4, 2)), relevance, images=np.array([0]), top=4)
    assert ranking.ranks.tolist() == [1, 2, 3]
    assert ranking.answers is not None
    assert ranking.answers.tolist() == [1, 2, 0]
    assert ranking.top is not None
    assert ranking.top.tolist() == [[3, 1, 2, 0]]
    assert rank(np.ones((1, 2)), np.ones((4, 2)), relevance, images=np.array([0])).top is None
    assert rank_both_ways(np.ones((1, 2)), np.ones((4, 2)), np.zeros(4, int)).i2t.top is None


@pytest.mark.parametrize("several", [1, 5, 63, 64, 65, 300])
def test_any_number_of_right_answers_is_ranked_alike(several: int) -> None:
    random = np.random.default_rng(several)
    gallery = random.integers(-3, 4, size=(400, 3)).astype(np.float32)
    gallery[random.integers(0, 400, 10)] = np.nan
    queries = random.integers(-3, 4, size=(3, 3)).astype(np.float32)
    right = [
        set(random.permutation(400)[:several].tolist()),
        {1, 2},
        set(random.permutation(400)[:several].tolist()),
    ]
    ranking = rank(queries, gallery, Relevance.of(right, gallery=400), images=np.arange(3))
    for query, part, items in zip(
        queries, np.split(ranking.ranks, ranking.offsets[1:-1]), right, strict=True
    ):
        assert part.tolist() == slow.ranks_of(slow.scores_of(query, gallery), items)


def test_figures_are_named_by_metric_and_cut_off_and_only_those_chosen_are_reported() -> None:
    ranks = rank_both_ways(np.eye(4), np.eye(4), np.arange(4))
    found = report(ranks, bootstrap=20, protocol=Protocol(metrics=("map", "mrr"), at=(2, 7)))
    assert list(found.i2t.values) == ["map.2", "map.7", "mrr"]
    assert found.i2t.as_json() == {"map": {"2": 1.0, "7": 1.0}, "mrr": 1.0}
    assert found.rsum == 600
    assert found.i2t.hits == {}


def test_unknown_metrics_and_cut_offs_are_refused() -> None:
    with pytest.raises(errors.UsageError, match="metric='hit' is not known; known: average_precision, f1"):
        Protocol(metrics=("hit",))
    with pytest.raises(errors.UsageError, match=r"cut-offs \[0, 5\]; whole numbers from 1"):
        Protocol(at=(0, 5))
    with pytest.raises(errors.UsageError, match=r"cut-offs \[\]; whole numbers from 1"):
        Protocol(at=())


def test_a_cut_off_hides_answers_and_tells_how_many_are_left() -> None:
    images = np.eye(3)
    captions = np.array([[0.9, 0.1, 0], [0.2, 0.4, 0.3], [0, 0, 0.6]])
    found = measure(images, captions, np.arange(3), protocol=Protocol(min_score=0.5), bootstrap=0)
    assert found.ranks.t2i.ranks.tolist() == [0, 3, 0]
    assert found.t2i.values["returned"] == pytest.approx(2 / 3)
    assert found.t2i.hits[10] == pytest.approx(2 / 3)
    assert found.min_score == 0.5
    same = measure(images, captions, np.arange(3), protocol=Protocol(max_distance=0.5), bootstrap=0)
    assert same.as_json() == found.as_json()
    exactly = measure(images, captions, np.arange(3), protocol=Protocol(min_score=0.6), bootstrap=0)
    assert exactly.ranks.t2i.ranks.tolist() == [0, 3, 0]


def test_a_distance_is_that_of_the_score() -> None:
    images, captions = np.array([[1.0, 0], [0, 1]]), np.array([[1.0, 0.5], [0, 2]])
    found = measure(
        images, captions, np.arange(2), score="order", protocol=Protocol(max_distance=0.5), bootstrap=0
    )
    assert (found.score, found.min_score) == ("order", -0.5)
    assert found.ranks.t2i.ranks.tolist() == [0, 2]

    def mine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first @ second.T

    with pytest.raises(errors.UsageError, match="'mine' has no distance"):
        measure(images, captions, np.arange(2), score=mine, protocol=Protocol(max_distance=0.5))
    with pytest.raises(errors.UsageError, match="score='cosine' is not known; known: dot, order"):
        measure(images, captions, np.arange(2), score="cosine")
    with pytest.raises(errors.UsageError, match="not both"):
        Protocol(min_score=1, max_distance=1)
    for limit in ("min_score", "max_distance"):
        for value in (math.nan, math.inf):
            with pytest.raises(errors.UsageError, match=f"{limit} is {value:g}; a finite number is needed"):
                Protocol(**{limit: value})  # type: ignore[arg-type]


def test_relevance_that_does_not_fit_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="right answers reach from 0 to 4; the gallery has 4 items"):
        Relevance.of([{0, 4}], gallery=4)
    relevance = Relevance.of([{0}], gallery=4)
    with pytest.raises(
        errors.UsageError, match="relevance of 1 queries in a gallery of 4 does not fit 2 queries"
    ):
        rank(np.eye(4)[:2], np.eye(4), relevance, images=np.arange(2))


def test_grades_of_zero_are_not_right() -> None:
    relevance = Relevance.of([{0: 0.0, 1: 2.0}, {2: 0.0}], gallery=3)
    assert relevance.answers.tolist() == [1]
    assert relevance.asked.tolist() == [0]


def test_every_metric_has_an_entry_in_the_docs() -> None:
    from tests.test_docs import ROOT

    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name in evaluation.METRICS:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize("grade", [1000, 1e9, math.inf, math.nan])
def test_grades_whose_gain_is_no_number_are_refused(grade: float) -> None:
    with pytest.raises(errors.UsageError, match="the grade .*; a number above 0 and below 1000"):
        Relevance.of([{0: grade, 1: 1.0}], gallery=2)


@pytest.mark.parametrize("grade", [1e-300, 1e-17, 0.5, 999.9])
def test_the_gain_of_any_other_grade_is_above_0(grade: float) -> None:
    relevance = {"t2i": Relevance.of([{0: grade}, {1: grade}], gallery=2)}
    found = measure(
        np.eye(2), np.eye(2), np.arange(2), relevance=relevance, grades=grade * np.eye(2), bootstrap=0
    )
    assert found.t2i.values["ndcg.1"] == found.t2i.values["ndcg_found.1"] == 1
    assert found.graded is not None
    assert found.graded["ndcg_found"][1] == 1


def test_right_answers_are_whole_numbers() -> None:
    for right in ([0.7], [True, False], [10**30]):
        with pytest.raises(errors.UsageError, match="right answers are .*; whole numbers are needed"):
            Relevance.of([right], gallery=4)  # type: ignore[list-item]


def test_cut_offs_are_whole_numbers() -> None:
    for at in ((1.5,), (True,)):
        with pytest.raises(errors.UsageError, match="whole numbers from 1"):
            Protocol(at=at)  # type: ignore[arg-type]
    assert Protocol(at=(np.int64(3),)).at == (3,)  # type: ignore[arg-type]
    with pytest.raises(errors.UsageError, match="whole numbers from 1"):
        evaluation.graded_ndcg(np.eye(2), np.eye(2), np.eye(2), at=(1.5,))  # type: ignore[arg-type]
    with pytest.raises(errors.UsageError, match="top=-1; a whole number is needed"):
        Protocol(top=-1)


def test_vectors_are_real_numbers() -> None:
    for kind in (complex, object, str):
        with pytest.raises(errors.UsageError, match="image vectors are .*; real numbers are needed"):
            rank_both_ways(np.eye(2).astype(kind), np.eye(2), np.arange(2))
    assert rank_both_ways(np.eye(2, dtype=int), np.eye(2), np.arange(2)).t2i.ranks.tolist() == [0, 0]
