"""Held against what the paper's code and the re-implementation gave on the same vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sterna.evaluation import Protocol, Ranks, Relevance, graded_ndcg, measure, rank_both_ways, report


class Golden(NamedTuple):
    images: np.ndarray
    captions: np.ndarray
    grades: np.ndarray
    ranks: np.ndarray
    figures: dict[str, float]

    @property
    def owners(self) -> np.ndarray:
        return np.arange(len(self.captions)) // 5

    @property
    def ours(self) -> Ranks:
        return rank_both_ways(self.images, self.captions, self.owners)


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(shared / "golden" / "paper_evaluation.safetensors", "np") as file:
        return Golden(
            images=file.get_tensor("image_embeddings"),
            captions=file.get_tensor("text_embeddings"),
            grades=file.get_tensor("relevance"),
            ranks=file.get_tensor("t2i_ranks_zero_based"),
            figures=json.loads(file.metadata()["t2i"]),
        )


@pytest.fixture(scope="module")
def seed_metrics(shared: Path) -> dict[str, dict[str, float]]:
    metrics: dict[str, dict[str, float]] = json.loads((shared / "golden" / "seed_metrics.json").read_text())[
        "metrics"
    ]
    return metrics


def test_ranks_are_the_papers(golden: Golden) -> None:
    assert golden.ours.t2i.ranks.tolist() == golden.ranks.tolist()


def test_figures_are_the_papers(golden: Golden) -> None:
    found, figures = report(golden.ours, bootstrap=0).t2i, golden.figures
    assert [100 * found.hits[cutoff] for cutoff in (1, 5, 10)] == pytest.approx(
        [figures["r1"], figures["r5"], figures["r10"]]
    )
    assert (found.median_rank, found.mean_rank) == pytest.approx((figures["medr"], figures["meanr"]))
    # counted from 1: the same figures of its zero-based ranks, and one
    assert found.median_rank == np.floor(np.median(golden.ranks)) + 1
    assert found.mean_rank == pytest.approx(golden.ranks.mean() + 1)


def test_ndcg_by_a_matrix_of_grades_is_the_papers(golden: Golden) -> None:
    values = graded_ndcg(golden.images, golden.captions, golden.grades, at=(25,))[25]
    assert values.min() > 0  # so that leaving out queries of 0 changes nothing here
    assert values.mean() == pytest.approx(golden.figures["ndcg25"], abs=1e-6)
    found = measure(
        golden.images,
        golden.captions,
        golden.owners,
        grades=golden.grades,
        protocol=Protocol(at=(25,)),
        bootstrap=0,
    )
    assert found.graded is not None
    expected = pytest.approx(golden.figures["ndcg25"], abs=1e-6)
    assert found.graded == {"ndcg": {25: expected}, "ndcg_found": {25: expected}}


def test_ndcg_by_lists_is_that_by_a_matrix(golden: Golden) -> None:
    right = [dict(enumerate(row.tolist())) for row in golden.grades]
    relevance = Relevance.of(right, gallery=len(golden.images))
    ranks = rank_both_ways(golden.images, golden.captions, golden.owners, relevance={"t2i": relevance})
    found = report(ranks, bootstrap=0, protocol=Protocol(at=(25,), metrics=("ndcg",))).t2i
    assert found.at("ndcg")[25] == pytest.approx(golden.figures["ndcg25"], abs=1e-6)


def test_recall_nearest_neighbour_and_f1_are_the_reimplementations(
    golden: Golden, seed_metrics: dict[str, dict[str, float]]
) -> None:
    found = report(golden.ours, bootstrap=0)
    for way, figures in (("i2t", found.i2t), ("t2i", found.t2i)):
        theirs = seed_metrics[way]
        assert figures.recall == pytest.approx(
            {cutoff: theirs[f"R@{cutoff}"] for cutoff in (1, 5, 10)}, abs=5e-5
        )  # it was rounded to four places
        assert figures.hits[1] == figures.values["nearest_neighbour"] == pytest.approx(theirs["NN"], abs=5e-5)
        assert figures.values["f1.10"] == pytest.approx(theirs["F1@10"], abs=5e-5)


def test_average_precision_is_the_reimplementations_divided_by_what_is_right(
    golden: Golden, seed_metrics: dict[str, dict[str, float]]
) -> None:
    found = report(golden.ours, bootstrap=0)
    assert found.i2t.values["map.10"] == pytest.approx(seed_metrics["i2t"]["MAP@10"] / 5, abs=5e-5)
    assert found.t2i.values["map.10"] == pytest.approx(seed_metrics["t2i"]["MAP@10"], abs=5e-5)


def test_tiers_are_the_standard_ones_and_not_the_reimplementations(
    golden: Golden, seed_metrics: dict[str, dict[str, float]]
) -> None:
    found = report(golden.ours, bootstrap=0)
    for ranking, figures in ((golden.ours.i2t, found.i2t), (golden.ours.t2i, found.t2i)):
        each = np.split(ranking.ranks, ranking.offsets[1:-1])
        for name, times in (("first_tier", 1), ("second_tier", 2)):
            expected = np.mean([np.mean(ranks < times * len(ranks)) for ranks in each])
            assert figures.values[name] == pytest.approx(expected)
    assert found.i2t.values["first_tier"] == found.i2t.recall[5]
    assert found.i2t.values["second_tier"] == found.i2t.recall[10]
    assert found.t2i.values["first_tier"] == found.t2i.hits[1]
    assert found.i2t.values["first_tier"] != pytest.approx(seed_metrics["i2t"]["FT"], abs=1e-3)


def test_queries_that_score_nothing_part_the_two_conventions_of_ndcg() -> None:
    images = np.eye(3)
    grades = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, 0, 0]])
    captions = np.array([[3.0, 2, 1], [3.0, 2, 1], [3.0, 2, 1]])
    found = measure(images, captions, np.arange(3), grades=grades, protocol=Protocol(at=(1, 3)), bootstrap=0)
    # the first caption finds its image, the second has it last, the third has none that is right
    assert found.graded is not None
    assert found.graded["ndcg"] == pytest.approx({1: 1 / 2, 3: (1 + 1 / 2) / 2})
    assert found.graded["ndcg_found"] == pytest.approx({1: 1, 3: (1 + 1 / 2) / 2})
    nothing = measure(
        images, captions, np.arange(3), grades=0 * grades, protocol=Protocol(at=(1,)), bootstrap=0
    )
    assert nothing.graded == {"ndcg": {1: 0}, "ndcg_found": {1: 0}}
