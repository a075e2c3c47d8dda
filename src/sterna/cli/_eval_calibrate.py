"""`sterna eval --calibrate`: a report's least score, written into the model folder that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import UsageError
from sterna.files import check_writable

if TYPE_CHECKING:
    from sterna.evaluation import Report

__all__ = ["folder_to_calibrate", "write_calibration"]


def folder_to_calibrate(models: Sequence[str] | None, features: Path | None) -> Path:
    """The one model folder whose config will be changed.

    Raises `UsageError` where none is named, `DiskError` where it cannot be written.
    """
    folder = None if models is None or len(models) != 1 else Path(models[0]).expanduser()
    if folder is not None and (folder / "settings.yaml").is_file():
        raise UsageError(
            f"--calibrate changes the config of a model folder, and {folder} is a training run; "
            f"make one of it with sterna export {folder} --out FOLDER"
        )
    if folder is None or features is not None or not (folder / "config.json").is_file():
        raise UsageError("--calibrate changes the config of one model folder: name it as --model")
    check_writable(folder / "config.json")
    return folder


def write_calibration(folder: Path, report: Report) -> None:
    """Write the report's least score into the folder's config and card, with what it does on which data."""
    from sterna import encoders

    assert report.threshold is not None
    found = asdict(report.threshold)
    about = {"min_score": found.pop("score"), **found, "data": report.data, "split": report.split}
    encoders.write_calibration(folder, about)
