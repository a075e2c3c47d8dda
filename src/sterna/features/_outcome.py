"""What an import or an export tells while it works and when it is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sterna.features._foreign import Kind

__all__ = ["ExportReport", "ImportReport", "Reason", "TransferProgress", "in_words", "none_usable"]

_MOST_PROBLEMS = 1000  # sentences that are kept; all are counted
_MOST_REASONS = 100
_MOST_IN_WORDS = 5
_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class TransferProgress:
    """How far an import or an export is."""

    stage: str
    """"importing" or "exporting" """
    done: int
    """items gone through, in this call and earlier ones"""
    share: float
    """of the whole, 0..1"""


@dataclass
class Reason:
    """Why items could not be used that fail alike: the same sentence but for numbers and what is quoted."""

    example: str
    """the first of them: file and line or item, and why"""
    count: int = 1


@dataclass
class _Report:
    """What an import and an export have in common."""

    format: str
    kind: Kind
    done: int = 0
    """items taken into the store, or written, in this call"""
    skipped: int = 0
    """items that were there already"""
    failed: int = 0
    """items that could not be used, or that the format cannot hold"""
    problems: list[str] = field(default_factory=list)
    """the first of those, one sentence each: file and line or item, and why"""
    reasons: list[Reason] = field(default_factory=list)
    """all of those by why, in the order in which they were met"""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._alike: dict[str, Reason] = {}

    def problem(self, where: str, what: object) -> None:
        """Count an item that could not be used, and say why."""
        self.failed += 1
        sentence = f"{where}: {what}"
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(sentence)
        alike = _DETAIL.sub("", str(what))
        if alike in self._alike:
            self._alike[alike].count += 1
        elif len(self.reasons) < _MOST_REASONS:
            self._alike[alike] = Reason(sentence)
            self.reasons.append(self._alike[alike])


@dataclass
class ImportReport(_Report):
    """What one import did."""

    unmatched: int = 0
    """items that the data or the map of ids does not know, which were left out"""
    unmatched_names: list[str] = field(default_factory=list)
    """the first names that nothing knows"""


@dataclass
class ExportReport(_Report):
    """What one export did."""

    left_out: list[str] = field(default_factory=list)
    """columns of the store that this format has no place for: "scores", "classes" or "boxes" """


def in_words(reasons: Sequence[Reason]) -> list[str]:
    """A sentence for each reason, the most frequent first, with how many more items fail alike."""
    ordered = sorted(reasons, key=lambda one: -one.count)
    return [
        one.example + (f" (and {one.count - 1:,} more like it)" if one.count > 1 else "") for one in ordered
    ]


def none_usable(report: ImportReport) -> str:
    """Why no item of a source could be used, as the end of a sentence."""
    told = in_words(report.reasons)
    if len(told) > _MOST_IN_WORDS:
        told = [*told[:_MOST_IN_WORDS], f"and {len(told) - _MOST_IN_WORDS} other reasons"]
    if report.unmatched:
        told.append(f"{report.unmatched:,} items are not in the data")
    return "no item could be used: " + ("; ".join(told) or "it holds none")
