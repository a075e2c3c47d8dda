"""Held against ir_measures, which computes with trec_eval and its own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.evaluation import (
    Protocol,
    Ranking,
    Ranks,
    Relevance,
    Report,
    evaluate_run,
    rank_both_ways,
    report,
    write_trec,
)

ir_measures = pytest.importorskip("ir_measures")
AT = (1, 3, 5, 10)


def _theirs() -> dict[str, object]:
    """Their measures by the names of ours."""
    m = ir_measures
    return {
        **{f"hits.{k}": m.Success @ k for k in AT},
        **{f"recall.{k}": m.R @ k for k in AT},
        **{f"precision.{k}": m.P @ k for k in AT},
        **{f"map.{k}": m.AP @ k for k in AT},
        **{f"ndcg.{k}": m.nDCG @ k for k in AT},
        "nearest_neighbour": m.P @ 1,
        "average_precision": m.AP,
        "r_precision": m.Rprec,
        "first_tier": m.Rprec,
        "mrr": m.RR,
    }


def _report(ranks: Ranks) -> Report:
    return report(ranks, bootstrap=0, protocol=Protocol(at=AT))


def _right(ranking: Ranking) -> dict[str, dict[str, int]]:
    """What is right with gains for grades: their gain is the grade itself, ours 2^grade - 1."""
    assert ranking.queries is not None
    assert ranking.answers is not None
    assert ranking.grades is not None
    rows = np.repeat(ranking.queries, ranking.counts)
    found: dict[str, dict[str, int]] = {}
    for query, answer, grade in zip(rows, ranking.answers, ranking.grades, strict=True):
        found.setdefault(str(query), {})[str(answer)] = int(2**grade - 1)
    return found


def test_figures_are_those_of_ir_measures() -> None:
    random = np.random.default_rng(3)
    images = random.normal(size=(60, 8)).astype(np.float32)
    owners = np.sort(random.integers(0, 60, 150))
    captions = (images[owners] + 1.2 * random.normal(size=(150, 8))).astype(np.float32)
    ranks = rank_both_ways(images, captions, owners)
    similarities = images @ captions.T
    for way, scores in (("i2t", similarities), ("t2i", similarities.T)):
        run = {
            str(q): {str(g): float(score) for g, score in enumerate(row)}
            for q, row in enumerate(scores)
            if way == "t2i" or q in owners
        }
        _compare(getattr(_report(ranks), way).values, _right(getattr(ranks, way)), run)


def _compare(figures: dict[str, float], right: dict[str, dict[str, int]], run: object) -> None:
    measures = _theirs()
    theirs = ir_measures.calc_aggregate(list(set(measures.values())), right, run)
    for name, measure in measures.items():
        assert figures[name] == pytest.approx(theirs[measure], abs=1e-9), name


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_runs_that_we_write_are_measured_alike_by_ir_measures(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Uneven captions, images without any, grades, ties, and vectors that are not finite."""
    random = np.random.default_rng(seed)
    images = random.integers(-2, 3, (9, 2)).astype(np.float32)
    owners = random.integers(0, 9, 25)
    captions = random.integers(-2, 3, (25, 2)).astype(np.float32)
    captions[random.integers(0, 25)] = np.nan
    graded = [
        dict(zip(random.integers(0, 9, 4).tolist(), random.integers(0, 4, 4).tolist(), strict=True))
        for _ in range(25)
    ]
    relevance = Relevance.of(graded, gallery=9)
    ranks = rank_both_ways(images, captions, owners, relevance={"t2i": relevance}, top=25)
    folder: Path = tmp_path_factory.mktemp("trec")
    write_trec(folder, [ranks])
    for way in ("i2t", "t2i"):
        run = list(ir_measures.read_trec_run(str(folder / f"{way}.run")))
        qrels = list(ir_measures.read_trec_qrels(str(folder / f"{way}.qrels")))
        assert len({(one.query_id, one.doc_id) for one in qrels}) == len(getattr(ranks, way).ranks)
        figures = getattr(_report(ranks), way).values
        _compare(figures, _right(getattr(ranks, way)), run)
        again = evaluate_run(
            folder / f"{way}.run", folder / f"{way}.qrels", protocol=Protocol(at=AT), bootstrap=0
        )
        assert {name: again.figures.values[name] for name in _theirs()} == pytest.approx(
            {name: figures[name] for name in _theirs()}
        )
