"""From names and parameters to a loss of pytorch-metric-learning with its parts."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from sterna.errors import UsageError
from sterna.objectives._objective import Given
from sterna.objectives._pml import MetricLearning
from sterna.objectives._pml_check import check_value, spec_of
from sterna.objectives._pml_table import (
    CLASS_REGULARIZERS,
    CONFLICTS,
    DEFAULTS,
    LOSSES,
    METRIC_LEARNING,
    OF_SIMILARITIES,
)

__all__ = ["build_metric_learning"]

LIBRARY = "pytorch_metric_learning"
PARTS = {
    "default_reducer": "reducers",
    "distance": "distances",
    "embedding_regularizer": "regularizers",
    "reducer": "reducers",
    "weight_regularizer": "regularizers",
}
CODE = ("aggregation_func", "weight_init_func")
"""what only a program could give"""
MOST_CENTERS = 20_000
"""whose pairs still fit in memory"""


def build_metric_learning(
    name: str, params: Mapping[str, Any], *, images: int | None = None, embedding: int | None = None
) -> MetricLearning:
    """Build the library's loss `name`.

    `params` are the loss's own, by the library's names, and may hold `distance`, `reducer`,
    `embedding_regularizer`, `weight_regularizer` (for losses with vectors of classes) and `miner`, each a
    name or a mapping of `name` and that part's own parameters (a miner may have a `distance` too), and
    `pairs` (see `MetricLearning`). `images` and `embedding` are the number of images trained on and the width
    of vectors, for losses whose classes are the images. Raises `UsageError` listing what is known where a
    name or a parameter is not, and for parts that cannot go together.
    """
    own = dict(params)
    if "name" in own:
        raise UsageError(f"name={own['name']!r}: the loss is named by the objective, {name}")
    pairs = own.pop("pairs", "")
    miner = own.pop("miner", None)
    if not isinstance(pairs, str):
        raise UsageError(f"pairs={pairs!r}: a str is needed")
    builder = _Builder(name, images=images, embedding=embedding)
    loss = builder.build("losses", {**own, "name": name})
    picked = None if miner is None else builder.build("miners", miner)
    way = "joined" if own.get("swap") is True else LOSSES[name]
    if way == "joined" and own.get("triplets_per_anchor", "all") != "all":
        raise UsageError(
            f"{name}: triplets_per_anchor={own['triplets_per_anchor']!r}: with swap, 'all' alone"
        )
    objective = MetricLearning(loss, picked, pairs=pairs, way=way, images=builder.classes(own, way))
    _try(objective, width=embedding or 8)
    return objective


class _Builder:
    """Builds parts for one loss; knows which were built."""

    def __init__(self, loss: str, *, images: int | None, embedding: int | None) -> None:
        self.loss, self.images, self.embedding = loss, images, embedding
        self.built: set[str] = set()

    def classes(self, own: Mapping[str, Any], way: str) -> int | None:
        """How many images there are, where the loss tells them apart from step to step."""
        if way != "classes" and "ClassWeightedReducer" not in self.built and not own.get("num_classes"):
            return None
        if not self.images:
            raise UsageError(f"{self.loss}: the number of images trained on is needed")
        for key in ("num_classes",):
            if own.get(key) is not None and own[key] < self.images:
                raise UsageError(f"{self.loss}: {key}={own[key]}: there are {self.images} images")
        return self.images

    def build(self, kind: str, spec: object) -> nn.Module:
        """Build a part from its name, or from a mapping of its name and its parameters."""
        name, own = spec_of(kind, spec)
        if name not in METRIC_LEARNING[kind]:
            raise UsageError(f"{name!r} is not among the {kind} known: {', '.join(METRIC_LEARNING[kind])}")
        self._check_company(name)
        known = _parameters(name, _class(kind, name))
        unknown = sorted(set(own) - set(known))
        if unknown:
            raise UsageError(f"{name}: {', '.join(unknown)} is not known; known: {', '.join(sorted(known))}")
        for key, value in own.items():
            if key not in PARTS:
                check_value(name, key, value, default=known[key])
        own = self._filled(name, own, known)
        own |= self._parts(name, own)
        if name in OF_SIMILARITIES and _is_similarity(own.get("distance")):
            own = OF_SIMILARITIES[name] | own
        return self._made(kind, name, own)

    def _made(self, kind: str, name: str, own: dict[str, Any]) -> nn.Module:
        from sterna.objectives._pml_own import OWN

        self.built.add(name)
        try:
            part: nn.Module = OWN.get(name, _class(kind, name))(**own)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{name}: {str(error) or f'cannot be made with {sorted(own)}'}") from None
        if kind == "losses":
            _keep_angles(part)
            _check_multiple(part)
        return part

    def _check_company(self, name: str) -> None:
        for part, losses, why in CONFLICTS:
            if part == name and self.loss in losses:
                raise UsageError(f"{self.loss}: {part} {why}")

    def _filled(self, name: str, own: dict[str, Any], known: Mapping[str, object]) -> dict[str, Any]:
        """Parameters with those that the data decide, and with our answers to what the library asks."""
        filled = DEFAULTS.get(name, {}) | own
        for key, value in (
            ("num_classes", self.images),
            ("embedding_size", self.embedding),
            ("descriptors_dim", self.embedding),
        ):
            if known.get(key) is inspect.Parameter.empty and key not in filled:
                if not value:
                    raise UsageError(
                        f"{name}: the number of images trained on and the width of vectors are needed"
                    )
                filled[key] = value
        if name == "SparseCentersRegularizer":
            count = filled["num_classes"] * filled["centers_per_class"]
            if count > MOST_CENTERS:
                raise UsageError(f"{name}: compares {count} centers with each other; {MOST_CENTERS} at most")
        return filled

    def _parts(self, name: str, own: Mapping[str, Any]) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        for key, value in own.items():
            if key == "embedding_regularizer" and spec_of("regularizers", value)[0] in CLASS_REGULARIZERS:
                raise UsageError(
                    f"{name}: embedding_regularizer={value!r}: is for vectors of classes, weight_regularizer"
                )
            if name in METRIC_LEARNING["regularizers"] and "ClassWeighted" in str(value):
                raise UsageError(f"{name}: ClassWeightedReducer weighs images, and a regularizer sees none")
            if key in PARTS and value is not None:
                parts[key] = self.build(PARTS[key], value)
            elif key == "reducers":
                parts[key] = {which: self.build("reducers", one) for which, one in value.items()}
            elif key == "weights":
                parts[key] = torch.tensor(value, dtype=torch.float32)
                if len(value) < (self.images or 0):
                    raise UsageError(f"{name}: {len(value)} weights for {self.images} images")
        return parts


def _class(kind: str, name: str) -> type:
    part: type = getattr(importlib.import_module(f"{LIBRARY}.{kind}"), name)
    return part


def _parameters(name: str, part: type) -> dict[str, object]:
    """What a class of the library takes, with defaults: its arguments, and its bases', which get the rest."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken: dict[str, object] = {
        parameter.name: parameter.default
        for base in reversed(part.__mro__)
        if base.__module__.startswith(LIBRARY) and "__init__" in vars(base)
        for parameter in inspect.signature(base).parameters.values()
        if parameter.kind in named and parameter.name not in CODE
    }
    fixed = {"CosineSimilarity": ("normalize_embeddings", "is_inverted"), "GenericPairLoss": ()}
    return {key: value for key, value in taken.items() if key not in fixed.get(name, ())}


def _is_similarity(distance: object) -> bool:
    return bool(getattr(distance, "is_inverted", False))


def _keep_angles(loss: nn.Module) -> None:
    """Let cosines whose angle is taken stay where it has a derivative."""
    from pytorch_metric_learning import distances, losses

    from sterna.objectives._pml_own import InnerCosine

    of_angles = (losses.LargeMarginSoftmaxLoss, losses.TupletMarginLoss)
    if isinstance(loss, of_angles) and type(loss.distance) is distances.CosineSimilarity:
        loss.distance = InnerCosine(p=loss.distance.p, power=loss.distance.power)


def _check_multiple(loss: Any) -> None:
    """Refuse reducers for terms that the loss does not have, which the library passes over."""
    from pytorch_metric_learning import reducers

    if isinstance(loss.reducer, reducers.MultipleReducers):
        unknown = sorted(set(loss.reducer.reducers) - set(loss.sub_loss_names()))
        if unknown:
            raise UsageError(
                f"reducers: {', '.join(unknown)} is no term of {type(loss).__name__}; its terms:"
                f" {', '.join(loss.sub_loss_names())}"
            )


def _try(objective: MetricLearning, *, width: int) -> None:
    """Compute a small batch once, on a copy: parts that cannot go together are refused before training."""
    generator = torch.Generator().manual_seed(0)
    owners = torch.tensor([0, 0, 1, 2, 2, 3, 3, 4])
    images, captions = (
        F.normalize(torch.randn(count, width, generator=generator), dim=1) for count in (5, len(owners))
    )
    places = torch.arange(5).clamp_max((objective.images or 5) - 1)
    name = type(objective.loss).__name__
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            copy.deepcopy(objective)(images, captions, owners, given=Given(places=places))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
            raise UsageError(f"{name}: these parts and parameters do not go together ({reason})") from None
