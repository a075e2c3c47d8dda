"""The least score of a model folder: what it says of itself, and how that is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sterna.encoders._config import read_config
from sterna.errors import ModelError
from sterna.files import disk_errors, sole_writer, write_json, write_text
from sterna.words import counted

__all__ = ["write_calibration"]

_HEADING, _NEXT = "## Scores", "## What it was made from"


def write_calibration(folder: str | Path, calibration: Mapping[str, Any]) -> None:
    """Write a least score into a model folder's `config.json` and card; its fingerprint stays.

    Arguments:
        folder: the model folder.
        calibration: `min_score`, and what it does: `recall`, `precision`, `hidden` (shares), on how many
            `images` and `captions` of which `data` and `split`.

    A process that is killed between the two leaves a config that holds and a card that does not yet say so.

    Raises `ModelError` where there is no model folder, `DiskError` where it cannot be written, `LockedError`
    where another process writes them.
    """
    config = read_config(folder)
    if not math.isfinite(calibration["min_score"]):
        raise ModelError(f"{folder}: min_score is {calibration['min_score']}; a finite number is needed")
    card = config.folder / "README.md"
    with disk_errors(config.folder), sole_writer(config.folder, "config.json", card.name):
        write_json(config.folder / "config.json", {**config.values, "calibration": dict(calibration)})
        if card.is_file():
            write_text(card, _with_section(card.read_text(encoding="utf-8"), _section(calibration)))


def _section(calibration: Mapping[str, Any]) -> str:
    whole = " ".join(str(calibration[name]) for name in ("data", "split") if calibration.get(name))
    photos, captions = (
        counted(calibration["images"], "photograph"),
        counted(calibration["captions"], "caption"),
    )
    return (
        f"{_HEADING}\n\n"
        f"Searching for a sentence leaves out photographs that score less than {calibration['min_score']:g}, "
        f"unless it is told otherwise. On {whole} ({photos}, {captions}) "
        f"that keeps the photograph that a caption was written for in "
        f"{_percent(calibration['recall'])} of the cases (recall) and leaves out "
        f"{_percent(calibration['hidden'])} of all others. Of what it keeps, "
        f"{_percent(calibration['precision'])} is what the sentence was written for (precision); many of the "
        "rest show the same things.\n\n"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _with_section(card: str, section: str) -> str:
    """A card with this section in the place of the one it has, or before what follows it."""
    before, heading, rest = card.partition(f"{_HEADING}\n")
    if heading:
        _, following, rest = rest.partition("\n## ")
        return before + section + (f"## {rest}" if following else "")
    before, heading, rest = card.partition(f"{_NEXT}\n")
    return before + section + heading + rest if heading else f"{card.rstrip()}\n\n{section.rstrip()}\n"
