from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")
safetensors = pytest.importorskip("safetensors.torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sterna.errors import UsageError
from sterna.objectives import OBJECTIVES, Given, build_objective
from tests.objectives.toy import UNEVEN, batch

owner_lists = st.integers(1, 6).flatmap(
    lambda images: st.tuples(st.just(images), st.lists(st.integers(0, images - 1), min_size=1, max_size=9))
)


def distributions(scores: list[float]) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def slow_infonce(
    images: torch.Tensor,
    captions: torch.Tensor,
    owners: torch.Tensor,
    targets: torch.Tensor,
    *,
    temperature: float,
    smoothing: float = 0.0,
    soft: float = 0.0,
    soft_temperature: float = 0.05,
) -> float:
    n, c = len(images), len(captions)
    score = [[float(images[i] @ captions[k]) / temperature for k in range(c)] for i in range(n)]
    unit = [target / target.norm() for target in targets]
    alike = [distributions([float(unit[a] @ unit[b]) / soft_temperature for b in range(c)]) for a in range(c)]
    i2t = []
    for i in range(n):
        own = [k for k in range(c) if owners[k] == i]
        if not own:
            continue
        loss = 0.0
        for k, probability in enumerate(distributions(score[i])):
            hard = 1 / len(own) if k in own else 0.0
            wanted = (1 - soft) * hard + soft * sum(alike[a][k] for a in own) / len(own)
            loss -= ((1 - smoothing) * wanted + smoothing / c) * math.log(probability)
        i2t.append(loss)
    t2i = []
    for k in range(c):
        loss = 0.0
        for i, probability in enumerate(distributions([score[i][k] for i in range(n)])):
            shared = sum(alike[k][b] for b in range(c) if owners[b] == i)
            wanted = (1 - soft) * float(owners[k] == i) + soft * shared
            loss -= ((1 - smoothing) * wanted + smoothing / n) * math.log(probability)
        t2i.append(loss)
    return (sum(i2t) / len(i2t) + sum(t2i) / len(t2i)) / 2


@settings(deadline=None, max_examples=40)
@given(
    shape=owner_lists,
    seed=st.integers(0, 99),
    temperature=st.floats(0.05, 1.0),
    smoothing=st.sampled_from([0.0, 0.1]),
    soft=st.sampled_from([0.0, 0.3, 1.0]),
    soft_temperature=st.sampled_from([0.05, 0.5]),
)
def test_infonce_equals_its_formula(
    shape: tuple[int, list[int]],
    seed: int,
    temperature: float,
    smoothing: float,
    soft: float,
    soft_temperature: float,
) -> None:
    count, owners = shape
    images, captions, rows, targets = batch(owners, images=count, seed=seed)
    objective = build_objective(
        "infonce",
        {
            "temperature": temperature,
            "label_smoothing": smoothing,
            "soft_weight": soft,
            "soft_temperature": soft_temperature,
        },
    ).double()
    loss = objective(images, captions, rows, given=Given(targets=targets))
    wanted = slow_infonce(
        images,
        captions,
        rows,
        targets,
        temperature=temperature,
        smoothing=smoothing,
        soft=soft,
        soft_temperature=soft_temperature,
    )
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


def test_a_learned_temperature_starts_where_asked_and_stops_at_its_limit() -> None:
    objective = build_objective("infonce", {"temperature": 0.05})
    assert objective.scale().item() == pytest.approx(20)
    images, captions, owners, _ = batch(UNEVEN)
    with torch.no_grad():
        objective.log_scale.fill_(math.log(1000))
    loss = objective(images.float(), captions.float(), owners)
    loss.backward()
    assert objective.scale().item() == pytest.approx(100)
    assert objective.log_scale.grad.abs() > 0  # it can come down again
    fixed = build_objective("infonce", {"learned": False})
    assert not [p for p in fixed.parameters() if p.requires_grad]


def test_soft_targets_ask_for_what_they_need() -> None:
    objective = build_objective("infonce", {"soft_weight": 0.2})
    assert objective.needs == {"targets"}
    assert not build_objective("infonce").needs
    images, captions, owners, _ = batch(UNEVEN)
    with pytest.raises(UsageError, match="targets: soft targets need the captions' vectors"):
        objective(images, captions, owners)


def similarity(image: torch.Tensor, caption: torch.Tensor, kind: str) -> float:
    if kind == "dot":
        return float(image @ caption)
    return -float((caption.abs() - image.abs()).clamp_min(0).norm())


@settings(deadline=None, max_examples=40)
@given(
    shape=owner_lists,
    seed=st.integers(0, 99),
    negatives=st.sampled_from(["all", "hardest"]),
    reduction=st.sampled_from(["sum", "mean"]),
    kind=st.sampled_from(["dot", "order"]),
)
def test_hinge_equals_its_formula(
    shape: tuple[int, list[int]], seed: int, negatives: str, reduction: str, kind: str
) -> None:
    count, owners = shape
    images, captions, rows, _ = batch(owners, images=count, seed=seed)
    pairs = []
    for c, i in enumerate(owners):
        right = similarity(images[i], captions[c], kind)
        other_images = [similarity(images[k], captions[c], kind) for k in range(count) if k != i]
        other_captions = [
            similarity(images[i], captions[k], kind) for k in range(len(owners)) if owners[k] != i
        ]
        pick = sum if negatives == "all" else lambda costs: max(costs, default=0.0)
        pairs.append(
            sum(pick([max(0.0, 0.3 + s - right) for s in wrong]) for wrong in (other_images, other_captions))
        )
    wanted = sum(pairs) if reduction == "sum" else sum(pairs) / len(pairs)
    objective = build_objective(
        "hinge", {"margin": 0.3, "negatives": negatives, "reduction": reduction, "similarity": kind}
    )
    assert objective(images, captions, rows).item() == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("height", [0.0, 1.0])
def test_order_violations_have_gradients_where_nothing_is_violated(height: float) -> None:
    images = torch.ones(2, 3, requires_grad=True)
    captions = torch.full((2, 3), height, requires_grad=True)
    build_objective("hinge", {"similarity": "order"})(images, captions, torch.tensor([0, 1])).backward()
    assert images.grad.isfinite().all()
    assert captions.grad.isfinite().all()


@pytest.mark.parametrize("name", ["first_shared", "gated", "sum_unshared"])
@pytest.mark.parametrize(
    ("value", "params"),
    [
        ("hinge_margin0.2_all", {"negatives": "all"}),
        ("hinge_margin0.2_hardest", {"negatives": "hardest"}),
        ("order_margin0.2_hardest", {"similarity": "order"}),
    ],
)
def test_hinge_gives_the_papers_losses(
    shared: Path, name: str, value: str, params: dict[str, object]
) -> None:
    golden = safetensors.load_file(shared / f"golden/paper_tern_{name}.safetensors")
    images, texts = golden["out.image"], golden["out.text"]
    loss = build_objective("hinge", params)(images, texts, torch.arange(len(images)))
    torch.testing.assert_close(loss, golden[f"loss.{value}"].squeeze(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "params", "wanted"),
    [
        ("pml:ContrastiveLoss", {}, 1.2131218910217285),
        ("pml:NTXentLoss", {}, 2.356693744659424),
        ("pml:TripletMarginLoss", {}, 0.1109105795621872),
    ],
)
def test_all_pairs_give_the_losses_of_the_earlier_implementation(
    shared: Path, name: str, params: dict[str, object], wanted: float
) -> None:
    golden = safetensors.load_file(shared / "golden/seed_losses.safetensors")
    loss = build_objective(name, {**params, "pairs": "all"})(
        golden["image"], golden["text"], torch.arange(16)
    )
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


def test_infonce_is_the_earlier_implementations_own_loss(shared: Path) -> None:
    golden = safetensors.load_file(shared / "golden/seed_losses.safetensors")
    loss = build_objective("infonce", {"temperature": 0.1})(golden["image"], golden["text"], torch.arange(16))
    assert loss.item() == pytest.approx(1.3966224193572998, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ContrastiveLoss", {"distance": "CosineSimilarity", "pos_margin": 1, "neg_margin": 0}),
        ("NTXentLoss", {"distance": "DotProductSimilarity"}),
        (
            "TripletMarginLoss",
            {"distance": "CosineSimilarity", "reducer": {"name": "ThresholdReducer", "high": 0.2}},
        ),
        (
            "TripletMarginLoss",
            {"distance": {"name": "LpDistance", "p": 2}, "embedding_regularizer": "LpRegularizer"},
        ),
    ],
)
def test_what_crashed_in_the_earlier_implementation_works(name: str, params: dict[str, object]) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    images.requires_grad_()
    loss = build_objective(f"pml:{name}", params)(images, captions, owners)
    loss.backward()
    assert loss.item() > 0
    assert images.grad.abs().sum() > 0


def test_losses_see_every_true_pair_when_labels_are_the_same() -> None:
    """pytorch-metric-learning gives 0 where it is handed the same labels twice."""
    images, captions, _, _ = batch([0, 1, 2, 3])
    owners = torch.arange(4)
    loss = build_objective("pml:NTXentLoss", {"temperature": 0.1})(images, captions, owners)
    logits = images @ captions.T / 0.1
    by_hand = (
        nn.functional.cross_entropy(logits, owners) + nn.functional.cross_entropy(logits.T, owners)
    ) / 2
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_ntxent_takes_each_caption_of_an_image_as_its_positive() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    score = (images @ captions.T / 0.1).tolist()
    ways = []
    for rows, own in (
        (score, lambda i, c: UNEVEN[c] == i),
        ([list(column) for column in zip(*score, strict=True)], lambda c, i: UNEVEN[c] == i),
    ):
        losses = []
        for query, row in enumerate(rows):
            wrong = sum(math.exp(s) for other, s in enumerate(row) if not own(query, other))
            right = [s for other, s in enumerate(row) if own(query, other)]
            losses += [-math.log(math.exp(s) / (math.exp(s) + wrong)) for s in right]
        ways.append(sum(losses) / len(losses))
    loss = build_objective("pml:NTXentLoss", {"temperature": 0.1})(images, captions, owners)
    assert loss.item() == pytest.approx(sum(ways) / 2, rel=1e-6)


def test_a_miner_of_the_hardest_triplets_gives_vsepps_hinge() -> None:
    images, captions, owners, _ = batch([0, 1, 2, 3, 4, 5])
    hardest = build_objective(
        "pml:TripletMarginLoss",
        {
            "margin": 5.0,
            "distance": "CosineSimilarity",
            "reducer": "MeanReducer",
            "miner": {"name": "BatchHardMiner", "distance": "CosineSimilarity"},
        },
    )
    hinge = build_objective("hinge", {"margin": 5.0, "reduction": "mean"})
    loss = hardest(images, captions, owners)
    assert loss.item() == pytest.approx(hinge(images, captions, owners).item() / 2, rel=1e-6)


def test_a_weighted_sum_is_the_sum_of_weighted_terms() -> None:
    images, captions, owners, targets = batch(UNEVEN)
    soft = {"soft_weight": 0.3}
    objective = build_objective(
        "weighted_sum",
        {"terms": [{"name": "hinge", "weight": 0.5}, {"name": "infonce", "params": soft}]},
    )
    assert objective.needs == {"targets"}
    wanted = 0.5 * build_objective("hinge")(images, captions, owners)
    wanted = wanted + build_objective("infonce", soft)(images, captions, owners, given=Given(targets=targets))
    torch.testing.assert_close(objective(images, captions, owners, given=Given(targets=targets)), wanted)


@pytest.mark.parametrize("name", ["hinge", "infonce", "pml:NTXentLoss", "pml:TripletMarginLoss"])
def test_a_loss_does_not_depend_on_the_order_of_the_batch(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    objective = build_objective(name)
    loss = objective(images, captions, owners)
    rows, columns = torch.randperm(len(images)), torch.randperm(len(captions))
    shuffled = objective(images[rows], captions[columns], torch.argsort(rows)[owners[columns]])
    torch.testing.assert_close(shuffled, loss)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("infonse", {}, "objective infonse: not known; known: convirt, cusa, distill, hinge,"),
        (
            "infonce",
            {"temprature": 1},
            "infonce: temprature is not known; known: label_smoothing, learned",
        ),
        (
            "infonce",
            {"temperature": "hot"},
            "objective infonce: temperature='hot': a finite number is needed",
        ),
        (
            "infonce",
            {"temperature": math.nan},
            "objective infonce: temperature=nan: a finite number is needed",
        ),
        ("hinge", {"margin": math.inf}, "objective hinge: margin=inf: a finite number is needed"),
        ("infonce", {"temperature": 0.001}, "temperature=0.001: its inverse is above max_scale=100.0"),
        ("infonce", {"temperature": 0}, "must be above 0"),
        ("infonce", {"learned": 1}, "learned=1: a bool is needed"),
        ("infonce", {"soft_weight": 1.5}, "soft_weight=1.5: must be shares of 1"),
        ("hinge", {"negatives": "some"}, "negatives='some' is not known; known: all, hardest"),
        ("hinge", {"reduction": "median"}, "reduction='median' is not known; known: mean, sum"),
        ("hinge", {"margin": 10**400}, "a finite number is needed"),
        ("weighted_sum", {}, "one or more, a weight each"),
        ("weighted_sum", {"terms": ["hinge"]}, "a list of mappings with name, params and weight"),
        ("weighted_sum", {"terms": [{"weight": 1}]}, "has to have a name"),
        (
            "weighted_sum",
            {"terms": [{"name": "hinge", "params": {"x": 1}}]},
            "objective hinge: x is not known",
        ),
        (
            "weighted_sum",
            {"terms": [{"name": "hinge", "weight": "a"}]},
            "objective weighted_sum: terms: weight='a': a finite number of 0 or more is needed",
        ),
        ("weighted_sum", {"terms": [{"name": 3}]}, "terms: {'name': 3} has to have a name, and"),
        ("weighted_sum", {"terms": [{"name": "hinge", "params": {1: 2}}]}, "terms: params={1: 2}: a mapping"),
        (
            "weighted_sum",
            {"terms": [{"name": "hinge", "params": [1]}]},
            "objective weighted_sum: terms: params=[1]: a mapping of names and values is needed",
        ),
        (
            "pml:TripletMarginLoss",
            {"margin": "a"},
            "objective pml:TripletMarginLoss: TripletMarginLoss: margin='a': a finite number is needed",
        ),
        ("pml:TripletMarginLoss", {"swap": 1}, "swap=1: true or false is needed"),
        (
            "pml:TripletMarginLoss",
            {"reducer": {"name": "ThresholdReducer", "high": "b"}},
            "ThresholdReducer: high='b': a number is needed",
        ),
        ("pml:NTXent", {}, "'NTXent' is not among the losses known: AngularLoss"),
        ("pml:NTXentLoss", {"tau": 1}, "NTXentLoss: tau is not known; known: collect_stats, distance"),
        ("pml:NTXentLoss", {"name": "x"}, "name='x': the loss is named by the objective, NTXentLoss"),
        (
            "pml:NTXentLoss",
            {"distance": {"name": "LpDistance", 2: 1}},
            "a mapping with a name and parameters",
        ),
        ("pml:NTXentLoss", {"distance": "Cos"}, "'Cos' is not among the distances known: CosineSimilarity"),
        (
            "pml:NTXentLoss",
            {"distance": {"p": 2}},
            "distances: a name, or a mapping with a name and parameters",
        ),
        ("pml:NTXentLoss", {"pairs": "some"}, "pairs='some' is not known; known: all, cross"),
        (
            "pml:TripletMarginLoss",
            {"miner": {"name": "BatchHardMiner", "x": 1}},
            "BatchHardMiner: x is not known",
        ),
        ("pml:AngularLoss", {"distance": "CosineSimilarity"}, "AngularLoss: "),
    ],
)
def test_what_is_wrong_is_named(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        build_objective(name, params)


@pytest.mark.parametrize("name", [*sorted(OBJECTIVES), "pml:NTXentLoss", "pml:ArcFaceLoss"])
def test_a_batch_that_does_not_fit_is_named(name: str) -> None:
    terms = {"terms": [{"name": "hinge"}, {"name": "instance"}]}
    objective = build_objective(name, terms if name == "weighted_sum" else {}, images=6, embedding=5)
    images, captions, owners, _ = batch(UNEVEN)
    for few in (3, 5):
        with pytest.raises(UsageError, match=f"owners: from 0 to 5; rows of {few} images"):
            objective(images[:few], captions, owners)
    with pytest.raises(UsageError, match="owners: from -1 to 4; rows of 6 images"):
        objective(images, captions, owners - 1)
    with pytest.raises(UsageError, match="a batch without captions has no loss"):
        objective(images, captions[:0], owners[:0])


def test_parameters_of_every_part_can_be_saved_and_loaded() -> None:
    objective = build_objective("infonce")
    with torch.no_grad():
        objective.log_scale.fill_(1.5)
    again = build_objective("infonce")
    again.load_state_dict(objective.state_dict())
    assert again.scale().item() == pytest.approx(math.exp(1.5))
