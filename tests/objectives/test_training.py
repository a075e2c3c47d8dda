"""Whatever can be named trains: on separable data the loss falls and the right ones are found."""

from __future__ import annotations

import contextlib

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")

from sterna.errors import UsageError
from sterna.objectives import METRIC_LEARNING, OBJECTIVES
from tests.objectives.toy import IMAGES, check_learns

OWN = {
    "convirt": {},
    "cusa": {},
    "distill": {},
    "hinge": {},
    "infonce": {},
    "instance": {},
    "sigmoid": {},
    "smooth_ap": {},
    "weighted_sum": {"terms": [{"name": "hinge"}, {"name": "instance", "weight": 0.1}]},
}
WEIGHTS = [1.0, 2.0] * (IMAGES // 2)
# A loss and parameters with each distance, reducer, regularizer and miner.
PARTS: dict[str, list[tuple[str, dict[str, object]]]] = {
    "CosineSimilarity": [
        ("ContrastiveLoss", {"distance": "CosineSimilarity"}),
        ("MarginLoss", {"distance": "CosineSimilarity"}),
        ("LiftedStructureLoss", {"distance": "CosineSimilarity"}),
    ],
    "DotProductSimilarity": [("NTXentLoss", {"distance": "DotProductSimilarity"})],
    "LpDistance": [
        ("TripletMarginLoss", {"distance": {"name": "LpDistance", "p": 1, "normalize_embeddings": False}}),
        ("NTXentLoss", {"distance": "LpDistance"}),
    ],
    "SNRDistance": [("TripletMarginLoss", {"distance": "SNRDistance"})],
    "AvgNonZeroReducer": [("NTXentLoss", {"reducer": "AvgNonZeroReducer"})],
    "ClassWeightedReducer": [
        ("ContrastiveLoss", {"reducer": {"name": "ClassWeightedReducer", "weights": WEIGHTS}})
    ],
    "DivisorReducer": [("MarginLoss", {"reducer": "DivisorReducer"})],
    "MeanReducer": [("TripletMarginLoss", {"reducer": "MeanReducer"})],
    "MultipleReducers": [
        ("ContrastiveLoss", {"reducer": {"name": "MultipleReducers", "reducers": {"pos_loss": "SumReducer"}}})
    ],
    "PerAnchorReducer": [
        ("ContrastiveLoss", {"reducer": {"name": "PerAnchorReducer", "reducer": "SumReducer"}}),
        ("TupletMarginLoss", {"reducer": "PerAnchorReducer"}),
    ],
    "SumReducer": [("TripletMarginLoss", {"reducer": "SumReducer"})],
    "ThresholdReducer": [
        ("TripletMarginLoss", {"reducer": {"name": "ThresholdReducer", "low": 0.01, "high": 2.0}})
    ],
    "CenterInvariantRegularizer": [
        ("NormalizedSoftmaxLoss", {"weight_regularizer": "CenterInvariantRegularizer"}),
    ],
    "LpRegularizer": [
        ("TripletMarginLoss", {"embedding_regularizer": {"name": "LpRegularizer", "p": 1}}),
        ("ProxyNCALoss", {"weight_regularizer": "LpRegularizer"}),
    ],
    "RegularFaceRegularizer": [("NormalizedSoftmaxLoss", {"weight_regularizer": "RegularFaceRegularizer"})],
    "SparseCentersRegularizer": [
        (
            "SoftTripleLoss",
            {
                "centers_per_class": 2,
                "weight_regularizer": "SparseCentersRegularizer",
                "weight_reg_weight": 10,
            },
        )
    ],
    "ZeroMeanRegularizer": [("NTXentLoss", {"embedding_regularizer": "ZeroMeanRegularizer"})],
    **{
        miner: [("TripletMarginLoss", {"margin": 0.2, "miner": miner})]
        for miner in METRIC_LEARNING["miners"]
        if miner != "UniformHistogramMiner"
    },
    "UniformHistogramMiner": [
        ("ContrastiveLoss", {"miner": {"name": "UniformHistogramMiner", "num_bins": 10}})
    ],
}
OTHERS: list[tuple[str, dict[str, object]]] = [
    ("convirt", {"similarity": "twice"}),
    ("cusa", {"cross": 0.0}),
    ("distill", {"kind": "mse"}),
    ("hinge", {"negatives": "all", "reduction": "mean"}),
    ("hinge", {"similarity": "order"}),
    ("hinge", {"similarity": "twice", "warmup": 2}),
    ("infonce", {"similarity": "twice", "soft_weight": 0.2}),
    ("pml:TripletMarginLoss", {"swap": True}),
    ("pml:TripletMarginLoss", {"triplets_per_anchor": 5}),
    ("pml:TripletMarginLoss", {"pairs": "all", "smooth_loss": True}),
    ("pml:MarginLoss", {"learn_beta": True, "nu": 0.01}),
    ("pml:LiftedStructureLoss", {"miner": "MultiSimilarityMiner"}),
    ("pml:HistogramLoss", {"miner": "MultiSimilarityMiner"}),
    ("pml:NCALoss", {"miner": "BatchHardMiner"}),
    ("pml:PNPLoss", {"variant": "Ib"}),
]


def test_all_that_can_be_named_is_trained_here() -> None:
    assert set(OWN) == set(OBJECTIVES)
    assert set(PARTS) == {
        name for kind, names in METRIC_LEARNING.items() if kind != "losses" for name in names
    }


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_objective_learns(name: str) -> None:
    check_learns(name, OWN[name])


@pytest.mark.parametrize("name", METRIC_LEARNING["losses"])
def test_every_loss_of_the_library_learns(name: str) -> None:
    check_learns(f"pml:{name}", {})


@pytest.mark.parametrize(
    ("loss", "params"),
    [pytest.param(*case, id=f"{part}-{case[0]}") for part, cases in PARTS.items() for case in cases],
)
def test_every_part_of_the_library_learns(loss: str, params: dict[str, object]) -> None:
    check_learns(f"pml:{loss}", params)


@pytest.mark.parametrize(("name", "params"), OTHERS)
def test_other_settings_learn(name: str, params: dict[str, object]) -> None:
    check_learns(name, params)


@pytest.mark.long
@pytest.mark.parametrize("part", [*METRIC_LEARNING["distances"], *METRIC_LEARNING["miners"]])
@pytest.mark.parametrize("loss", METRIC_LEARNING["losses"])
def test_what_is_not_refused_learns(loss: str, part: str) -> None:
    kind = "distance" if part in METRIC_LEARNING["distances"] else "miner"
    with contextlib.suppress(UsageError):
        check_learns(f"pml:{loss}", {kind: part})
