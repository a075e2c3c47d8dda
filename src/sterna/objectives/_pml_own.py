"""Parts of pytorch-metric-learning put right; imported late, as the library is slow to import."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_metric_learning import distances, losses, reducers
from pytorch_metric_learning.utils.loss_and_miner_utils import convert_to_triplets
from torch import Tensor

__all__ = ["OWN", "InnerCosine"]


class InnerCosine(distances.CosineSimilarity):  # type: ignore[misc]
    """Cosines that stay within -1 and 1, where an angle has a derivative."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """[A, B] from [A, E] and [B, E]."""
        cosines: Tensor = super().compute_mat(query_emb, ref_emb)
        edge = 1 - torch.finfo(cosines.dtype).eps
        return cosines.clamp(-edge, edge)


class ClassWeighted(reducers.ClassWeightedReducer):  # type: ignore[misc]
    """The library's, for losses too that come as a column, which it would weigh each with every weight."""

    def element_reduction_helper(self, losses: Tensor, indices: Tensor, labels: Tensor) -> Tensor:
        """The mean of losses, each times the weight of its label."""
        value: Tensor = super().element_reduction_helper(losses.flatten(), indices, labels)
        return value


class PerAnchor(reducers.PerAnchorReducer):  # type: ignore[misc]
    """The library's, for anchors in one set and their partners in another, which may be larger."""

    def tuple_reduction_helper(
        self, losses: Tensor, loss_indices: tuple[Tensor, Tensor], embeddings: Tensor, labels: Tensor
    ) -> Tensor:
        """The reducer's value of each anchor's mean; 0 for anchors without a pair."""
        anchors, others = loss_indices
        if not len(losses):
            zero: Tensor = self.zero_loss(embeddings)
            return zero
        values = losses.new_zeros(len(embeddings), int(others.max()) + 1)
        counted = torch.zeros_like(values, dtype=torch.bool)
        values[anchors, others] = losses.flatten()
        counted[anchors, others] = True
        means = self.aggregation_func(values, counted.sum(1))
        rows = torch.arange(len(means), device=means.device)
        value: Tensor = self.element_reduction(means, rows, embeddings, labels)
        return value


class DynamicSoftMargin(losses.DynamicSoftMarginLoss):  # type: ignore[misc]
    """The library's, whose histogram goes from step to step without the steps' derivatives.

    It is stored with the weights, and has room for the greatest differences.
    """

    hist_: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        room = self.hist_.new_zeros(len(self.hist_) + 2)
        del self.hist_
        self.register_buffer("hist_", room)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """See the library's."""
        loss: Tensor = super().forward(*args, **kwargs)
        self.hist_ = self.hist_.detach()
        return loss


class Histogram(losses.HistogramLoss):  # type: ignore[misc]
    """The library's, for equal vectors too, whose similarity lies in no bin, and for torch to come."""

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """How likely a negative pair is more alike than a positive one, by their histograms."""
        anchors, positives, negatives = convert_to_triplets(
            indices_tuple, labels, ref_labels, t_per_anchor="all"
        )
        if not len(anchors):
            zeros: dict[str, Any] = self.zero_losses()
            return zeros
        edge = 1 - 1e-6
        alike = self.distance(embeddings, ref_emb).clamp(-edge, edge)
        right, wrong = (
            self.compute_density(_each_pair(alike, anchors, others)) for others in (positives, negatives)
        )
        loss = (wrong * right.cumsum(0)).sum()
        return {"loss": {"losses": loss, "indices": None, "reduction_type": "already_reduced"}}


def _each_pair(alike: Tensor, anchors: Tensor, others: Tensor) -> Tensor:
    """The entries of the pairs, each pair once whichever comes first."""
    first, second = torch.minimum(anchors, others), torch.maximum(anchors, others)
    pairs = torch.unique(first * len(alike) + second)
    return alike[pairs // len(alike), pairs % len(alike)]


OWN: dict[str, type] = {
    "ClassWeightedReducer": ClassWeighted,
    "DynamicSoftMarginLoss": DynamicSoftMargin,
    "HistogramLoss": Histogram,
    "PerAnchorReducer": PerAnchor,
}
