"""Held against ir_measures, which computes with trec_eval and its own code."""

from __future__ import annotations

import numpy as np
import pytest

from sterna.evaluation import rank_both_ways, report

ir_measures = pytest.importorskip("ir_measures")


def test_figures_are_those_of_ir_measures() -> None:
    random = np.random.default_rng(3)
    images = random.normal(size=(60, 8)).astype(np.float32)
    owners = np.sort(random.integers(0, 60, 150))
    captions = (images[owners] + 1.2 * random.normal(size=(150, 8))).astype(np.float32)
    found = report(rank_both_ways(images, captions, owners), bootstrap=0)
    similarities = images @ captions.T
    asked = sorted(set(owners.tolist()))
    runs = {
        "i2t": {f"i{i}": {f"c{c}": float(similarities[i, c]) for c in range(150)} for i in asked},
        "t2i": {f"c{c}": {f"i{i}": float(similarities[i, c]) for i in range(60)} for c in range(150)},
    }
    right = {
        "i2t": {f"i{i}": {f"c{c}": 1 for c in np.flatnonzero(owners == i)} for i in asked},
        "t2i": {f"c{c}": {f"i{owners[c]}": 1} for c in range(150)},
    }
    for way, figures in (("i2t", found.i2t), ("t2i", found.t2i)):
        hits = {cutoff: ir_measures.Success @ cutoff for cutoff in (1, 5, 10)}
        recall = {cutoff: ir_measures.R @ cutoff for cutoff in (1, 5, 10)}
        theirs = ir_measures.calc_aggregate(
            [*hits.values(), *recall.values(), ir_measures.RR], right[way], runs[way]
        )
        assert figures.hits == pytest.approx({cutoff: theirs[hits[cutoff]] for cutoff in hits})
        assert figures.recall == pytest.approx({cutoff: theirs[recall[cutoff]] for cutoff in recall})
        assert figures.mrr == pytest.approx(theirs[ir_measures.RR])
