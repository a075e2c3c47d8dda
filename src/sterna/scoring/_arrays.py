"""What NumPy and torch write differently, or what has no gradient where it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

__all__ = ["Array", "as_numpy", "namespace", "precise", "root"]

Array = Any  # of NumPy or torch; what comes out is of what came in


def namespace(*arrays: Array) -> Any:
    """The functions, by the names of the Python array standard, for these arrays."""
    return array_namespace(*arrays)


def as_numpy(array: Array) -> NDArray[Any]:
    """The same numbers, without what torch remembers of how they came about."""
    return array if isinstance(array, np.ndarray) else np.asarray(array.detach().cpu())


def precise(*arrays: Array) -> list[Array]:
    """All in one dtype that is precise enough: float64 where all are, else float32."""
    xp = namespace(*arrays)
    dtype = xp.float64 if all(array.dtype == xp.float64 for array in arrays) else xp.float32
    return [xp.astype(array, dtype, copy=False) for array in arrays]


def root(squares: Array) -> Array:
    """The square root of what is 0 or more; its gradient is 0, not infinite, at 0."""
    xp = namespace(squares)
    positive = squares > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, squares, 1.0)), 0.0)
