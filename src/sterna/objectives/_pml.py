"""The door to pytorch-metric-learning: its losses over pairs, between images and captions."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sterna.errors import UsageError, check_known
from sterna.objectives._objective import NOTHING, Given, Objective, check_batch, is_number

__all__ = ["METRIC_LEARNING", "MetricLearning", "build_metric_learning"]

LIBRARY = "pytorch_metric_learning"
# What may be asked for, by its place in the library: what works between two sets of vectors.
METRIC_LEARNING: dict[str, tuple[str, ...]] = {
    "losses": (
        "AngularLoss",
        "CircleLoss",
        "ContrastiveLoss",
        "GeneralizedLiftedStructureLoss",
        "LiftedStructureLoss",
        "MarginLoss",
        "MultiSimilarityLoss",
        "NCALoss",
        "NTXentLoss",
        "SignalToNoiseRatioContrastiveLoss",
        "SupConLoss",
        "TripletMarginLoss",
        "TupletMarginLoss",
    ),
    "distances": ("CosineSimilarity", "DotProductSimilarity", "LpDistance", "SNRDistance"),
    "reducers": ("AvgNonZeroReducer", "MeanReducer", "SumReducer", "ThresholdReducer"),
    "regularizers": ("LpRegularizer", "ZeroMeanRegularizer"),
    "miners": (
        "AngularMiner",
        "BatchEasyHardMiner",
        "BatchHardMiner",
        "DistanceWeightedMiner",
        "MultiSimilarityMiner",
        "PairMarginMiner",
        "TripletMarginMiner",
    ),
}
PARTS = {"distance": "distances", "reducer": "reducers", "embedding_regularizer": "regularizers"}
PAIRS = ("all", "cross")


class MetricLearning(Objective):
    """A loss of pytorch-metric-learning between images and captions.

    Arguments:
        loss: takes (vectors, labels, indices, ref_emb=, ref_labels=), labels being the owning images.
        miner: picks the pairs or triplets that count; all do without one.
        pairs: "cross": images against captions and captions against images, the mean of the two; "all":
            images and captions as one set, in which two captions of an image are a positive pair too.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module | None = None, *, pairs: str = "cross") -> None:
        super().__init__()
        check_known("pairs", pairs, PAIRS)
        self.loss = loss
        self.miner = miner
        self.pairs = pairs

    def forward(
        self,
        images: Float[Tensor, "N E"],
        captions: Float[Tensor, "C E"],
        owners: Int64[Tensor, " C"],
        *,
        given: Given = NOTHING,
    ) -> Float[Tensor, ""]:
        """See `Objective.forward`; nothing given is read."""
        check_batch(images, captions, owners)
        labels = torch.arange(len(images), device=owners.device)
        if self.pairs == "all":
            vectors, both = torch.cat((images, captions)), torch.cat((labels, owners))
            chosen = None if self.miner is None else self.miner(vectors, both)
            loss: Tensor = self.loss(vectors, both, chosen)
            return loss
        return (
            self._one_way(images, labels, captions, owners) + self._one_way(captions, owners, images, labels)
        ) / 2

    def _one_way(self, queries: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor) -> Tensor:
        # The library takes the other set for the queries themselves when it sees the same tensor of labels
        # twice, and silently drops each query's pair with "itself", here its positive. Hence a copy.
        other_labels = other_labels.clone()
        chosen = None if self.miner is None else self.miner(queries, labels, others, other_labels)
        loss: Tensor = self.loss(queries, labels, chosen, ref_emb=others, ref_labels=other_labels)
        return loss


def build_metric_learning(name: str, params: Mapping[str, Any]) -> MetricLearning:
    """Build the library's loss `name`.

    `params` are the loss's own, by the library's names, and may hold `distance`, `reducer`,
    `embedding_regularizer` and `miner`, each a name or a mapping of `name` and that part's own parameters (a
    miner may have a `distance` too), and `pairs` (see `MetricLearning`). Raises `UsageError` listing what is
    known where a name or a parameter is not.
    """
    own = dict(params)
    pairs = own.pop("pairs", "cross")
    miner = own.pop("miner", None)
    return MetricLearning(
        _build("losses", {**own, "name": name}),
        None if miner is None else _build("miners", miner),
        pairs=pairs,
    )


def _build(kind: str, spec: object) -> nn.Module:
    """Build a part from its name, or from a mapping of its name and its parameters."""
    if isinstance(spec, str):
        spec = {"name": spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise UsageError(f"{kind}: a name, or a mapping with a name and parameters, is needed; came {spec!r}")
    name = spec["name"]
    if name not in METRIC_LEARNING[kind]:
        raise UsageError(f"{name!r} is not among the {kind} known: {', '.join(METRIC_LEARNING[kind])}")
    part = getattr(importlib.import_module(f"{LIBRARY}.{kind}"), name)
    own = {key: value for key, value in spec.items() if key != "name"}
    known = _parameters(part)
    unknown = sorted(set(own) - set(known))
    if unknown:
        raise UsageError(f"{name}: {', '.join(unknown)} is not known; known: {', '.join(sorted(known))}")
    for key, value in own.items():
        _check_value(name, key, value, default=known[key])
    own |= {key: _build(PARTS[key], value) for key, value in own.items() if key in PARTS}
    try:
        return part(**own)  # type: ignore[no-any-return]
    except (AssertionError, TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from None


def _check_value(name: str, key: str, value: object, *, default: object) -> None:
    """Refuse what the library would only trip over in the first step, such as text as a margin."""
    if key in PARTS or isinstance(default, str):
        return
    if isinstance(default, bool):
        fits, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int | float):
        fits, wanted = is_number(value), "a finite number"
    else:
        fits, wanted = not isinstance(value, str), "a number"
    if not fits:
        raise UsageError(f"{name}: {key}={value!r}: {wanted} is needed")


def _parameters(part: type) -> dict[str, object]:
    """What a class of the library takes, with defaults: its arguments, and its bases', which get the rest."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        parameter.name: parameter.default
        for base in reversed(part.__mro__)
        if base.__module__.startswith(LIBRARY) and "__init__" in vars(base)
        for parameter in inspect.signature(base).parameters.values()
        if parameter.kind in named
    }
