"""From a name and parameters to an objective."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sterna.errors import UsageError
from sterna.objectives._convirt import ConVIRT
from sterna.objectives._cusa import CUSA
from sterna.objectives._distill import Distill
from sterna.objectives._hinge import Hinge
from sterna.objectives._infonce import InfoNCE
from sterna.objectives._instance import Instance
from sterna.objectives._objective import Objective, is_mapping, is_number
from sterna.objectives._pml_build import build_metric_learning
from sterna.objectives._sigmoid import Sigmoid
from sterna.objectives._smooth_ap import SmoothAP
from sterna.objectives._weighted_sum import WeightedSum

__all__ = ["OBJECTIVES", "build_objective"]

PML = "pml:"
OF_DATA = ("embedding", "images")
"""what `build_objective` is told of the data and passes on to those that take it"""


def _weighted_sum(
    *, terms: object = (), images: int | None = None, embedding: int | None = None
) -> WeightedSum:
    """The sum of objectives, each times its weight.

    `terms` is a list of mappings of `name`, `params` and `weight` (1 unless given).
    """
    if not isinstance(terms, list | tuple) or not all(isinstance(term, Mapping) for term in terms):
        raise UsageError("terms: a list of mappings with name, params and weight is needed")
    for term in terms:
        _check_term(term)
    return WeightedSum(
        [
            build_objective(term["name"], term.get("params"), images=images, embedding=embedding)
            for term in terms
        ],
        [float(term.get("weight", 1.0)) for term in terms],
    )


def _check_term(term: Mapping[str, Any]) -> None:
    if not isinstance(term.get("name"), str) or set(term) - {"name", "params", "weight"}:
        raise UsageError(f"terms: {dict(term)} has to have a name, and may have params and weight")
    if term.get("params") is not None and not is_mapping(term["params"]):
        raise UsageError(f"terms: params={term['params']!r}: a mapping of names and values is needed")
    if not is_number(term.get("weight", 1.0)) or term.get("weight", 1.0) < 0:
        raise UsageError(f"terms: weight={term['weight']!r}: a finite number of 0 or more is needed")


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "convirt": ConVIRT,
    "cusa": CUSA,
    "distill": Distill,
    "hinge": Hinge,
    "infonce": InfoNCE,
    "instance": Instance,
    "sigmoid": Sigmoid,
    "smooth_ap": SmoothAP,
    "weighted_sum": _weighted_sum,
}


def build_objective(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    images: int | None = None,
    embedding: int | None = None,
) -> Objective:
    """Build the objective called `name` with its parameters.

    Arguments:
        name: one of `OBJECTIVES`, or "pml:" and a loss of pytorch-metric-learning ("pml:NTXentLoss").
        params: the arguments of the objective's class; for "weighted_sum" `terms`, a list of mappings with
            `name`, `params` and `weight`; for "pml:..." the loss's own, and `distance`, `reducer`,
            `embedding_regularizer`, `weight_regularizer`, `miner` (each a name or a mapping of `name` and
            parameters) and `pairs` ("cross" or "all").
        images, embedding: how many images are trained on, and the width of the vectors, for objectives with
            weights of their own for each image.
    Raises `UsageError` listing what is known where the name or a parameter is not, and for values out of
    range.
    """
    given = dict(params or {})
    try:
        if name.startswith(PML):
            loss = name.removeprefix(PML)
            return build_metric_learning(loss, given, images=images, embedding=embedding)
        if name not in OBJECTIVES:
            known = ", ".join(sorted(OBJECTIVES))
            raise UsageError(
                f"not known; known: {known}, and {PML}NAME for losses of pytorch-metric-learning"
            )
        kind = OBJECTIVES[name]
        told = {"embedding": embedding, "images": images}
        taken = set(inspect.signature(kind).parameters)
        return kind(**_checked(kind, given), **{key: value for key, value in told.items() if key in taken})
    except UsageError as error:
        raise UsageError(f"objective {name}: {error}") from None


def _checked(kind: Callable[..., Objective], given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in their defaults' types; `UsageError` for those that do not fit or that `kind` lacks."""
    taken = inspect.signature(kind).parameters
    known = {key: value for key, value in taken.items() if key not in OF_DATA}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"{', '.join(unknown)} is not known; known: {', '.join(sorted(known))}")
    checked: dict[str, Any] = {}
    for key, value in given.items():
        wanted = type(known[key].default)
        if wanted is float and not is_number(value):
            raise UsageError(f"{key}={value!r}: a finite number is needed")
        if wanted is int and (not is_number(value) or not isinstance(value, int)):
            raise UsageError(f"{key}={value!r}: a whole number is needed")
        if wanted in (bool, str) and not isinstance(value, wanted):
            raise UsageError(f"{key}={value!r}: a {wanted.__name__} is needed")
        checked[key] = float(value) if wanted is float else value
    return checked
