"""The re-implementation's settings of losses, and the values that it gave."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")
safetensors = pytest.importorskip("safetensors")

from pytorch_metric_learning import distances, losses, miners, reducers, regularizers

from sterna.errors import UsageError
from sterna.objectives import from_reimplementation
from tests.objectives.toy import IMAGES, Toy, batch


def of_one_set(
    loss: torch.nn.Module, images: torch.Tensor, captions: torch.Tensor, mine=None
) -> torch.Tensor:
    labels = torch.arange(len(images)).repeat(2)
    vectors = torch.cat((images, captions))
    return loss(vectors, labels, None if mine is None else mine(vectors, labels))


def test_all_its_golden_losses_are_matched_or_work(shared: Path) -> None:
    with safetensors.safe_open(shared / "golden/seed_losses.safetensors", "pt") as golden:
        values = json.loads(golden.metadata()["values"])
        images, captions = golden.get_tensor("image"), golden.get_tensor("text")
    assert sum("loss" in value for value in values.values()) == 4
    for name, value in values.items():
        loss = from_reimplementation(value["config"])(images, captions, torch.arange(16))
        if "loss" in value:
            assert loss.item() == pytest.approx(value["loss"], rel=1e-5), name
        else:
            assert loss.item() > 0, name


CASES = [
    (
        {"name": "contrastive", "distance": {"name": "cosine"}},
        losses.ContrastiveLoss(distance=distances.CosineSimilarity(), pos_margin=1, neg_margin=0),
    ),
    (
        {"name": "contrastive", "distance": {"name": "dot"}, "pos_margin": 0.8, "neg_margin": 0.3},
        losses.ContrastiveLoss(distance=distances.DotProductSimilarity(), pos_margin=0.8, neg_margin=0.3),
    ),
    (
        {"name": "nxtent", "distance": {"name": "dot"}, "regularizer": {"name": "l1"}},
        losses.NTXentLoss(
            distance=distances.DotProductSimilarity(), embedding_regularizer=regularizers.LpRegularizer(p=1)
        ),
    ),
    (
        {"name": "nxtent", "distance": {"name": "euclidean"}, "temperature": 0.2},
        losses.NTXentLoss(distance=distances.LpDistance(), temperature=0.2),
    ),
    (
        {
            "name": "triplet",
            "distance": {"name": "cosine"},
            "reducer": {"name": "threshold", "low": 0.05, "high": 0.2},
        },
        losses.TripletMarginLoss(
            distance=distances.CosineSimilarity(), reducer=reducers.ThresholdReducer(low=0.05, high=0.2)
        ),
    ),
    (
        {"name": "triplet", "distance": {"name": "euclidean", "p": 1}, "regularizer": {"name": "l2"}},
        losses.TripletMarginLoss(
            distance=distances.LpDistance(p=1), embedding_regularizer=regularizers.LpRegularizer(p=2)
        ),
    ),
    (
        {"name": "triplet", "distance": {"name": "snr"}, "reducer": {"name": "mean"}, "margin": 0.3},
        losses.TripletMarginLoss(
            distance=distances.SNRDistance(), reducer=reducers.MeanReducer(), margin=0.3
        ),
    ),
    (
        {"name": "triplet", "reducer": {"name": "sum"}, "regularizer": {"name": "mean"}},
        losses.TripletMarginLoss(
            reducer=reducers.SumReducer(), embedding_regularizer=regularizers.ZeroMeanRegularizer()
        ),
    ),
    (
        {"name": "triplet", "distance": None, "reducer": {"name": "avg_non_zero"}},
        losses.TripletMarginLoss(),
    ),
]


@pytest.mark.parametrize(("config", "loss"), CASES)
def test_its_settings_mean_the_librarys_parts(config: dict[str, object], loss: torch.nn.Module) -> None:
    images, captions, owners, _ = batch(list(range(8)))
    ours = from_reimplementation(config)(images, captions, owners)
    torch.testing.assert_close(ours, of_one_set(loss, images, captions))


def test_a_miner_and_classes_of_the_library_may_be_named() -> None:
    images, captions, owners, _ = batch(list(range(8)))
    config = {"name": "triplet", "miner": {"name": "BatchHardMiner"}, "reducer": "MeanReducer"}
    ours = from_reimplementation(config)(images, captions, owners)
    own = losses.TripletMarginLoss(reducer=reducers.MeanReducer())
    torch.testing.assert_close(ours, of_one_set(own, images, captions, miners.BatchHardMiner()))


@pytest.mark.parametrize("weight", [0.5, 0.3])
def test_its_own_nxtent_is_a_cross_entropy_both_ways(weight: float) -> None:
    images, captions, owners, _ = batch(list(range(8)))
    config = {"name": "custom_nxtent", "temperature": 0.004, "weight": weight}
    loss = from_reimplementation(config)(images, captions, owners)
    logits = images @ captions.T / 0.004
    i2t, t2i = (torch.nn.functional.cross_entropy(one, owners) for one in (logits, logits.T))
    torch.testing.assert_close(loss, weight * i2t + (1 - weight) * t2i)
    warm = from_reimplementation({"name": "custom_nxtent"})(images, captions, owners)
    cold = from_reimplementation({"name": "custom_nxtent", "temperature": 1.0, "weight": 0.5})
    torch.testing.assert_close(warm, cold(images, captions, owners))


@pytest.mark.parametrize("config", [*(case[0] for case in CASES[:3]), {"name": "custom_nxtent"}])
def test_its_settings_learn(config: dict[str, object]) -> None:
    toy = Toy()
    told = toy.train(from_reimplementation(config))
    assert told[-1] < told[0]
    assert min(toy.found()) > 4 / IMAGES


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "loss: a name is needed; known: contrastive, custom_nxtent, nxtent, triplet"),
        ({"name": "arcface"}, "loss='arcface' is not known; known: contrastive, custom_nxtent"),
        (
            {"name": "triplet", "distance": {"name": "cos"}},
            "'cos' is not among the distances known: CosineSimilarity",
        ),
        ({"name": "triplet", "reducer": {"high": 1}}, "reducer: a name, or a mapping with a name"),
        ({"name": "triplet", "reduce": 1}, "TripletMarginLoss: reduce is not known"),
        ({"name": "custom_nxtent", "distance": {"name": "dot"}}, "custom_nxtent: distance is not known"),
        ({"name": "custom_nxtent", "temperature": "cold"}, "finite numbers are needed"),
        ({"name": "custom_nxtent", "temperature": -1}, "temperature=-1.0: must be above 0"),
    ],
)
def test_what_it_does_not_know_is_named(config: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        from_reimplementation(config)
