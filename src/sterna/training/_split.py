"""One split of the data, as places in the stores of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Split"]


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split with their captions, as places in the stores.

    Fields:
        image_rows: int64 [N]; caption_rows: int64 [C], grouped by image.
        starts: int64 [N + 1]: the captions of image i are `starts[i]` to `starts[i + 1]`.
    """

    image_rows: NDArray[np.int64]
    caption_rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def owners(self) -> NDArray[np.int64]:
        """The image of each caption, int64 [C]."""
        return np.repeat(np.arange(len(self.image_rows)), np.diff(self.starts))
