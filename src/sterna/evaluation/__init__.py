"""How well images and captions find each other: ranks, metrics, reports (NumPy alone)."""

from sterna.evaluation._bootstrap import Difference, paired_bootstrap, rsum
from sterna.evaluation._evaluate import Captioned, Encodes, Progress, evaluate
from sterna.evaluation._metrics import CUTOFFS, METRICS, Metric
from sterna.evaluation._ranks import Ranking, Ranks, rank_both_ways
from sterna.evaluation._report import Figures, Report, report

__all__ = [
    "CUTOFFS",
    "METRICS",
    "Captioned",
    "Difference",
    "Encodes",
    "Figures",
    "Metric",
    "Progress",
    "Ranking",
    "Ranks",
    "Report",
    "evaluate",
    "paired_bootstrap",
    "rank_both_ways",
    "report",
    "rsum",
]
