"""pytorch-metric-learning between images and captions: formulas, parts, and what is refused."""

from __future__ import annotations

import importlib
import re

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")

from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import distances, losses, miners, reducers
from torch.nn.functional import normalize

from sterna.errors import UsageError
from sterna.objectives import LEFT_OUT, METRIC_LEARNING, Given, build_objective
from tests.objectives.formulas import (
    BOTH_WAYS,
    OF_CLASSES,
    ONE_WAY,
    contrastive_of_cosines,
    mean,
    mean_of_violations,
    proxy_anchor,
    smooth_triplet,
    ways,
)
from tests.objectives.toy import UNEVEN, batch

shapes = st.integers(2, 6).flatmap(
    lambda images: st.tuples(st.just(images), st.lists(st.integers(0, images - 1), min_size=2, max_size=9))
)
PLACES = torch.tensor([4, 0, 3, 1, 6, 5])  # of 7 images
KNOWN_TO_THE_LIBRARY = ("FastAPLoss", "PNPLoss", "RankedListLoss")
CLASSES_TO_THE_LIBRARY = ("LargeMarginSoftmaxLoss", "SphereFaceLoss")


def test_everything_of_the_library_is_offered_or_left_out_for_a_reason() -> None:
    there = set()
    for kind, names in METRIC_LEARNING.items():
        module = importlib.import_module(f"pytorch_metric_learning.{kind}")
        there |= {name for name in vars(module) if name[0].isupper()}
        assert set(names) <= set(vars(module))
    offered = {name for names in METRIC_LEARNING.values() for name in names}
    assert offered | set(LEFT_OUT) == there
    assert not offered & set(LEFT_OUT)


def test_every_loss_is_held_against_a_formula() -> None:
    held = {*ONE_WAY, *BOTH_WAYS, *OF_CLASSES, *KNOWN_TO_THE_LIBRARY, *CLASSES_TO_THE_LIBRARY}
    assert held | {"ProxyAnchorLoss"} == set(METRIC_LEARNING["losses"])


@settings(deadline=None, max_examples=8)
@given(shape=shapes, seed=st.integers(0, 99))
@pytest.mark.parametrize("name", sorted(ONE_WAY))
def test_a_loss_of_queries_is_its_formula_averaged_over_both_ways(
    name: str, shape: tuple[int, list[int]], seed: int
) -> None:
    count, owners = shape
    images, captions, rows, _ = batch(owners, images=count, seed=seed)
    both = ways(images, captions, rows)
    if any(len(list(way.pairs())) < 2 and len(list(way.triplets())) < 2 for way in both):
        return  # the library takes a single pair for none
    if not all(list(way.triplets()) for way in both):
        return  # nothing to tell apart
    loss = build_objective(f"pml:{name}")(images, captions, rows)
    assert loss.item() == pytest.approx(mean([ONE_WAY[name](way) for way in both]), rel=1e-5, abs=1e-7)


@settings(deadline=None, max_examples=8)
@given(shape=shapes, seed=st.integers(0, 99))
@pytest.mark.parametrize("name", sorted(BOTH_WAYS))
def test_a_loss_of_both_sets_is_its_formula(name: str, shape: tuple[int, list[int]], seed: int) -> None:
    count, owners = shape
    images, captions, rows, _ = batch(owners, images=count, seed=seed)
    if not all(list(way.triplets()) for way in ways(images, captions, rows)):
        return
    loss = build_objective(f"pml:{name}")(images, captions, rows)
    assert loss.item() == pytest.approx(BOTH_WAYS[name](images, captions, rows), rel=1e-5, abs=1e-7)


def test_two_captions_vary_enough_for_a_loss_of_variances() -> None:
    images, captions, rows, _ = batch([1, 0])
    loss = build_objective("pml:VICRegLoss")(images, captions, rows)
    assert loss.item() == pytest.approx(BOTH_WAYS["VICRegLoss"](images, captions, rows), rel=1e-5)
    assert build_objective("pml:VICRegLoss")(images, captions[:1], rows[:1]).item() == 0


@pytest.mark.parametrize("name", [*sorted(OF_CLASSES), "ProxyAnchorLoss"])
def test_a_loss_of_classes_is_its_formula_with_images_as_classes(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    objective = build_objective(f"pml:{name}", images=7, embedding=5)
    assert objective.needs == {"places"}
    loss = objective(images, captions, owners, given=Given(places=PLACES))
    (vectors,) = (value.detach().double() for value in objective.parameters())
    vectors = normalize(vectors if vectors.shape == (7, 5) else vectors.T, dim=1)
    sides = []
    for rows, labels in ((images, PLACES), (captions, PLACES[owners])):
        cosines = (rows @ vectors.T).tolist()
        if name == "ProxyAnchorLoss":
            sides.append(proxy_anchor(cosines, labels.tolist()))
        else:
            sides.append(
                mean(
                    [
                        OF_CLASSES[name](row, label)
                        for row, label in zip(cosines, labels.tolist(), strict=True)
                    ]
                )
            )
    assert loss.item() == pytest.approx(mean(sides), rel=1e-5)


@pytest.mark.parametrize("name", CLASSES_TO_THE_LIBRARY)
def test_other_losses_of_classes_are_the_librarys_own(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    objective = build_objective(f"pml:{name}", {"scale": 3}, images=7, embedding=5)
    loss = objective(images, captions, owners, given=Given(places=PLACES))
    own = getattr(losses, name)(num_classes=7, embedding_size=5, scale=3)
    own.W.data = next(objective.parameters()).data
    torch.testing.assert_close(loss, (own(images, PLACES) + own(captions, PLACES[owners])) / 2)


@pytest.mark.parametrize("name", KNOWN_TO_THE_LIBRARY)
def test_losses_that_know_one_set_are_the_librarys_own(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    loss = build_objective(f"pml:{name}")(images, captions, owners)
    params = {"margin": 0.4, "Tn": 5} if name == "RankedListLoss" else {}
    own = getattr(losses, name)(**params)(torch.cat((images, captions)), torch.cat((torch.arange(6), owners)))
    torch.testing.assert_close(loss, own)


@pytest.mark.parametrize("name", ["AngularLoss", "ContrastiveLoss", "LiftedStructureLoss", "NPairsLoss"])
def test_all_pairs_are_the_librarys_loss_of_one_set(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    loss = build_objective(f"pml:{name}", {"pairs": "all"})(images, captions, owners)
    own = getattr(losses, name)()(torch.cat((images, captions)), torch.cat((torch.arange(6), owners)))
    torch.testing.assert_close(loss, own)


def test_margins_of_similarities_mean_what_those_of_distances_do() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    loss = build_objective("pml:ContrastiveLoss", {"distance": "CosineSimilarity"})(images, captions, owners)
    both = ways(images, captions, owners)
    assert loss.item() == pytest.approx(mean([contrastive_of_cosines(way) for way in both]))
    given = {"distance": "CosineSimilarity", "pos_margin": 0.9, "neg_margin": 0.1}
    asked = build_objective("pml:ContrastiveLoss", given).loss
    assert (asked.pos_margin, asked.neg_margin) == (0.9, 0.1)
    miner = {"name": "PairMarginMiner", "distance": "CosineSimilarity"}
    mined = build_objective("pml:TripletMarginLoss", {"miner": miner}).miner
    assert (mined.pos_margin, mined.neg_margin) == (0.8, 0.2)
    assert build_objective("pml:MarginLoss", {"distance": "CosineSimilarity"}).loss.beta.item() == 0.5


def test_a_smooth_triplet_loss_is_its_formula() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    params = {"smooth_loss": True, "reducer": "MeanReducer"}
    loss = build_objective("pml:TripletMarginLoss", params)(images, captions, owners)
    assert loss.item() == pytest.approx(mean([smooth_triplet(way) for way in ways(images, captions, owners)]))


def test_swapped_triplets_compare_the_positive_with_the_negative() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    loss = build_objective("pml:TripletMarginLoss", {"swap": True, "margin": 0.3})(images, captions, owners)
    gaps = []
    for way in ways(images, captions, owners):
        for q, p, n in way.triplets():
            apart = float((way.others[p] - way.others[n]).norm())
            gaps.append(way.distance(q, p) - min(way.distance(q, n), apart) + 0.3)
    assert loss.item() == pytest.approx(mean_of_violations(gaps))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("MeanReducer", mean),
        ("SumReducer", sum),
        ("AvgNonZeroReducer", mean_of_violations),
        (
            {"name": "ThresholdReducer", "low": 0.2, "high": 0.9},
            lambda values: mean([value for value in values if 0.2 < value < 0.9]),
        ),
    ],
)
def test_a_reducer_makes_one_of_all_triplets(spec: object, expected: object) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    loss = build_objective("pml:TripletMarginLoss", {"margin": 0.3, "reducer": spec})(
        images, captions, owners
    )
    sides = [
        expected([max(0.0, way.distance(q, p) - way.distance(q, n) + 0.3) for q, p, n in way.triplets()])
        for way in ways(images, captions, owners)
    ]
    assert loss.item() == pytest.approx(mean(sides))


def test_a_mean_over_anchors_weighs_each_anchor_alike() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    for name in ("ContrastiveLoss", "TupletMarginLoss"):
        loss = build_objective(f"pml:{name}", {"reducer": "PerAnchorReducer"})(images, captions, owners)
        assert loss.isfinite()
    loss = build_objective("pml:ContrastiveLoss", {"reducer": "PerAnchorReducer"})(images, captions, owners)
    sides = []
    for way in ways(images, captions, owners):
        right = mean([mean([way.distance(q, p) for p in way.own[q]]) for q in way.rows()])
        wrong = mean([mean([max(0, 1 - way.distance(q, n)) for n in way.foreign(q)]) for q in way.rows()])
        sides.append(right + wrong)
    assert loss.item() == pytest.approx(mean(sides))


def test_means_over_anchors_are_the_librarys_where_it_can() -> None:
    images, captions, owners, _ = batch([0, 1, 2, 3, 3, 1])
    vectors, labels = torch.cat((images, captions)), torch.cat((torch.arange(4), owners))
    params = {"pairs": "all", "reducer": {"name": "PerAnchorReducer", "reducer": "SumReducer"}}
    loss = build_objective("pml:ContrastiveLoss", params)(images, captions, owners)
    own = losses.ContrastiveLoss(reducer=reducers.PerAnchorReducer(reducer=reducers.SumReducer()))
    torch.testing.assert_close(loss, own(vectors, labels))


@pytest.mark.parametrize("name", ["ContrastiveLoss", "TupletMarginLoss", "MultiSimilarityLoss"])
def test_weights_are_those_of_the_images_places(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    weights = [float(k + 1) for k in range(7)]
    params = {"reducer": {"name": "ClassWeightedReducer", "weights": weights}}
    objective = build_objective(f"pml:{name}", params, images=7)
    assert objective.needs == {"places"}
    loss = objective(images, captions, owners, given=Given(places=PLACES))
    sides = []
    for way, whose in zip(ways(images, captions, owners), (PLACES, PLACES[owners]), strict=True):
        if name == "ContrastiveLoss":
            right = mean([weights[whose[q]] * way.distance(q, p) for q, p in way.pairs()])
            wrong = [
                weights[whose[q]] * max(0, 1 - way.distance(q, n)) for q in way.rows() for n in way.foreign(q)
            ]
            sides.append(right + mean(wrong))
        elif name == "TupletMarginLoss":
            alone = [
                way._replace(own=[own if k == q else [] for k, own in enumerate(way.own)]) for q in way.rows()
            ]
            counted = [q for q, p in way.pairs()]
            sides.append(mean([weights[whose[q]] * ONE_WAY[name](alone[q]) for q in counted]))
        else:
            rows = [way._replace(queries=way.queries[q : q + 1], own=[way.own[q]]) for q in way.rows()]
            sides.append(mean([weights[whose[q]] * ONE_WAY[name](row) for q, row in enumerate(rows)]))
    assert loss.item() == pytest.approx(mean(sides), rel=1e-5)


def test_each_term_of_a_loss_may_have_its_own_reducer() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    reducer = {
        "name": "MultipleReducers",
        "reducers": {"pos_loss": "SumReducer"},
        "default_reducer": "MeanReducer",
    }
    loss = build_objective("pml:ContrastiveLoss", {"reducer": reducer})(images, captions, owners)
    sides = []
    for way in ways(images, captions, owners):
        wrong = mean([max(0, 1 - way.distance(q, n)) for q in way.rows() for n in way.foreign(q)])
        sides.append(sum(way.distance(q, p) for q, p in way.pairs()) + wrong)
    assert loss.item() == pytest.approx(mean(sides))


@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [
        ({"name": "LpRegularizer", "p": 1}, lambda rows: rows.abs().sum(1).mean()),
        ({"name": "LpRegularizer", "p": 2, "power": 2}, lambda rows: rows.square().sum(1).mean()),
        ("ZeroMeanRegularizer", lambda rows: rows.sum(1).abs().mean()),
        ("CenterInvariantRegularizer", lambda rows: torch.tensor(0.0)),
    ],
)
def test_a_regularizer_adds_its_own_of_the_queries(regularizer: object, expected: object) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    params = {"embedding_regularizer": regularizer, "embedding_reg_weight": 0.3}
    loss = build_objective("pml:NTXentLoss", params)(images, captions, owners)
    plain = build_objective("pml:NTXentLoss")(images, captions, owners)
    added = 0.3 * (expected(images) + expected(captions)) / 2
    torch.testing.assert_close(loss, plain + added)


@pytest.mark.parametrize("name", METRIC_LEARNING["miners"])
def test_a_miner_picks_among_the_other_modality(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    torch.manual_seed(3)
    loss = build_objective("pml:ContrastiveLoss", {"miner": name})(images, captions, owners)
    torch.manual_seed(3)
    own, miner = losses.ContrastiveLoss(), getattr(miners, name)()
    labels, sides = torch.arange(6), []
    for queries, whose, others, theirs in (
        (images, labels, captions, owners),
        (captions, owners, images, labels),
    ):
        chosen = miner(queries, whose, others, theirs.clone())
        sides.append(own(queries, whose, chosen, ref_emb=others, ref_labels=theirs.clone()))
    torch.testing.assert_close(loss, torch.stack(sides).mean())


def test_a_miner_picks_for_losses_of_the_joined_set_too() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    pairs = {"name": "PairMarginMiner", "pos_margin": 0.0, "neg_margin": 9.0}  # all there are
    triplets = {"name": "AngularMiner", "angle": 0}
    for name, miner in (
        ("LiftedStructureLoss", pairs),
        ("ThresholdConsistentMarginLoss", pairs),
        ("HistogramLoss", triplets),
    ):
        loss = build_objective(f"pml:{name}", {"miner": miner})(images, captions, owners)
        torch.testing.assert_close(loss, build_objective(f"pml:{name}")(images, captions, owners))
    hard = {"miner": "BatchHardMiner"}
    loss = build_objective("pml:ThresholdConsistentMarginLoss", hard)(images, captions, owners)
    right, wrong = [], []
    for way in ways(images, captions, owners):
        for q in way.rows():
            if way.own[q]:
                right.append(0.9 - min(way.cosine(q, p) for p in way.own[q]))
                wrong.append(max(way.cosine(q, n) for n in way.foreign(q)) - 0.5)
    expected = mean([one for one in right if one >= 0]) + mean([one for one in wrong if one >= 0])
    assert loss.item() == pytest.approx(expected)


def test_a_boundary_for_each_image_is_looked_up_by_its_place() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    params = {"num_classes": 7, "learn_beta": True}
    objective = build_objective("pml:MarginLoss", params, images=7)
    assert objective.needs == {"places"}
    with torch.no_grad():
        objective.loss.beta.copy_(torch.linspace(0.8, 1.4, 7))
    loss = objective(images, captions, owners, given=Given(places=PLACES))
    beta = objective.loss.beta.tolist()
    sides = []
    for way, whose in zip(ways(images, captions, owners), (PLACES, PLACES[owners]), strict=True):
        right = [max(0, way.distance(q, p) - beta[whose[q]] + 0.2) for q, p, _ in way.triplets()]
        wrong = [max(0, beta[whose[q]] - way.distance(q, n) + 0.2) for q, _, n in way.triplets()]
        sides.append(sum(right + wrong) / sum(value > 0 for value in right + wrong))
    assert loss.item() == pytest.approx(mean(sides), rel=1e-6)


def test_the_histogram_of_gaps_goes_on_and_is_saved() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    objective, steady = (build_objective("pml:DynamicSoftMarginLoss") for _ in range(2))
    images.requires_grad_()
    first = objective(images, captions, owners)
    first.backward()
    objective(images, captions, owners).backward()  # the first step's derivatives are gone
    saved = objective.state_dict()["loss.hist_"]
    assert saved.sum().item() == pytest.approx(1)
    steady.load_state_dict(objective.state_dict())
    torch.testing.assert_close(steady(images, captions, owners), objective(images, captions, owners))


def test_the_histogram_of_gaps_has_room_for_the_greatest() -> None:
    ends = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    loss = build_objective("pml:DynamicSoftMarginLoss")(ends, -ends, torch.arange(2))
    assert loss.item() == pytest.approx(2)  # as far from the right one, and upon the wrong one


@pytest.mark.parametrize(
    "name", ["ArcFaceLoss", "HistogramLoss", "TupletMarginLoss", "DynamicSoftMarginLoss"]
)
def test_equal_and_opposite_vectors_have_a_loss_and_derivatives(name: str) -> None:
    images = torch.eye(4)[[0, 1, 2]].requires_grad_()
    captions = torch.eye(4)[[0, 0, 1, 2]] * torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None]
    captions.requires_grad_()
    objective = build_objective(f"pml:{name}", images=3, embedding=4)
    if name == "ArcFaceLoss":
        objective.loss.W.data = torch.eye(4)[:, :3].clone()
    loss = objective(images, captions, torch.tensor([0, 0, 1, 2]), given=Given(places=torch.arange(3)))
    loss.backward()
    assert loss.isfinite()
    assert images.grad.isfinite().all()
    assert captions.grad.isfinite().all()


def test_cosines_are_the_librarys_but_at_the_ends() -> None:
    loss = build_objective(
        "pml:TupletMarginLoss", {"distance": {"name": "CosineSimilarity", "power": 1}}
    ).loss
    a, b = torch.randn(3, 5), torch.randn(4, 5)
    torch.testing.assert_close(loss.distance(a, b), distances.CosineSimilarity()(a, b))
    assert loss.distance(a, a).abs().max() < 1


@pytest.mark.parametrize(
    ("loss", "params", "message"),
    [
        ("InstanceLoss", {}, "'InstanceLoss' is not among the losses known: AngularLoss"),
        (
            "ArcFaceLoss",
            {},
            "ArcFaceLoss: the number of images trained on and the width of vectors are needed",
        ),
        ("MarginLoss", {"num_classes": 5}, "MarginLoss: the number of images trained on is needed"),
        ("FastAPLoss", {"pairs": "cross"}, "pairs='cross': FastAPLoss is computed with 'all' alone"),
        ("VICRegLoss", {"pairs": "all"}, "pairs='all': VICRegLoss is computed with 'cross' alone"),
        ("NTXentLoss", {"pairs": 1}, "pairs=1: a str is needed"),
        ("NPairsLoss", {"miner": "BatchHardMiner"}, "miner: NPairsLoss takes none"),
        ("PNPLoss", {"miner": "BatchHardMiner"}, "indices_tuple is not supported for this loss function"),
        (
            "TripletMarginLoss",
            {"reducer": "DivisorReducer"},
            "TripletMarginLoss: DivisorReducer divides by a number that only MarginLoss and ProxyAnchorLoss have",
        ),
        ("TripletMarginLoss", {"reducer": "PerAnchorReducer"}, "PerAnchorReducer has no mean over triplets"),
        (
            "RankedListLoss",
            {"distance": "CosineSimilarity"},
            "is a similarity, and this loss takes distances",
        ),
        ("SoftTripleLoss", {"distance": "LpDistance"}, "the number of images"),
        (
            "NTXentLoss",
            {"distance": {"name": "LpDistance", "is_inverted": True}},
            "LpDistance: cannot be made",
        ),
        ("NTXentLoss", {"embedding_regularizer": "RegularFaceRegularizer"}, "is for vectors of classes"),
        ("NTXentLoss", {"weight_regularizer": "LpRegularizer"}, "weight_regularizer is not known"),
        (
            "ContrastiveLoss",
            {"reducer": {"name": "MultipleReducers", "reducers": {"posloss": "MeanReducer"}}},
            "reducers: posloss is no term of ContrastiveLoss; its terms: pos_loss, neg_loss",
        ),
        (
            "ContrastiveLoss",
            {"reducer": {"name": "MultipleReducers", "reducers": ["MeanReducer"]}},
            "reducers=['MeanReducer']: a mapping of the loss's terms and reducers is needed",
        ),
        (
            "ContrastiveLoss",
            {"reducer": {"name": "ClassWeightedReducer", "weights": ["a"]}},
            "weights=['a']: a number for each image is needed",
        ),
        ("TripletMarginLoss", {"margin": -0.1}, "TripletMarginLoss: margin=-0.1: must be 0 or more"),
        ("NTXentLoss", {"temperature": 0}, "NTXentLoss: temperature=0: must be above 0"),
        ("TripletMarginLoss", {"triplets_per_anchor": "some"}, "'all' or a whole number is needed"),
        ("TripletMarginLoss", {"triplets_per_anchor": 3, "swap": True}, "with swap, 'all' alone"),
        (
            "TripletMarginLoss",
            {"reducer": "ThresholdReducer"},
            "At least one of low or high must be specified",
        ),
        (
            "TripletMarginLoss",
            {"miner": {"name": "TripletMarginMiner", "type_of_triplets": "harder"}},
            "type_of_triplets='harder' is not known; known: all, easy, hard, semihard",
        ),
        (
            "TripletMarginLoss",
            {"miner": {"name": "BatchEasyHardMiner", "allowed_pos_range": [1]}},
            "allowed_pos_range=[1]: a list of two numbers is needed",
        ),
        ("HistogramLoss", {"distance": "SNRDistance"}, "is a distance, and this loss takes similarities"),
    ],
)
def test_what_cannot_be_built_is_named(loss: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        build_objective(f"pml:{loss}", params)


@pytest.mark.parametrize(
    ("loss", "params", "message"),
    [
        ("MarginLoss", {"num_classes": 5}, "MarginLoss: num_classes=5: there are 7 images"),
        (
            "ContrastiveLoss",
            {"reducer": {"name": "ClassWeightedReducer", "weights": [1, 2]}},
            "2 weights for 7",
        ),
        (
            "ProxyAnchorLoss",
            {"reducer": {"name": "ClassWeightedReducer", "weights": [1.0] * 7}},
            "weighs images, and this loss has no term for each",
        ),
        ("ArcFaceLoss", {"miner": "BatchHardMiner"}, "miner: ArcFaceLoss takes none"),
        ("SoftTripleLoss", {"distance": "LpDistance"}, "SoftTripleLoss: cannot be made with"),
        (
            "SoftTripleLoss",
            {"weight_regularizer": {"name": "SparseCentersRegularizer", "centers_per_class": 3000}},
            "SparseCentersRegularizer: compares 21000 centers with each other; 20000 at most",
        ),
        (
            "NTXentLoss",
            {
                "embedding_regularizer": {
                    "name": "LpRegularizer",
                    "reducer": {"name": "ClassWeightedReducer", "weights": [1.0] * 7},
                }
            },
            "ClassWeightedReducer weighs images, and a regularizer sees none",
        ),
    ],
)
def test_what_does_not_fit_the_images_is_named(loss: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        build_objective(f"pml:{loss}", params, images=7, embedding=5)


def test_places_past_the_images_are_named() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    objective = build_objective("pml:ArcFaceLoss", images=7, embedding=5)
    with pytest.raises(UsageError, match="places: the images' places among all that are trained on"):
        objective(images, captions, owners)
    with pytest.raises(UsageError, match="places: from 1 to 7; the objective was built for 7 images"):
        objective(images, captions, owners, given=Given(places=PLACES + 1))


def test_building_leaves_torchs_generator_as_its_weights_left_it() -> None:
    torch.manual_seed(0)
    build_objective("pml:TripletMarginLoss", {"miner": "DistanceWeightedMiner"})
    after = torch.rand(1)
    torch.manual_seed(0)
    assert after == torch.rand(1)
