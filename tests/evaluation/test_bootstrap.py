from __future__ import annotations

import numpy as np
import pytest

from sterna import errors
from sterna.evaluation import Ranks, paired_bootstrap, rank_both_ways, report, rsum


def _ranks(seed: int, *, images: int = 120, noise: float = 1.0, uneven: bool = True) -> Ranks:
    data, own = np.random.default_rng(100), np.random.default_rng(seed)
    vectors = data.normal(size=(images, 8))
    owners = data.integers(0, images, 4 * images) if uneven else np.repeat(np.arange(images), 4)
    return rank_both_ways(vectors, vectors[owners] + noise * own.normal(size=(len(owners), 8)), owners)


def _slow_draw(ranks: Ranks, drawn: np.ndarray) -> dict[str, float]:
    """The figures of a draw of images, each query repeated as often as its image was drawn."""
    found = {}
    for way, ranking in (("i2t", ranks.i2t), ("t2i", ranks.t2i)):
        each = np.split(ranking.ranks, ranking.offsets[1:-1])
        chosen = [each[q] for image in drawn for q in np.flatnonzero(ranking.images == image)]
        first = np.array([query[0] for query in chosen])
        for cutoff in (1, 5, 10):
            found[f"{way}.hits.{cutoff}"] = float(np.mean(first < cutoff))
            found[f"{way}.recall.{cutoff}"] = float(np.mean([np.mean(query < cutoff) for query in chosen]))
        found[f"{way}.median_rank"] = float(np.median(first + 1))
        found[f"{way}.mean_rank"] = float(np.mean(first + 1))
        found[f"{way}.mrr"] = float(np.mean(1 / (first + 1)))
        if way == "t2i":  # of one right answer each
            above = 1 / np.log2(first[first < 10] + 2)
            found["t2i.ndcg_found.10"] = float(above.mean()) if len(above) else 0.0
    found["rsum"] = 100 * sum(
        found[f"{way}.hits.{cutoff}"] for way in ("i2t", "t2i") for cutoff in (1, 5, 10)
    )
    return found


def test_intervals_are_those_of_images_drawn_one_by_one() -> None:
    ranks = _ranks(0, images=30)
    random = np.random.default_rng(7)
    draws = [_slow_draw(ranks, random.integers(0, 30, 30)) for _ in range(60)]
    found = report(ranks, bootstrap=60, seed=7).intervals
    assert set(found) >= set(draws[0])
    for name, interval in ((name, found[name]) for name in draws[0]):
        assert interval == pytest.approx(np.percentile([draw[name] for draw in draws], [2.5, 97.5])), name


def test_an_interval_surrounds_its_figure_and_its_seed_decides_it() -> None:
    ranks = _ranks(0)
    one = report(ranks, seed=1)
    assert one.intervals == report(ranks, seed=1).intervals
    assert one.intervals != report(ranks, seed=2).intervals
    low, high = one.intervals["rsum"]
    assert low < one.rsum < high
    assert all(low <= high for low, high in one.intervals.values())


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = np.mean([rsum(_ranks(seed, images=60, uneven=False)) for seed in range(40)])
    found = [
        report(_ranks(seed, images=60, uneven=False), bootstrap=200).intervals["rsum"] for seed in range(40)
    ]
    assert sum(low <= truth <= high for low, high in found) >= 34


def test_no_draws_give_no_intervals() -> None:
    assert report(_ranks(0), bootstrap=0).intervals == {}


def test_draws_without_any_query_are_left_out() -> None:
    ranks = rank_both_ways(np.eye(5), np.eye(5)[:1], np.array([0]))
    found = report(ranks, bootstrap=200)
    assert found.intervals["rsum"] == (600.0, 600.0)
    assert not np.isnan([*found.intervals.values()]).any()


def test_two_models_are_compared_on_the_same_draws() -> None:
    better, worse = _ranks(0, noise=0.6), _ranks(1, noise=1.2)
    found = paired_bootstrap(better, worse)
    assert found.rsum == pytest.approx(rsum(better) - rsum(worse))
    assert 0 < found.interval[0] < found.rsum < found.interval[1]
    same = paired_bootstrap(better, better)
    assert (same.rsum, same.interval) == (0, (0, 0))
    turned = paired_bootstrap(worse, better)
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_models_measured_on_other_data_are_not_compared() -> None:
    with pytest.raises(errors.UsageError, match="not measured on the same images and captions"):
        paired_bootstrap(_ranks(0), _ranks(0, images=100))
    with pytest.raises(errors.UsageError, match="not measured on the same images and captions"):
        paired_bootstrap(_ranks(0), _ranks(0, uneven=False))
    with pytest.raises(errors.UsageError, match="bootstrap is 0; at least 1 draw is needed"):
        paired_bootstrap(_ranks(0), _ranks(0), bootstrap=0)
