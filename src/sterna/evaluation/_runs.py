"""Measuring someone else's run: TREC's files in, the same figures out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sterna.errors import DataError, UsageError
from sterna.evaluation._bootstrap import Interval, Part, columns, figures, intervals
from sterna.evaluation._protocol import Protocol
from sterna.evaluation._ranks import Ranking, ranks_in
from sterna.evaluation._report import Figures
from sterna.evaluation._trec import Grades, read_qrels, read_run, unescaped

__all__ = ["RunReport", "evaluate_run"]


@dataclass(frozen=True, eq=False)
class RunReport:
    """How well a run's answers fit qrels.

    Fields:
        run: the run's tag.
        qrels: the qrels' file name.
        answers: how many different items the two name; a right answer that the run leaves out has the rank
            after that many.
        figures: the figures, over the queries that have a right answer.
        intervals: 95% bootstrap intervals by a figure's name; queries are drawn.
        ranking: what the figures were made of.
        unanswered: queries with a right answer that the run says nothing of; they count as not found.
        unjudged: the run's queries that have no right answer; they do not count.
        min_score: the score below which nothing was taken.
    """

    run: str
    qrels: str
    answers: int
    figures: Figures
    intervals: Mapping[str, Interval]
    ranking: Ranking
    unanswered: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    min_score: float | None = None

    def as_json(self) -> dict[str, object]:
        """The document that `sterna eval --run ... --qrels ... --format json` prints, schema 1."""
        return {
            "schema": 1,
            "run": self.run,
            "qrels": self.qrels,
            "queries": len(self.ranking.counts),
            "answers": self.answers,
            "figures": self.figures.as_json(),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "protocol": "run",
            "score": "run",
            "min_score": self.min_score,
            "unanswered": len(self.unanswered),
            "unjudged": len(self.unjudged),
        }


def evaluate_run(
    run: str | Path,
    qrels: str | Path,
    *,
    protocol: Protocol = Protocol(),  # noqa: B008  it is frozen
    bootstrap: int = 1000,
    seed: int = 0,
) -> RunReport:
    """Measure a run by qrels; the order is that of the scores, ties are decided against the run.

    Arguments:
        run: a file of TREC's runs, one way.
        qrels: what is right: grades above 0.
        protocol: its metrics, cut-offs and lowest score.
        bootstrap: draws of queries for the intervals; 0 for none.
        seed: decides the draws.

    Raises `DataError` naming file and line where one cannot be read, or where no query has a right answer;
    `UsageError` for folds and corrections of hubs, which need a gallery.
    """
    if protocol.folds is not None or protocol.hubs is not None:
        raise UsageError(f"{run}: a run's gallery is its own; neither folds nor hubs go with it")
    judged, (scores, tag) = read_qrels(Path(qrels)), read_run(Path(run))
    right = {
        query: kept
        for query, graded in judged.items()
        if (kept := {answer: grade for answer, grade in graded.items() if grade > 0})
    }
    if not right:
        raise DataError(f"{qrels}: no query has a right answer")
    if not right.keys() & scores.keys():
        raise DataError(f"{run}: answers none of the queries of {qrels}, such as {next(iter(right))!r}")
    items = {answer for graded in (*judged.values(), *scores.values()) for answer in graded}
    lowest = protocol.lowest_score("run")
    ranking = _rank(right, scores, gallery=len(items), lowest=lowest)
    part = Part(columns(ranking, way="", metrics=protocol.figures, at=protocol.at), len(right))
    return RunReport(
        run=unescaped(tag),
        qrels=Path(qrels).name,
        answers=len(items),
        figures=Figures(figures([part])),
        intervals=intervals([part], bootstrap=bootstrap, seed=seed),
        ranking=ranking,
        unanswered=tuple(query for query in right if query not in scores),
        unjudged=tuple(query for query in scores if query not in right),
        min_score=lowest,
    )


def _rank(right: Grades, scores: Grades, *, gallery: int, lowest: float | None) -> Ranking:
    ranks, grades, returned = [], [], []
    for query, graded in right.items():
        answered = scores.get(query, {})
        row = np.array([*answered.values(), *(np.nan for answer in graded if answer not in answered)])
        if lowest is not None:
            row[row < lowest] = np.nan
        place = {answer: number for number, answer in enumerate(dict.fromkeys([*answered, *graded]))}
        answers = np.array([place[answer] for answer in graded])
        judged = np.array([*graded.values()])
        order, found = ranks_in(row[None], np.array([0, len(answers)]), answers, judged)
        ranks.append(np.where(found == len(row), gallery, found))
        grades.append(judged[order])
        returned.append(np.count_nonzero(~np.isnan(row)))
    return Ranking(
        ranks=np.concatenate(ranks),
        offsets=np.cumsum([0, *map(len, ranks)]),
        images=np.arange(len(right)),
        gallery=gallery,
        grades=np.concatenate(grades),
        returned=np.array(returned),
    )
