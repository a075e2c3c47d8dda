"""Which figure of a report decides: its name, its value, and whether more or less of it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sterna.evaluation import CUTOFFS, METRICS, Protocol

__all__ = ["cutoffs_for", "is_better", "known_metric", "lower_is_better", "metric_of"]

_REPORTED = Protocol().metrics


def known_metric(name: str) -> str:
    """`name`, if it is a figure of a report; `ValueError` listing those there are."""
    way, _, rest = name.partition(".")
    metric, _, cutoff = rest.partition(".")
    known = way in ("i2t", "t2i") and metric in _REPORTED
    if name != "rsum" and not (known and (_is_cutoff(cutoff) if METRICS[metric].at else metric == rest)):
        names = (f"{one}.K" if METRICS[one].at else one for one in _REPORTED)
        raise ValueError(f"a metric is rsum, or i2t. or t2i. and one of {', '.join(names)}")
    return name


def cutoffs_for(name: str) -> tuple[int, ...]:
    """The cut-offs to measure at so that a report has the figure `name`, with the usual ones."""
    cutoff = name.rpartition(".")[2]
    return tuple(sorted({*CUTOFFS, int(cutoff)})) if _is_cutoff(cutoff) else CUTOFFS


def _is_cutoff(text: str) -> bool:
    return text.isdecimal() and str(int(text)) == text != "0"


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
