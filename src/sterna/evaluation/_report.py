"""A report: the figures of one model on one split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sterna.errors import UsageError
from sterna.evaluation._bootstrap import Interval, Part, figures, intervals, part_of
from sterna.evaluation._metrics import METRICS, chosen_metrics
from sterna.evaluation._protocol import Protocol
from sterna.evaluation._ranks import Ranks
from sterna.evaluation._threshold import Threshold

__all__ = ["Corrected", "Figures", "Report", "report"]


@dataclass(frozen=True)
class Figures:
    """One way's figures; `METRICS` defines each in words.

    Fields:
        values: by name, such as `hits.10`, `mrr` and `map_at_r`; shares are fractions of 1, ranks are counted
            from 1.
    """

    values: Mapping[str, float]

    def at(self, metric: str) -> dict[int, float]:
        """A metric's figures by cut-off; empty where it was not measured."""
        named = {name.rpartition("."): value for name, value in self.values.items()}
        return {int(cutoff): value for (name, dot, cutoff), value in named.items() if dot and name == metric}

    @property
    def hits(self) -> dict[int, float]:
        """The share of queries with any right answer among the first K, by K."""
        return self.at("hits")

    @property
    def recall(self) -> dict[int, float]:
        """The share of the right answers among the first K, by K."""
        return self.at("recall")

    @property
    def median_rank(self) -> float:
        """The median rank of the best right answer, counted from 1."""
        return self.values["median_rank"]

    @property
    def mean_rank(self) -> float:
        """The mean rank of the best right answer, counted from 1."""
        return self.values["mean_rank"]

    @property
    def mrr(self) -> float:
        """The mean reciprocal rank of the best right answer."""
        return self.values["mrr"]

    def as_json(self) -> dict[str, object]:
        """The figures as JSON has them: those at cut-offs as objects by cut-off."""
        found: dict[str, object] = {}
        for name, value in self.values.items():
            metric = name.partition(".")[0]
            found[metric] = {str(k): v for k, v in self.at(metric).items()} if METRICS[metric].at else value
        return found


@dataclass(frozen=True, eq=False)
class Corrected:
    """The figures after a correction of hubs.

    Fields:
        about: which correction, its parameters, and what the bank was.
        i2t, t2i, rsum: the figures.
        parts: the ranks that they were made of, one for each gallery.
    """

    about: Mapping[str, Any]
    i2t: Figures
    t2i: Figures
    rsum: float
    parts: tuple[Ranks, ...]

    def as_json(self) -> dict[str, object]:
        """What the report has under `hubs`."""
        ways = {"i2t": self.i2t.as_json(), "t2i": self.t2i.as_json()}
        return {**self.about, **ways, "rsum": self.rsum}


@dataclass(frozen=True, eq=False)
class Report:
    """How well a model finds captions for images (i2t) and images for captions (t2i).

    Fields:
        model, data, split: what was measured on what; `split` is None where all images were taken.
        images, captions: how many there were.
        i2t, t2i: the figures.
        rsum: the sum of the six hits in per cent, 600 at best.
        intervals: 95% bootstrap intervals by a figure's name, such as `rsum` and `i2t.hits.1`.
        parts: what the figures were made of, one for each gallery: several where folds were measured.
        unreadable: photographs that could not be read and why; they and their captions count as not found.
        problems: what the reader of the data left out.
        protocol: how it was measured.
        score: the name of the similarity.
        min_score: the score below which nothing was returned.
        relevance: where it is known what is right, by way: the captions themselves or a file.
        graded: NDCG by a matrix of grades, the mean over all captions and over those above 0, by cut-off.
        hubs: the figures after a correction of hubs.
        threshold: a least score to search with, where one was to be chosen.
        rerank: by which alignment how many of the first answers were ordered anew, "all" for all of them.
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
    parts: tuple[Ranks, ...]
    unreadable: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    protocol: str = "full"
    score: str = "dot"
    min_score: float | None = None
    relevance: Mapping[str, str] = field(default_factory=lambda: {"i2t": "captions", "t2i": "captions"})
    graded: Mapping[str, Mapping[int, float]] | None = None
    hubs: Corrected | None = None
    rerank: Mapping[str, int | str] | None = None
    threshold: Threshold | None = None

    @property
    def ranks(self) -> Ranks:
        """What the figures were made of; raises `UsageError` where that is several folds."""
        if len(self.parts) != 1:
            raise UsageError(f"there are the ranks of {len(self.parts)} folds: take `parts`")
        return self.parts[0]

    def as_json(self) -> dict[str, object]:
        """The document that `sterna eval --format json` prints, schema 1."""
        found: dict[str, object] = {
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
            "protocol": self.protocol,
            "score": self.score,
            "min_score": self.min_score,
            "queries": {
                way: sum(len(getattr(part, way).offsets) - 1 for part in self.parts) for way in ("i2t", "t2i")
            },
            "relevance": dict(self.relevance),
            "hubs": None if self.hubs is None else self.hubs.as_json(),
        }
        if self.rerank is not None:
            found["rerank"] = dict(self.rerank)
        if self.threshold is not None:
            found["threshold"] = asdict(self.threshold)
        if self.graded is not None:
            found["graded"] = {
                name: {str(cutoff): value for cutoff, value in values.items()}
                for name, values in self.graded.items()
            }
        return found


def report(
    ranks: Ranks | Sequence[Ranks],
    *,
    model: str = "",
    data: str = "",
    split: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    unreadable: tuple[str, ...] = (),
    problems: tuple[str, ...] = (),
    protocol: Protocol = Protocol(),  # noqa: B008  it is frozen
    score: str = "dot",
    relevance: Mapping[str, str] | None = None,
    graded: Mapping[str, Mapping[int, float]] | None = None,
    hubs: Corrected | None = None,
) -> Report:
    """Make a report of ranks.

    Arguments:
        ranks: of one gallery, or of several, whose figures are averaged.
        bootstrap: draws of images for the intervals; 0 for none.
        seed: decides the draws.
        protocol: which figures, and what the report says of how they were made.
        model, data, split, unreadable, problems, score, relevance, graded, hubs: as in `Report`.

    Raises `UsageError` where there are no captions.
    """
    galleries = (ranks,) if isinstance(ranks, Ranks) else tuple(ranks)
    i2t, t2i, total, parts = both_ways(galleries, protocol=protocol)
    return Report(
        model=model,
        data=data,
        split=split,
        images=sum(part.images for part in galleries),
        captions=sum(part.captions for part in galleries),
        i2t=i2t,
        t2i=t2i,
        rsum=total,
        intervals=intervals(parts, bootstrap=bootstrap, seed=seed),
        parts=galleries,
        unreadable=unreadable,
        problems=problems,
        protocol=protocol.name,
        score=score,
        min_score=protocol.lowest_score(score),
        relevance=relevance or {"i2t": "captions", "t2i": "captions"},
        graded=graded,
        hubs=hubs,
    )


def both_ways(
    galleries: Sequence[Ranks], *, protocol: Protocol
) -> tuple[Figures, Figures, float, list[Part]]:
    """The figures of both ways, rsum, and what the intervals are drawn from."""
    if not galleries or not all(ranks.captions for ranks in galleries):
        raise UsageError("there are no captions; at least one is needed to measure anything")
    parts = [part_of(ranks, metrics=protocol.figures, at=protocol.at) for ranks in galleries]
    found = figures(parts)
    names = chosen_metrics(protocol.figures, at=protocol.at)
    i2t, t2i = (Figures({name: found[f"{way}.{name}"] for name in names}) for way in ("i2t", "t2i"))
    return i2t, t2i, found["rsum"], parts
