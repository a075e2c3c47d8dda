"""Arrays of numbers from `.npy` files, which are mapped and never executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DataError
from sterna.files import system_reason

__all__ = ["read_array"]


def read_array(path: Path) -> NDArray[np.floating[Any]]:
    """A matrix of a `.npy` file, mapped; `DataError` where it is no matrix of floating-point numbers."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        if error.errno is None:
            raise DataError(f"{path}: not an array of NumPy (.npy)") from None
        raise DataError(f"{path}: {system_reason(error)}") from None
    except (ValueError, EOFError) as error:  # a pickle, text, a file that is cut short
        if "Python objects" in str(error):
            raise DataError(
                f"{path}: holds pickled objects, which are not loaded; save plain numbers"
            ) from None
        raise DataError(f"{path}: not an array of NumPy (.npy), or cut short") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path}: an archive of arrays (.npz); one array (.npy) is needed")
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        got = f"{array.dtype} of the shape {array.shape}"
        raise DataError(f"{path}: holds {got}; a matrix of floating-point numbers is needed")
    return array
