"""What is to be re-ranked by alignment, and what the report says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sterna.errors import UsageError
from sterna.evaluation._protocol import Protocol
from sterna.evaluation._report import Report
from sterna.evaluation._rerank import Reranking
from sterna.evaluation._sources import Captioned, Source, Tell
from sterna.scoring import ALIGNMENTS

__all__ = ["first_of_source", "reranking_of", "told"]


def first_of_source(source: Source, rerank: int | None, *, protocol: Protocol) -> float:
    """How many of a query's answers to re-rank: none (0), some, or all (infinity).

    Arguments:
        source: whose answers.
        rerank: how many; `None` for all where the model is measured by an alignment, and else for none.
        protocol: refused where it says something of scores that re-ranking changes.

    Raises `UsageError` where it cannot be done.
    """
    score = getattr(source, "score", "dot")
    if rerank is None:
        first = float("inf") if score in ALIGNMENTS else 0.0
    elif isinstance(rerank, bool) or not isinstance(rerank, int) or rerank < 0:
        raise UsageError(f"rerank={rerank!r}: a whole number is needed, 0 for none")
    else:
        first = float(rerank)
    if not first:
        return first
    if getattr(source, "alignment", None) is None:
        what = "be re-ranked" if rerank is not None else f"be measured by {score}"
        hint = "" if rerank is not None else "; rerank=0 measures vectors"
        raise UsageError(
            f"{source.name}: cannot {what}; one model is needed that aligns regions with words{hint}"
        )
    for name, value in (
        ("hubs", protocol.hubs), ("min_score", protocol.min_score), ("max_distance", protocol.max_distance),
    ):  # fmt: skip
        if value is not None:
            raise UsageError(
                f"{name}: is about the scores of vectors, and alignments are measured; leave it out, "
                "or measure vectors with rerank=0"
            )
    return first


def reranking_of(source: Any, data: Captioned, *, first: float, tell: Tell) -> Reranking | None:
    """Regions and words of all images and captions; `None` where nothing is to be re-ranked."""
    if not first:
        return None
    regions, words = source.items(data, tell)
    everything = first >= max(len(regions), len(words))
    return Reranking(regions, words, source.alignment, None if everything else int(first))


def told(report: Report, reranking: Reranking | None) -> Report:
    """The report, saying how its answers were re-ranked."""
    if reranking is None:
        return report
    first: int | str = "all" if reranking.first is None else reranking.first
    score = reranking.alignment if reranking.first is None else report.score
    return replace(report, score=score, rerank={"alignment": reranking.alignment, "first": first})
