"""`sterna eval --calibrate`: a report's least score, written into the model folder that was measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sterna.evaluation import Report

__all__ = ["write_calibration"]


def write_calibration(folder: Path, report: Report) -> None:
    """Write the report's least score into the folder's config and card, with what it does on which data."""
    from sterna import encoders

    assert report.threshold is not None
    found = asdict(report.threshold)
    about = {"min_score": found.pop("score"), **found, "data": report.data, "split": report.split}
    encoders.write_calibration(folder, about)
