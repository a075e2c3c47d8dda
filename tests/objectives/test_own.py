"""Our own objectives against their formulas in loops, and what they need."""

from __future__ import annotations

import inspect
import math
import re

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from sterna.errors import UsageError
from sterna.objectives import OBJECTIVES, Given, build_objective
from tests.objectives.toy import UNEVEN, batch, everything

shapes = st.integers(1, 5).flatmap(
    lambda images: st.tuples(st.just(images), st.lists(st.integers(0, images - 1), min_size=1, max_size=8))
)
hypotheses = settings(deadline=None, max_examples=12)


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value - max(values)) for value in values)
    return [math.exp(value - max(values)) / total for value in values]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def entropies(score: list[list[float]], owners: list[int], temperature: float) -> tuple[float, float]:
    """Cross entropies of images over captions, with all their own as targets, and of captions over images."""
    i2t, t2i = [], []
    for i, row in enumerate(score):
        own = [c for c, owner in enumerate(owners) if owner == i]
        found = softmax([value / temperature for value in row])
        if own:
            i2t.append(-mean([math.log(found[c]) for c in own]))
    for c, owner in enumerate(owners):
        t2i.append(-math.log(softmax([row[c] / temperature for row in score])[owner]))
    return mean(i2t), mean(t2i)


def divergence(wanted: list[float], found: list[float]) -> float:
    return sum(w * (math.log(w) - math.log(f)) for w, f in zip(wanted, found, strict=True) if w > 0)


@hypotheses
@given(shape=shapes, seed=st.integers(0, 99), weight=st.sampled_from([0.0, 0.75, 1.0]))
def test_convirt_equals_its_formula(shape: tuple[int, list[int]], seed: int, weight: float) -> None:
    images, captions, owners, _ = batch(shape[1], images=shape[0], seed=seed)
    i2t, t2i = entropies((images @ captions.T).tolist(), shape[1], 0.2)
    objective = build_objective("convirt", {"weight": weight, "temperature": 0.2})
    loss = objective(images, captions, owners)
    assert loss.item() == pytest.approx(weight * i2t + (1 - weight) * t2i, rel=1e-6)


def cosines(rows: torch.Tensor) -> list[list[float]]:
    unit = [row / row.norm() for row in rows]
    return [[float(a @ b) for b in unit] for a in unit]


def slow_cusa(
    images: torch.Tensor, captions: torch.Tensor, owners: list[int], known: Given, *, cross: float, uni: float
) -> float:
    """Temperatures: 0.1 of what is trained, 0.2 of the image model, 0.3 of the text model."""
    score = (images @ captions.T).tolist()
    seen, read = cosines(known.image_targets), cosines(known.targets)
    described = sorted(set(owners))
    loss = mean(entropies(score, owners, 0.1))
    i2t, t2i = [], []
    for i in described:
        alike = dict(zip(described, softmax([seen[i][j] / 0.2 for j in described]), strict=True))
        wanted = [alike[owner] / owners.count(owner) for owner in owners]
        i2t.append(divergence(wanted, softmax([value / 0.1 for value in score[i]])))
    for c in range(len(owners)):
        alike_captions = softmax([value / 0.3 for value in read[c]])
        wanted = [
            sum(share for share, owner in zip(alike_captions, owners, strict=True) if owner == i)
            for i in range(len(images))
        ]
        t2i.append(divergence(wanted, softmax([row[c] / 0.1 for row in score])))
    loss += cross * (mean(i2t) + mean(t2i)) / 2
    for rows, frozen, temperature in ((images, seen, 0.2), (captions, read, 0.3)):
        mine = (rows @ rows.T).tolist()
        loss += (uni / 2) * mean(
            [
                divergence(softmax([v / temperature for v in a]), softmax([v / 0.1 for v in b]))
                for a, b in zip(frozen, mine, strict=True)
            ]
        )
    return loss


@hypotheses
@given(
    shape=shapes, seed=st.integers(0, 99), cross=st.sampled_from([0.0, 0.7]), uni=st.sampled_from([0.3, 1])
)
def test_cusa_equals_its_formula(shape: tuple[int, list[int]], seed: int, cross: float, uni: float) -> None:
    images, captions, owners, _ = batch(shape[1], images=shape[0], seed=seed)
    known = everything(images, captions, seed=seed)
    params = {
        "temperature": 0.1,
        "image_temperature": 0.2,
        "text_temperature": 0.3,
        "cross": cross,
        "uni": uni,
    }
    loss = build_objective("cusa", params).double()(images, captions, owners, given=known)
    wanted = slow_cusa(images, captions, shape[1], known, cross=cross, uni=uni)
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


@hypotheses
@given(shape=shapes, seed=st.integers(0, 99), kind=st.sampled_from(["kl", "mse"]))
def test_distillation_equals_its_formula(shape: tuple[int, list[int]], seed: int, kind: str) -> None:
    images, captions, owners, _ = batch(shape[1], images=shape[0], seed=seed)
    known = everything(images, captions, seed=seed)
    score, teacher = (images @ captions.T).tolist(), known.teacher.tolist()
    if kind == "mse":
        pairs = [(a, b) for x, y in zip(score, teacher, strict=True) for a, b in zip(x, y, strict=True)]
        wanted = mean([(a - b) ** 2 for a, b in pairs])
    else:
        ways = []
        for mine, theirs in (
            (score, teacher),
            (list(zip(*score, strict=True)), list(zip(*teacher, strict=True))),
        ):
            rows = [
                divergence(softmax([v / 0.4 for v in b]), softmax([v / 0.1 for v in a]))
                for a, b in zip(mine, theirs, strict=True)
            ]
            ways.append(mean(rows))
        wanted = mean(ways)
    objective = build_objective("distill", {"kind": kind, "temperature": 0.1, "teacher_temperature": 0.4})
    loss = objective(images, captions, owners, given=known)
    assert loss.item() == pytest.approx(wanted, rel=1e-6, abs=1e-12)


@hypotheses
@given(shape=shapes, seed=st.integers(0, 99), smoothing=st.sampled_from([0.0, 0.1]))
def test_instance_loss_equals_its_formula(shape: tuple[int, list[int]], seed: int, smoothing: float) -> None:
    images, captions, owners, _ = batch(shape[1], images=shape[0], seed=seed)
    places = torch.randperm(9)[: len(images)]
    params = {"temperature": 0.2, "label_smoothing": smoothing}
    objective = build_objective("instance", params, images=9, embedding=5).double()
    classes = [row / row.norm() for row in objective.classes.detach()]
    sides = []
    for rows, labels in ((images, places.tolist()), (captions, places[owners].tolist())):
        losses = []
        for row, label in zip(rows, labels, strict=True):
            found = softmax([float(row @ one) / 0.2 for one in classes])
            wanted = [(1 - smoothing) * (k == label) + smoothing / 9 for k in range(9)]
            losses.append(-sum(w * math.log(f) for w, f in zip(wanted, found, strict=True)))
        sides.append(mean(losses))
    loss = objective(images, captions, owners, given=Given(places=places))
    assert loss.item() == pytest.approx(mean(sides), rel=1e-6)


@hypotheses
@given(shape=shapes, seed=st.integers(0, 99))
def test_smooth_precision_equals_its_formula(shape: tuple[int, list[int]], seed: int) -> None:
    images, captions, owners, _ = batch(shape[1], images=shape[0], seed=seed)
    score = (images @ captions.T).tolist()
    ways = [
        (score, [[c for c, owner in enumerate(shape[1]) if owner == i] for i in range(len(images))]),
        (list(zip(*score, strict=True)), [[owner] for owner in shape[1]]),
    ]

    def above(row: list[float], other: int, one: int) -> float:
        return 1 / (1 + math.exp((row[one] - row[other]) / 0.05))

    precisions = []
    for rows, own in ways:
        mine = []
        for row, answers in zip(rows, own, strict=True):
            shares = []
            for one in answers:
                among = 1 + sum(above(row, other, one) for other in answers if other != one)
                rank = 1 + sum(above(row, other, one) for other in range(len(row)) if other != one)
                shares.append(among / rank)
            if answers:
                mine.append(mean(shares))
        precisions.append(mean(mine))
    loss = build_objective("smooth_ap", {"temperature": 0.05})(images, captions, owners)
    assert loss.item() == pytest.approx(1 - mean(precisions), rel=1e-6, abs=1e-9)


def test_the_hardest_negatives_count_alone_after_the_warmup() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    objective = build_objective("hinge", {"warmup": 1.5})
    every = build_objective("hinge", {"negatives": "all"})(images, captions, owners)
    hardest = build_objective("hinge")(images, captions, owners)
    assert every > hardest
    for epoch, wanted in ((0.0, every), (1.49, every), (1.5, hardest), (7.0, hardest)):
        assert objective(images, captions, owners, given=Given(epoch=epoch)) == wanted


@hypotheses
@given(
    shape=shapes,
    seed=st.integers(0, 99),
    temperature=st.sampled_from([0.05, 0.5, 1.0]),
    bias=st.sampled_from([-10.0, 0.0, 0.7]),
)
def test_the_sigmoid_loss_equals_its_formula(
    shape: tuple[int, list[int]], seed: int, temperature: float, bias: float
) -> None:
    images, captions, owners, _ = batch(shape[1], images=shape[0], seed=seed)
    total = 0.0
    for i, image in enumerate(images):
        for caption, owner in zip(captions, shape[1], strict=True):
            logit = float(image @ caption) / temperature + bias
            right = 1 / (1 + math.exp(-logit))
            total -= math.log(right if owner == i else 1 - right)
    loss = build_objective("sigmoid", {"temperature": temperature, "bias": bias})(images, captions, owners)
    assert loss.item() == pytest.approx(total / len(captions), rel=1e-5)


def test_the_sigmoid_loss_learns_its_temperature_and_bias_if_it_may() -> None:
    images, captions, owners, _ = batch(UNEVEN)
    learned, fixed = (build_objective("sigmoid", {"learned": learned}) for learned in (True, False))
    learned(images, captions, owners).backward()
    assert all(one.grad.abs() > 0 for one in (learned.log_scale, learned.bias))
    assert not [one for one in fixed.parameters() if one.requires_grad]
    assert set(fixed.state_dict()) == {"log_scale", "bias"}


OF_SCORES = sorted(
    name for name, kind in OBJECTIVES.items() if "similarity" in inspect.signature(kind).parameters
)


@pytest.mark.parametrize("name", OF_SCORES)
def test_a_score_stands_in_for_the_dot_product(name: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    known = everything(images, captions)
    objective = build_objective(name, {"similarity": "drawn"})
    assert "score:drawn" in objective.needs
    # vectors whose dot products are the scores
    scores = known.scores["drawn"]
    rows, columns = scores, torch.eye(len(owners), dtype=torch.float64)
    wanted = build_objective(name)(rows, columns, owners, given=known)
    torch.testing.assert_close(objective(images, captions, owners, given=known), wanted)
    with pytest.raises(UsageError, match="scores: the similarities 'drawn' of images and captions"):
        objective(images, captions, owners, given=Given(teacher=known.teacher))
    wrong = Given(scores={"drawn": scores.T})
    with pytest.raises(UsageError, match=r"scores: 'drawn' is \[10, 6\] for 6 images and 10 captions"):
        objective(images, captions, owners, given=wrong)


def test_a_sum_needs_what_its_terms_need_and_passes_on_the_number_of_images() -> None:
    terms = [
        {"name": "weighted_sum", "params": {"terms": [{"name": "instance"}, {"name": "distill"}]}},
        {"name": "infonce", "params": {"soft_weight": 0.1, "similarity": "drawn"}, "weight": 0.5},
        {"name": "pml:ArcFaceLoss"},
        {"name": "cusa"},
    ]
    objective = build_objective("weighted_sum", {"terms": terms}, images=6, embedding=5)
    assert objective.needs == {"places", "teacher", "targets", "image_targets", "score:drawn"}
    images, captions, owners, _ = batch(UNEVEN)
    known = everything(images, captions)
    whole = objective(images, captions, owners, given=known)
    parts = [term(images, captions, owners, given=known) for term in objective.terms]
    torch.testing.assert_close(whole, parts[0] + 0.5 * parts[1] + parts[2] + parts[3])
    nested = objective.terms[0].terms
    torch.testing.assert_close(parts[0], sum(term(images, captions, owners, given=known) for term in nested))


ALL = {
    **{name: {} for name in OBJECTIVES},
    "weighted_sum": {"terms": [{"name": "hinge"}]},
    **{
        f"pml:{name}": {} for name in ("NTXentLoss", "TripletMarginLoss", "LiftedStructureLoss", "VICRegLoss")
    },
    **{f"pml:{name}": {} for name in ("FastAPLoss", "NPairsLoss", "HistogramLoss", "TupletMarginLoss")},
    **{f"pml:{name}": {} for name in ("ArcFaceLoss", "MultiSimilarityLoss", "CircleLoss", "SupConLoss")},
}


def loss_and_slopes(
    name: str, images: torch.Tensor, captions: torch.Tensor, owners: list[int]
) -> torch.Tensor:
    objective = build_objective(name, ALL[name], images=len(images), embedding=images.shape[1])
    images, captions = images.clone().requires_grad_(), captions.clone().requires_grad_()
    known = everything(images, captions)
    loss = objective(images, captions, torch.tensor(owners), given=known)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    for vectors in (images, captions):
        assert vectors.grad is None or vectors.grad.isfinite().all()
    return loss.detach()


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_derivatives_are_the_slopes_of_the_loss(name: str) -> None:
    objective = build_objective(name, ALL[name], images=6, embedding=5).double()
    images, captions, owners, _ = batch(UNEVEN)
    known = everything(images, captions)
    images.requires_grad_()
    captions.requires_grad_()
    objective(images, captions, owners, given=known).backward()
    for at, vectors in enumerate((images, captions)):
        way = 1e-6 * torch.randn_like(vectors)
        ends = []
        for moved in (vectors.detach() + way, vectors.detach() - way):
            sides = [images, captions]
            sides[at] = moved
            ends.append(objective(*sides, owners, given=known).item())
        assert ends[0] - ends[1] == pytest.approx(2 * (vectors.grad * way).sum().item(), rel=1e-4)


@pytest.mark.parametrize("name", sorted(ALL))
class TestEveryObjective:
    def test_takes_an_image_without_a_caption(self, name: str) -> None:
        loss_and_slopes(name, *(side.float() for side in batch(UNEVEN)[:2]), UNEVEN)

    def test_takes_a_single_image(self, name: str) -> None:
        for owners in ([0], [0, 0, 0]):
            loss_and_slopes(name, *(side.float() for side in batch(owners)[:2]), owners)

    def test_takes_equal_vectors(self, name: str) -> None:
        one = normalize(torch.ones(1, 4), dim=1)
        loss_and_slopes(name, one.repeat(3, 1), one.repeat(4, 1), [0, 0, 1, 2])

    def test_takes_a_batch_that_is_learned(self, name: str) -> None:
        images = torch.eye(4)
        loss_and_slopes(name, images, images[[0, 0, 1, 2, 3]], [0, 0, 1, 2, 3])

    def test_takes_half_precision_as_float32(self, name: str) -> None:
        images, captions = (side.float() for side in batch(UNEVEN)[:2])
        for dtype in (torch.float16, torch.bfloat16):
            torch.manual_seed(0)
            loss = loss_and_slopes(name, images.to(dtype), captions.to(dtype), UNEVEN)
            torch.manual_seed(0)
            wanted = loss_and_slopes(name, images.to(dtype).float(), captions.to(dtype).float(), UNEVEN)
            assert loss.dtype == torch.float32
            torch.testing.assert_close(loss, wanted)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("hinge", {"margin": -0.1}, "hinge: margin=-0.1: must be 0 or more"),
        ("hinge", {"warmup": -1}, "hinge: warmup=-1.0: must be 0 or more"),
        ("hinge", {"warmup": 1, "negatives": "all"}, "warmup=1.0: leads from all negatives to the hardest"),
        ("hinge", {"similarity": ""}, "similarity='': dot, order, or the name of a score is needed"),
        ("infonce", {"temperature": -1}, "temperature=-1.0: must be above 0"),
        ("infonce", {"soft_temperature": 0}, "soft_temperature=0.0: must be above 0"),
        ("convirt", {"temperature": 0}, "convirt: temperature=0.0: must be above 0"),
        ("convirt", {"weight": 1.2}, "convirt: weight=1.2: must be a share of 1"),
        ("cusa", {"cross": -1}, "cusa: cross=-1.0: must be 0 or more"),
        ("cusa", {"cross": 0, "uni": 0}, "nothing of CUSA is left; use infonce"),
        ("cusa", {"text_temperature": 0}, "text_temperature=0.0: must be above 0"),
        ("distill", {"kind": "l1"}, "kind='l1' is not known; known: kl, mse"),
        ("distill", {"teacher_temperature": 0}, "teacher_temperature=0.0: must be above 0"),
        ("instance", {}, "instance: images=None, embedding=None: the number of images trained on"),
        ("instance", {"images": 5}, "instance: images is not known; known: label_smoothing, temperature"),
        ("instance", {"label_smoothing": 1}, "label_smoothing=1.0: must be a share of 1"),
        ("sigmoid", {"temperature": 0}, "sigmoid: temperature=0.0: must be above 0"),
        ("sigmoid", {"bias": None}, "sigmoid: bias=None: a finite number is needed"),
        ("smooth_ap", {"temperature": -1}, "smooth_ap: temperature=-1.0: must be above 0"),
        (
            "weighted_sum",
            {"terms": [{"name": "hinge", "weight": -1}]},
            "weight=-1: a finite number of 0 or more",
        ),
    ],
)
def test_values_out_of_range_are_named(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        build_objective(name, params)


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("cusa", {}, "image_targets: vectors of a frozen image model"),
        ("cusa", {"image_targets": torch.ones(6, 3)}, "targets: vectors of a frozen text model"),
        ("cusa", {"image_targets": torch.ones(5, 3)}, "came [5, 3] for a batch of [6, -1]"),
        ("distill", {}, "teacher: similarities of another model [N, C] are needed"),
        ("distill", {"teacher": torch.ones(10, 6)}, "came [10, 6] for a batch of [6, 10]"),
        ("instance", {}, "places: the images' places among all that are trained on [N] are needed"),
        ("instance", {"places": torch.arange(6) + 1}, "places: from 1 to 6; the objective was built for 6"),
    ],
)
def test_what_an_objective_is_not_given_is_named(name: str, known: dict, message: str) -> None:
    images, captions, owners, _ = batch(UNEVEN)
    objective = build_objective(name, images=6, embedding=5)
    assert set(objective.needs) & {message.split(":", maxsplit=1)[0], *known}
    with pytest.raises(UsageError, match=re.escape(message)):
        objective(images, captions, owners, given=Given(**known))
