"""What `sterna eval` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sterna.cli._output import print_table
from sterna.words import counted

if TYPE_CHECKING:
    from sterna.evaluation import Figures, Report, RunReport, Threshold

__all__ = ["print_report", "print_run"]

_USUAL = ("hits", "recall", "median_rank", "mean_rank", "mrr")


def print_report(report: Report, *, metrics: Sequence[str] | None) -> None:
    """The report of a model or of vectors.

    Arguments:
        report: what is printed.
        metrics: those to show; the usual ones where not given.
    """
    part = f"{report.data}, split {report.split}" if report.split else report.data
    sizes = f"{counted(report.images, 'image')}, {counted(report.captions, 'caption')}"
    print(f"{report.model} on {part}: {sizes}")
    for remark in _remarks(report):
        print(remark)
    ways = {"i2t": report.i2t, "t2i": report.t2i}
    _print_figures(ways, metrics=metrics)
    interval = report.intervals.get("rsum")
    print(f"rsum {report.rsum:.1f}" + (f" (95%: {interval[0]:.1f} to {interval[1]:.1f})" if interval else ""))
    if report.threshold is not None:
        _print_threshold(report.threshold)
    if report.graded is not None:
        _print_graded(report.graded)
    if report.hubs is not None:
        about = ", ".join(f"{name} {value}" for name, value in report.hubs.about.items())
        print(f"\nAfter a correction of hubs, not comparable with plain figures ({about}):")
        _print_figures({"i2t": report.hubs.i2t, "t2i": report.hubs.t2i}, metrics=metrics)
        print(f"rsum {report.hubs.rsum:.1f}")


def print_run(report: RunReport, *, metrics: Sequence[str] | None) -> None:
    """The report of someone else's run; arguments as for `print_report`."""
    queries = counted(len(report.ranking.counts), "query", "queries")
    print(f"{report.run} by {report.qrels}: {queries}, {counted(report.answers, 'answer')}")
    if report.min_score is not None:
        print(f"answers that score less than {report.min_score:g} are not counted")
    _print_figures({"": report.figures}, metrics=metrics)


def _remarks(report: Report) -> list[str]:
    found = []
    if report.protocol != "full":
        found.append(f"mean over {report.protocol}")
    if report.score != "dot":
        found.append(f"compared by {report.score}")
    if report.rerank is not None and report.rerank["first"] != "all":
        found.append(f"the first {report.rerank['first']} answers re-ranked by {report.rerank['alignment']}")
    if report.min_score is not None:
        found.append(f"answers that score less than {report.min_score:g} are not returned")
    judged = {way: name for way, name in report.relevance.items() if name != "captions"}
    found.extend(f"{way}: right is what {name} says" for way, name in judged.items())
    return found


def _print_figures(ways: Mapping[str, Figures], *, metrics: Sequence[str] | None) -> None:
    """One table of the metrics at cut-offs, with the usual single figures in it; others line by line."""
    names = _USUAL if metrics is None else metrics
    single = [name for name in ("median_rank", "mean_rank", "mrr") if name in names]
    cutoffs: list[int] = []
    rows = []
    for way, figures in ways.items():
        listed = single
        for name in names:
            by_cutoff = figures.at(name)
            if by_cutoff:
                cutoffs = list(by_cutoff)
                shares = [f"{100 * share:.1f}" for share in by_cutoff.values()]
                shown = [_single(each, figures.values[each]) for each in listed] or [""] * len(single)
                rows.append([f"{way} {name}".strip(), *shares, *shown])
                listed = []
    if rows:
        heads = [
            {"median_rank": "median rank", "mean_rank": "mean rank", "mrr": "MRR"}[name] for name in single
        ]
        columns = ("%", *[f"@{cutoff}" for cutoff in cutoffs], *heads)
        print_table(columns, rows, right=range(1, len(columns)))
    alone = [
        [f"{way} {name}".strip(), _single(name, figures.values[name])]
        for way, figures in ways.items()
        for name in figures.values
        if "." not in name and (name in names or name == "returned") and not (rows and name in single)
    ]
    if alone:
        print_table(("", "mean"), alone, right=(1,))


def _single(name: str, value: float) -> str:
    if name == "median_rank":
        return f"{value:g}"
    return f"{value:.1f}" if name in {"mean_rank", "returned"} else f"{value:.3f}"


def _print_threshold(chosen: Threshold) -> None:
    print(
        f"least score {chosen.score:g}: {chosen.recall:.1%} of the captions find their own image (recall), "
        f"{chosen.hidden:.1%} of the others are hidden, "
        f"{chosen.precision:.1%} of what is shown is a caption's own (precision)"
    )


def _print_graded(graded: Mapping[str, Mapping[int, float]]) -> None:
    words = {"ndcg": "NDCG by grades", "ndcg_found": "of captions above 0"}
    rows = [[words[name], *(f"{value:.4f}" for value in values.values())] for name, values in graded.items()]
    cutoffs = [f"@{cutoff}" for cutoff in graded["ndcg"]]
    print_table(("t2i", *cutoffs), rows, right=range(1, len(cutoffs) + 1))
