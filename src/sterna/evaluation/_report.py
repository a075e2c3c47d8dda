"""A report: the figures of one model on one split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sterna.errors import UsageError
from sterna.evaluation._bootstrap import Interval, figures, intervals
from sterna.evaluation._metrics import CUTOFFS
from sterna.evaluation._ranks import Ranks

__all__ = ["Figures", "Report", "report"]


@dataclass(frozen=True)
class Figures:
    """One way's figures; `METRICS` defines each in words.

    Fields:
        hits, recall: by cut-off (1, 5, 10), as fractions of 1.
        median_rank, mean_rank: counted from 1.
        mrr: mean reciprocal rank, as a fraction of 1.
    """

    hits: Mapping[int, float]
    recall: Mapping[int, float]
    median_rank: float
    mean_rank: float
    mrr: float

    def as_json(self) -> dict[str, object]:
        """The figures as JSON has them."""
        return {
            "hits": {str(cutoff): value for cutoff, value in self.hits.items()},
            "recall": {str(cutoff): value for cutoff, value in self.recall.items()},
            "median_rank": self.median_rank,
            "mean_rank": self.mean_rank,
            "mrr": self.mrr,
        }


@dataclass(frozen=True)
class Report:
    """How well a model finds captions for images (i2t) and images for captions (t2i).

    Fields:
        model, data, split: what was measured on what; `split` is None where all images were taken.
        images, captions: how many there were.
        i2t, t2i: the figures.
        rsum: the sum of the six hits in per cent, 600 at best.
        intervals: 95% bootstrap intervals by a figure's name, such as `rsum` and `i2t.hits.1`.
        unreadable: photographs that could not be read and why; they and their captions count as not found.
        problems: what the reader of the data left out.
        ranks: what the figures were made of.
    """

    model: str
    data: str
    split: str | None
    images: int
    captions: int
    i2t: Figures
    t2i: Figures
    rsum: float
    intervals: Mapping[str, Interval]
    ranks: Ranks
    unreadable: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The document that `sterna eval --format json` prints, schema 1."""
        return {
            "schema": 1,
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "images": self.images,
            "captions": self.captions,
            "i2t": self.i2t.as_json(),
            "t2i": self.t2i.as_json(),
            "rsum": self.rsum,
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
        }


def report(
    ranks: Ranks,
    *,
    model: str = "",
    data: str = "",
    split: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    unreadable: tuple[str, ...] = (),
    problems: tuple[str, ...] = (),
) -> Report:
    """Make a report of ranks.

    Arguments:
        bootstrap: draws of images for the intervals; 0 for none.
        seed: decides the draws.
        model, data, split, unreadable, problems: as in `Report`.

    Raises `UsageError` where there are no captions.
    """
    if not ranks.captions:
        raise UsageError("there are no captions; at least one is needed to measure anything")
    found = figures(ranks)
    return Report(
        model=model,
        data=data,
        split=split,
        images=ranks.images,
        captions=ranks.captions,
        i2t=_figures(found, "i2t"),
        t2i=_figures(found, "t2i"),
        rsum=found["rsum"],
        intervals=intervals(ranks, bootstrap=bootstrap, seed=seed),
        ranks=ranks,
        unreadable=unreadable,
        problems=problems,
    )


def _figures(found: Mapping[str, float], way: str) -> Figures:
    return Figures(
        hits={cutoff: found[f"{way}.hits.{cutoff}"] for cutoff in CUTOFFS},
        recall={cutoff: found[f"{way}.recall.{cutoff}"] for cutoff in CUTOFFS},
        median_rank=found[f"{way}.median_rank"],
        mean_rank=found[f"{way}.mean_rank"],
        mrr=found[f"{way}.mrr"],
    )
