"""Which figure of a report decides: its name, its value, and whether more or less of it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sterna.evaluation import METRICS

__all__ = ["is_better", "known_metric", "lower_is_better", "metric_of"]


def known_metric(name: str) -> str:
    """`name`, if it is a figure of a report; `ValueError` listing those there are."""
    way, dot, metric = name.partition(".")
    if name != "rsum" and not (dot and way in ("i2t", "t2i") and metric in METRICS):
        raise ValueError(f"a metric is rsum, or after i2t. or t2i. one of {', '.join(METRICS)}")
    return name


def metric_of(measured: Mapping[str, Any], name: str) -> float:
    """One number of a report by its path, such as "rsum" or "i2t.hits.1"."""
    value: Any = measured
    for key in name.split("."):
        value = value[key]
    return float(value)


def lower_is_better(name: str) -> bool:
    """Whether a metric counts places in a ranking, of which the first is the best."""
    return name.endswith("_rank")


def is_better(value: float, best: float | None, name: str) -> bool:
    """Whether `value` of the metric `name` goes beyond the best so far."""
    if best is None:
        return True
    return value < best if lower_is_better(name) else value > best
