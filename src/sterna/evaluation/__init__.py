"""How well images and captions find each other: ranks, metrics, protocols, reports (NumPy alone)."""

from sterna.evaluation._blocks import Adjust
from sterna.evaluation._bootstrap import Difference, paired_bootstrap, rsum
from sterna.evaluation._evaluate import evaluate
from sterna.evaluation._failures import Failures, Hub, Kind, Worst, failures_of
from sterna.evaluation._graded import graded_ndcg
from sterna.evaluation._hubs import HUBS, Bank, Hubs
from sterna.evaluation._judged import Judged, read_relevance
from sterna.evaluation._measure import SCORES, committee, measure
from sterna.evaluation._metrics import CUTOFFS, METRICS, Metric
from sterna.evaluation._protocol import Protocol, parse_folds
from sterna.evaluation._ranks import Ranking, Ranks, rank, rank_both_ways
from sterna.evaluation._relevance import Relevance, Way
from sterna.evaluation._report import Corrected, Figures, Report, report
from sterna.evaluation._rerank import Reranking, rerank
from sterna.evaluation._runs import RunReport, evaluate_run
from sterna.evaluation._sources import Captioned, Encoded, Encodes, Progress, Source
from sterna.evaluation._threshold import Threshold, choose_threshold
from sterna.evaluation._vectors import Numbered, VectorFiles, read_bank
from sterna.evaluation._written import write_ranks, write_trec

__all__ = [
    "CUTOFFS",
    "HUBS",
    "METRICS",
    "SCORES",
    "Adjust",
    "Bank",
    "Captioned",
    "Corrected",
    "Difference",
    "Encoded",
    "Encodes",
    "Failures",
    "Figures",
    "Hub",
    "Hubs",
    "Judged",
    "Kind",
    "Metric",
    "Numbered",
    "Progress",
    "Protocol",
    "Ranking",
    "Ranks",
    "Relevance",
    "Report",
    "Reranking",
    "RunReport",
    "Source",
    "Threshold",
    "VectorFiles",
    "Way",
    "Worst",
    "choose_threshold",
    "committee",
    "evaluate",
    "evaluate_run",
    "failures_of",
    "graded_ndcg",
    "measure",
    "paired_bootstrap",
    "parse_folds",
    "rank",
    "rank_both_ways",
    "read_bank",
    "read_relevance",
    "report",
    "rerank",
    "rsum",
    "write_ranks",
    "write_trec",
]
