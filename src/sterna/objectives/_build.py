"""From a name and parameters to an objective."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sterna.errors import UsageError
from sterna.objectives._infonce import InfoNCE
from sterna.objectives._objective import Objective

__all__ = ["OBJECTIVES", "build_objective"]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "infonce": InfoNCE,
}


def build_objective(name: str, params: Mapping[str, Any] | None = None) -> Objective:
    """Build the objective called `name` with its parameters.

    Raises `UsageError` listing what is known where the name or a parameter is not, and for values out of range.
    """
    if name not in OBJECTIVES:
        raise UsageError(f"objective {name!r} is not known; known: {', '.join(sorted(OBJECTIVES))}")
    kind = OBJECTIVES[name]
    known = inspect.signature(kind).parameters
    unknown = sorted(set(params or {}) - set(known))
    if unknown:
        raise UsageError(
            f"objective {name}: {', '.join(unknown)} is not known; known: {', '.join(sorted(known))}"
        )
    try:
        return kind(**(params or {}))
    except UsageError as error:
        raise UsageError(f"objective {name}: {error}") from None
