"""Held against what the paper's code and the re-implementation gave on the same vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sterna.evaluation import Ranks, rank_both_ways, report


@pytest.fixture(scope="module")
def golden(shared: Path) -> tuple[Ranks, np.ndarray, dict[str, float]]:
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(shared / "golden" / "paper_evaluation.safetensors", "np") as file:
        images, captions = file.get_tensor("image_embeddings"), file.get_tensor("text_embeddings")
        expected = file.get_tensor("t2i_ranks_zero_based")
        figures = json.loads(file.metadata()["t2i"])
    return rank_both_ways(images, captions, np.arange(len(captions)) // 5), expected, figures


def test_ranks_are_the_papers(golden: tuple[Ranks, np.ndarray, dict[str, float]]) -> None:
    ranks, expected, _ = golden
    assert ranks.t2i.ranks.tolist() == expected.tolist()


def test_figures_are_the_papers(golden: tuple[Ranks, np.ndarray, dict[str, float]]) -> None:
    ranks, _, figures = golden
    found = report(ranks, bootstrap=0).t2i
    assert [100 * found.hits[cutoff] for cutoff in (1, 5, 10)] == pytest.approx(
        [figures["r1"], figures["r5"], figures["r10"]]
    )
    assert (found.median_rank, found.mean_rank) == pytest.approx((figures["medr"], figures["meanr"]))


def test_recall_is_the_reimplementations(
    shared: Path, golden: tuple[Ranks, np.ndarray, dict[str, float]]
) -> None:
    metrics = json.loads((shared / "golden" / "seed_metrics.json").read_text())["metrics"]
    found = report(golden[0], bootstrap=0)
    for way, figures in (("i2t", found.i2t), ("t2i", found.t2i)):
        expected = {cutoff: metrics[way][f"R@{cutoff}"] for cutoff in (1, 5, 10)}
        assert figures.recall == pytest.approx(expected, abs=5e-5)  # it was rounded to four places
        assert figures.hits[1] == pytest.approx(metrics[way]["NN"], abs=5e-5)
