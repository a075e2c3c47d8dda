"""What an index promises; tests/index/test_conformance.py holds every implementation to it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Index"]


class Index(Protocol):
    """Exact inner-product search over vectors with int64 ids of zero and above.

    Threads may share it: a search answers from what is there when it begins, with whole writes or none of
    them, and searches never wait for one another.
    """

    dim: int

    def upsert(self, ids: NDArray[np.int64], vectors: NDArray[Any]) -> None:
        """Add vectors, replacing those whose ids are there already.

        Arguments:
            ids: int64 [N], zero and above; of an id that comes twice, the last vector counts.
            vectors: float16 or float32 [N, E], finite; kept in the index's own dtype.

        Raises `UsageError` where shapes, ids or values are not so.
        """
        ...

    def delete(self, ids: NDArray[np.int64]) -> int:
        """Forget these ids (int64 [N]); returns how many of them were there."""
        ...

    def search(
        self, queries: NDArray[Any], k: int, *, allow: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the K vectors of the largest inner product with each query.

        Arguments:
            queries: float [Q, E].
            k: the cut-off, at least 1.
            allow: int64 [A], the only ids that may come back; `None` allows all.

        Returns:
            scores float32 [Q, K] and ids int64 [Q, K], best first, equal scores by ascending id; where fewer
            than K vectors are there (or allowed), the rest is -inf and -1. A score depends on its query and
            vector alone: not on the other queries, the other vectors, or the implementation.

        Raises `UsageError` for queries of another width and for k below 1.
        """
        ...

    def count(self) -> int:
        """How many vectors can be found."""
        ...

    def snapshot(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """A consistent copy: ids int64 [N], ascending, and their vectors [N, E] in the index's dtype."""
        ...
