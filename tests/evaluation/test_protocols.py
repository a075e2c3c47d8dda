"""Folds, committees, corrections of hubs: each against doing it by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from sterna import errors
from sterna.evaluation import (
    Adjust,
    Bank,
    Hubs,
    Protocol,
    Relevance,
    Way,
    committee,
    measure,
    parse_folds,
    rank_both_ways,
    report,
)
from sterna.scoring import Score, dot, order


def _data(images: int = 30, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Uneven captions in no order."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(images, 6)).astype(np.float32)
    owners = random.permutation(np.concatenate([np.arange(images), random.integers(0, images, 2 * images)]))
    return vectors, (vectors[owners] + random.normal(size=(len(owners), 6))).astype(np.float32), owners


def test_folds_are_the_mean_of_consecutive_images_with_their_own_captions() -> None:
    images, captions, owners = _data()
    found = measure(images, captions, owners, protocol=Protocol(folds=(3, 8)), bootstrap=0)
    assert (found.protocol, found.images) == ("folds:3x8", 24)
    by_hand = []
    for fold in range(3):
        mine = (owners >= 8 * fold) & (owners < 8 * fold + 8)
        ranks = rank_both_ways(images[8 * fold : 8 * fold + 8], captions[mine], owners[mine] - 8 * fold)
        by_hand.append(report(ranks, bootstrap=0))
    assert found.captions == sum(each.captions for each in by_hand)
    assert found.rsum == pytest.approx(np.mean([each.rsum for each in by_hand]))
    for way in ("i2t", "t2i"):
        for name, value in getattr(found, way).values.items():
            assert value == pytest.approx(np.mean([getattr(each, way).values[name] for each in by_hand])), (
                name
            )
    assert len(found.parts) == 3
    with pytest.raises(errors.UsageError, match="the ranks of 3 folds"):
        _ = found.ranks
    assert measure(
        images, captions, owners, protocol=Protocol(folds=(1, 30)), bootstrap=0
    ).rsum == pytest.approx(measure(images, captions, owners, bootstrap=0).rsum)


def test_the_interval_of_folds_surrounds_their_mean_and_is_narrower_than_one_folds() -> None:
    images, captions, owners = _data(120)
    folds = measure(images, captions, owners, protocol=Protocol(folds=(4, 30))).intervals["rsum"]
    one = measure(images, captions, owners, protocol=Protocol(folds=(1, 30))).intervals["rsum"]
    rsum = measure(images, captions, owners, protocol=Protocol(folds=(4, 30)), bootstrap=0).rsum
    assert folds[0] < rsum < folds[1]
    assert folds[1] - folds[0] < 0.8 * (one[1] - one[0])


def test_images_are_drawn_in_each_fold_anew() -> None:
    """Two equal folds are no more alike in their draws than any other two."""
    images, captions, owners = _data(40)
    one = measure(images, captions, owners, bootstrap=200).intervals["rsum"]
    twice = np.vstack([images, images]), np.vstack([captions, captions]), np.append(owners, owners + 40)
    two = measure(*twice, protocol=Protocol(folds=(2, 40)), bootstrap=200).intervals["rsum"]
    assert two[1] - two[0] < 0.9 * (one[1] - one[0])


def test_folds_leave_their_marks_in_what_is_known_of_queries() -> None:
    images, captions, owners = _data(6)
    names = [f"photo {number}" for number in range(6)]
    found = measure(images, captions, owners, protocol=Protocol(folds=(2, 3)), image_ids=names, bootstrap=0)
    assert [list(part.image_ids) for part in found.parts] == [names[:3], names[3:]]


def test_folds_that_cannot_be_are_refused() -> None:
    images, captions, owners = _data()
    with pytest.raises(errors.DataError, match="folds:4x8 needs 32 images; there are 30"):
        measure(images, captions, owners, protocol=Protocol(folds=(4, 8)))
    with pytest.raises(errors.DataError, match="folds:2x2: fold 2 has no captions"):
        measure(np.eye(4), np.eye(4)[:2], np.array([0, 1]), protocol=Protocol(folds=(2, 2)))
    assert parse_folds("full") is None
    assert parse_folds("folds:5x1000") == (5, 1000)
    for text in ("folds", "folds:5", "folds:0x10", "folds:5x1000x2", "folds:ax2", "folds:-1x2"):
        with pytest.raises(errors.UsageError, match="known: full, and folds:FxN such as folds:5x1000"):
            parse_folds(text)
    for folds in ((0, 10), (2.0, 10)):
        with pytest.raises(errors.UsageError, match="at least 1 fold"):
            Protocol(folds=folds)  # type: ignore[arg-type]


def test_relevance_is_cut_to_each_fold() -> None:
    relevance = Relevance.of([{0: 1, 3: 2}, {1: 1}, {2: 1, 0: 1}, {3: 1}], gallery=4)
    part = relevance.within(np.array([2, 3]), np.array([2, 3]))
    assert (part.offsets.tolist(), part.answers.tolist(), part.gallery) == ([0, 1, 2], [0, 1], 2)
    assert relevance.within(np.array([0, 1]), np.array([2, 3])).grades.tolist() == [2]
    found = measure(
        np.eye(4),
        np.eye(4),
        np.arange(4),
        protocol=Protocol(folds=(2, 2)),
        relevance={"t2i": relevance},
        bootstrap=0,
    )
    assert found.t2i.hits[1] == 1
    assert found.relevance == {"i2t": "captions", "t2i": "given"}


def test_a_way_without_any_right_answer_is_refused() -> None:
    nothing = Relevance.of([{}, {}], gallery=2)
    with pytest.raises(errors.DataError, match="t2i: no query has a right answer"):
        measure(np.eye(2), np.eye(2), np.arange(2), relevance={"t2i": nothing})


def test_a_committees_scores_are_the_plain_mean_of_its_members() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=(5, 3)), random.normal(size=(7, 3))
    other, another = random.normal(size=(5, 4)), random.normal(size=(7, 4))
    both = committee([dot, order], [3, 4])
    found = both(np.hstack([first, other]), np.hstack([second, another]))
    assert found == pytest.approx((first @ second.T + order(other, another)) / 2)
    assert getattr(both, "__name__") == "dot+order"  # noqa: B009
    assert getattr(committee([dot, dot, dot], [1, 1, 1]), "__name__") == "dot"  # noqa: B009


def _inverted_softmax(scores: np.ndarray, bank: np.ndarray, beta: float) -> np.ndarray:
    """P(query | item) with the bank's queries in the denominator; [queries, items] and [bank, items]."""
    found = np.zeros(scores.shape)
    for q, g in np.ndindex(*scores.shape):
        found[q, g] = math.exp(beta * scores[q, g]) / sum(math.exp(beta * s) for s in bank[:, g])
    return found


def _csls(scores: np.ndarray, bank: np.ndarray, k: int) -> np.ndarray:
    """2 s(q, g) - r(q) - r(g), r(q) being over the gallery and r(g) over the bank's queries."""
    found = np.zeros(scores.shape)
    for q, g in np.ndindex(*scores.shape):
        near_query = np.mean(sorted(scores[q], reverse=True)[:k])
        near_item = np.mean(sorted(bank[:, g], reverse=True)[:k])
        found[q, g] = 2 * scores[q, g] - near_query - near_item
    return found


@pytest.mark.parametrize(
    "hubs", [Hubs("csls", k=1), Hubs("csls", k=7), Hubs("inverted-softmax", beta=2), Hubs("inverted-softmax")]
)
def test_corrected_ranks_are_those_of_the_formula(hubs: Hubs) -> None:
    images, captions, owners = (_data()[0].astype(float), _data()[1].astype(float), _data()[2])
    random = np.random.default_rng(3)
    bank = Bank(images=random.normal(size=(40, 6)), captions=random.normal(size=(50, 6)), name="train")
    found = measure(images, captions, owners, protocol=Protocol(hubs=hubs), bank=bank, bootstrap=0)
    plain = measure(images, captions, owners, bootstrap=0)
    assert found.i2t.values == plain.i2t.values
    assert found.rsum == plain.rsum
    assert found.hubs is not None
    t2i, of_images = captions @ images.T, bank.captions @ images.T
    i2t, of_captions = images @ captions.T, bank.images @ captions.T
    for way, scores, known in (("t2i", t2i, of_images), ("i2t", i2t, of_captions)):
        corrected = (
            _csls(scores, known, hubs.k)
            if hubs.name == "csls"
            else _inverted_softmax(scores, known, hubs.beta)
        )
        ranking = getattr(found.hubs.parts[0], way)
        rows = ranking.queries if way == "i2t" else np.arange(len(captions))
        expected = []
        for query in rows:
            mine = np.flatnonzero(owners == query) if way == "i2t" else [owners[query]]
            expected += sorted(int((corrected[query] > corrected[query, item]).sum()) for item in mine)
        assert ranking.ranks.tolist() == expected
    document = found.as_json()["hubs"]
    assert isinstance(document, dict)
    parameter = {"k": hubs.k} if hubs.name == "csls" else {"beta": hubs.beta}
    about = {"correction": hubs.name, **parameter, "bank": "train", "bank_images": 40, "bank_captions": 50}
    assert {key: document[key] for key in about} == about
    assert set(document) == {*about, "i2t", "t2i", "rsum"}


def test_a_score_that_is_not_symmetric_is_corrected_by_images_and_captions_in_their_places() -> None:
    images, captions, owners = _data()
    random = np.random.default_rng(3)
    bank = Bank(random.normal(size=(20, 6)), random.normal(size=(20, 6)))
    protocol = Protocol(hubs=Hubs("csls", k=3))
    found = measure(images, captions, owners, protocol=protocol, bank=bank, score="order", bootstrap=0).hubs
    assert found is not None
    known = {"t2i": order(images, bank.captions), "i2t": order(bank.images, captions).T}
    near = {way: np.sort(scores, axis=1)[:, -3:].mean(axis=1) / 2 for way, scores in known.items()}
    scores = order(images, captions)
    by_hand = rank_both_ways(
        images,
        captions,
        owners,
        adjust={
            "i2t": lambda i, c, _: scores[np.ix_(i, c)] - near["i2t"][c],
            "t2i": lambda c, i, _: scores[np.ix_(i, c)].T - near["t2i"][i],
        },
    )
    assert found.parts[0].i2t.ranks.tolist() == by_hand.i2t.ranks.tolist()
    assert found.parts[0].t2i.ranks.tolist() == by_hand.t2i.ranks.tolist()


def test_a_correction_helps_where_one_image_is_near_to_everything() -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(50, 8))
    captions = np.repeat(images, 2, axis=0) + random.normal(size=(100, 8)) / 2
    captions += 1  # all captions share a direction,
    images[7] += 2  # and so does one image
    owners = np.arange(100) // 2
    bank = Bank(images=random.normal(size=(60, 8)), captions=1 + random.normal(size=(60, 8)))
    for name in ("csls", "inverted-softmax"):
        found = measure(images, captions, owners, protocol=Protocol(hubs=Hubs(name)), bank=bank, bootstrap=0)
        assert found.hubs is not None
        assert found.hubs.t2i.hits[1] > found.t2i.hits[1] + 0.2


def test_equal_items_still_tie_after_a_correction() -> None:
    random = np.random.default_rng(0)
    images = random.normal(size=(300, 37)).astype(np.float32)
    images[150:] = images[:150]
    captions = random.normal(size=(40, 37)).astype(np.float32)
    bank = Bank(images=images[:20], captions=random.normal(size=(33, 37)).astype(np.float32))
    found = measure(
        images, captions, np.arange(40), protocol=Protocol(hubs=Hubs("csls")), bank=bank, bootstrap=0
    )
    assert found.hubs is not None
    assert found.hubs.parts[0].t2i.ranks.min() >= 1


def test_a_bank_may_have_rows_that_are_not_finite_and_the_gallery_too() -> None:
    images, captions, owners = _data()
    images[3] = np.nan
    random = np.random.default_rng(1)
    clean = Bank(random.normal(size=(20, 6)), random.normal(size=(20, 6)))
    spoilt = Bank(np.vstack([clean.images, np.full((1, 6), np.nan)]), clean.captions)
    protocol = Protocol(hubs=Hubs("csls", k=3))
    one = measure(images, captions, owners, protocol=protocol, bank=clean, bootstrap=0)
    other = measure(images, captions, owners, protocol=protocol, bank=spoilt, bootstrap=0)
    assert one.hubs is not None
    assert other.hubs is not None
    assert one.hubs.i2t.values == other.hubs.i2t.values
    assert one.hubs.parts[0].t2i.ranks[owners == 3].tolist() == [30] * int((owners == 3).sum())


def test_hubs_are_corrected_within_folds_too() -> None:
    images, captions, owners = _data()
    random = np.random.default_rng(1)
    bank = Bank(random.normal(size=(20, 6)), random.normal(size=(20, 6)))
    protocol = Protocol(hubs=Hubs("csls", k=3), folds=(3, 10))
    found = measure(images, captions, owners, protocol=protocol, bank=bank, bootstrap=0)
    by_hand = []
    for fold in range(3):
        mine = owners // 10 == fold
        part = measure(
            images[10 * fold : 10 * fold + 10], captions[mine], owners[mine] - 10 * fold, bank=bank, bootstrap=0,
            protocol=Protocol(hubs=Hubs("csls", k=3)),
        )  # fmt: skip
        assert part.hubs is not None
        by_hand.append(part.hubs.rsum)
    assert found.hubs is not None
    assert found.hubs.rsum == pytest.approx(np.mean(by_hand))


def test_corrections_that_cannot_be_are_refused() -> None:
    images, captions, owners = _data()
    with pytest.raises(errors.UsageError, match="hubs='softmax' is not known; known: csls, inverted-softmax"):
        Hubs("softmax")
    with pytest.raises(errors.UsageError, match="k=0; CSLS needs a whole number of neighbours"):
        Hubs("csls", k=0)
    with pytest.raises(errors.UsageError, match="k=2.5; CSLS needs a whole number"):
        Hubs("csls", k=2.5)  # type: ignore[arg-type]
    for beta in (-1, 0, np.inf, np.nan):
        with pytest.raises(
            errors.UsageError, match=f"beta={beta}; the inverted softmax needs a number above 0"
        ):
            Hubs("inverted-softmax", beta=beta)
    protocol = Protocol(hubs=Hubs("csls"))
    with pytest.raises(errors.UsageError, match="hubs='csls' needs a bank of images and captions"):
        measure(images, captions, owners, protocol=protocol)
    with pytest.raises(errors.UsageError, match="the bank's captions are those that are measured"):
        measure(images, captions, owners, protocol=protocol, bank=Bank(images[:20], captions))
    with pytest.raises(errors.UsageError, match="the bank's images are those that are measured"):
        measure(images, captions, owners, protocol=protocol, bank=Bank(images.copy(), captions[:20]))
    said_of_others = Bank(images[:20], captions.copy())
    assert measure(images, captions, owners, protocol=protocol, bank=said_of_others).hubs is not None
    with pytest.raises(errors.UsageError, match="the bank has 9 images with vectors; csls needs at least 10"):
        measure(images, captions, owners, protocol=protocol, bank=Bank(images[:9], captions[:20]))
    assert measure(images, captions, owners, protocol=protocol, bank=Bank(images[:10], captions[:10])).hubs
    with pytest.raises(
        errors.UsageError, match=r"the bank's captions have the shape \(90, 5\); \[B, 6\] is needed"
    ):
        measure(images, captions, owners, protocol=protocol, bank=Bank(images[:20], captions[:, :5]))


def test_ids_are_one_for_each_and_none_twice() -> None:
    images, captions, owners = _data(4)
    with pytest.raises(errors.UsageError, match="3 image ids for 4 images; one for each is needed"):
        measure(images, captions, owners, image_ids=["a", "b", "c"])
    with pytest.raises(errors.UsageError, match="the image id 'b' is given twice"):
        measure(images, captions, owners, image_ids=["a", "b", "c", "b"])


def test_grades_that_do_not_fit_are_refused() -> None:
    images, captions, owners = _data(4)
    with pytest.raises(
        errors.UsageError, match=r"grades have the shape \(4, 12\); \[captions, images\] = \(12, 4\)"
    ):
        measure(images, captions, owners, grades=np.ones((4, 12)))
    for grade in (-1.0, 1000.0, np.nan):
        with pytest.raises(errors.UsageError, match="a grade is negative, 1000 or more, or not a number"):
            measure(images, captions, owners, grades=np.full((12, 4), grade))


@pytest.mark.parametrize("score", [dot, order])
@pytest.mark.parametrize("folds", [None, (2, 9)])
@pytest.mark.parametrize("changed", [False, True])
def test_grades_are_gained_by_the_score_the_cut_off_and_the_change_of_scores(
    score: Score, folds: tuple[int, int] | None, changed: bool
) -> None:
    images, captions, owners = _data(20)
    grades = np.random.default_rng(1).integers(0, 4, (len(captions), 20)).astype(float)
    lift = np.random.default_rng(2).normal(size=(len(captions), 20))
    protocol = Protocol(folds=folds, at=(2, 6), min_score=-1.5)
    adjust: dict[Way, Adjust] = {"t2i": lambda c, i, s: s + lift[np.ix_(c, i)]} if changed else {}
    name = {dot: "dot", order: "order"}[score]
    found = measure(
        images, captions, owners, protocol=protocol, score=name, grades=grades, adjust=adjust, bootstrap=0
    ).graded
    scores = score(images, captions).T + changed * lift
    size = 20 if folds is None else folds[1]
    means: list[list[float]] = [[], []]
    for fold in range(1 if folds is None else folds[0]):
        here = range(fold * size, fold * size + size)
        each = [
            _gain([grades[caption, image] for image in _listed(scores[caption], here, grades[caption])][:6])
            / _gain(sorted(grades[caption, here], reverse=True)[:6])
            for caption in np.flatnonzero(owners // size == fold)
        ]
        above = [value for value in each if value > 0]
        means[0].append(sum(each) / len(each))
        means[1].append(sum(above) / len(above))
    assert found is not None
    assert found["ndcg"][6] == pytest.approx(np.mean(means[0]), abs=1e-6)
    assert found["ndcg_found"][6] == pytest.approx(np.mean(means[1]), abs=1e-6)


def _listed(scores: np.ndarray, here: range, grades: np.ndarray) -> list[int]:
    return sorted((i for i in here if scores[i] >= -1.5), key=lambda image: (-scores[image], grades[image]))


def _gain(grades: Sequence[float]) -> float:
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))


def test_a_cut_off_of_scores_does_not_apply_to_corrected_ones() -> None:
    images, captions, owners = _data()
    random = np.random.default_rng(1)
    bank = Bank(random.normal(size=(20, 6)), random.normal(size=(20, 6)))
    plain, cut = (
        measure(images, captions, owners, protocol=protocol, bank=bank, bootstrap=0)
        for protocol in (Protocol(hubs=Hubs("csls")), Protocol(hubs=Hubs("csls"), min_score=1.0))
    )
    assert plain.hubs is not None
    assert cut.hubs is not None
    assert cut.rsum < plain.rsum
    assert cut.hubs.rsum == plain.hubs.rsum
    assert cut.hubs.parts[0].t2i.ranks.tolist() == plain.hubs.parts[0].t2i.ranks.tolist()
