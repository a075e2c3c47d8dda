"""The losses of TERN's re-implementation, from its own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sterna.errors import UsageError, check_known
from sterna.objectives._build import build_objective
from sterna.objectives._objective import Objective, is_number
from sterna.objectives._pml_check import spec_of

__all__ = ["from_reimplementation"]

CUSTOM = "custom_nxtent"
LOSSES = {"contrastive": "ContrastiveLoss", "nxtent": "NTXentLoss", "triplet": "TripletMarginLoss"}
# Its names of parts; the library's own names may be given too.
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    "distance": {
        "cosine": {"name": "CosineSimilarity"},
        "dot": {"name": "DotProductSimilarity"},
        "euclidean": {"name": "LpDistance"},
        "snr": {"name": "SNRDistance"},
    },
    "reducer": {
        "avg_non_zero": {"name": "AvgNonZeroReducer"},
        "mean": {"name": "MeanReducer"},
        "sum": {"name": "SumReducer"},
        "threshold": {"name": "ThresholdReducer"},
    },
    "regularizer": {
        "l1": {"name": "LpRegularizer", "p": 1},
        "l2": {"name": "LpRegularizer", "p": 2},
        "mean": {"name": "ZeroMeanRegularizer"},
    },
    "miner": {},
}


def from_reimplementation(config: Mapping[str, Any]) -> Objective:
    """The objective that the `loss` section of the re-implementation's settings means.

    `name` is "contrastive", "nxtent", "triplet" or "custom_nxtent" (with `temperature`), and `distance`
    ("cosine", "dot", "euclidean"), `reducer` ("threshold") and `regularizer` ("l1", "l2", "mean") are
    mappings of `name` and parameters; classes of pytorch-metric-learning may be named in their place, and
    `miner` too. Other entries are parameters of the loss. As there, images and captions are one set (pairs:
    "all"), but for "custom_nxtent".

    Where it fails, this does not: "contrastive" with a similarity, whose margins are then 1 and 0 unless they
    are given, and "mean", which keeps the sum of a vector's components at 0. Raises `UsageError` naming what
    is not known.
    """
    given = dict(config)
    name = given.pop("name", None)
    known = (*LOSSES, CUSTOM)
    if not isinstance(name, str):
        raise UsageError(f"loss: a name is needed; known: {', '.join(sorted(known))}")
    check_known("loss", name, known)
    if name == CUSTOM:
        return _custom(given)
    params: dict[str, Any] = {"pairs": "all"}
    for key, value in given.items():
        if value is None:
            continue
        if key in PARTS:
            part, own = spec_of(key, value)
            params["embedding_regularizer" if key == "regularizer" else key] = {
                **PARTS[key].get(part, {"name": part}),
                **own,
            }
        else:
            params[key] = value
    return build_objective(f"pml:{LOSSES[name]}", params)


def _custom(given: Mapping[str, Any]) -> Objective:
    """InfoNCE at a fixed temperature; with a `weight` of image to text, ConVIRT's."""
    unknown = sorted(set(given) - {"temperature", "weight"})
    if unknown:
        raise UsageError(f"{CUSTOM}: {', '.join(unknown)} is not known; known: temperature, weight")
    params = {"temperature": 1.0, "weight": 0.5, **given}
    if not all(map(is_number, params.values())):
        raise UsageError(f"{CUSTOM}: {dict(given)}: finite numbers are needed")
    return build_objective("convirt", params)
