"""What a run tells as it goes: `metrics.jsonl`, TensorBoard, and a report to whoever is watching."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from sterna.files import new_file

__all__ = ["RunLog", "TrainProgress", "keep_rows"]


@dataclass(frozen=True)
class TrainProgress:
    """How far a run is; `value` and `best` are of the validation metric, `seconds_left` is an estimate."""

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    rate: float
    metric: str
    value: float | None
    best: float | None
    seconds_left: float

    @property
    def detail(self) -> str:
        """One line for people, without steps and time: those a progress line shows itself."""
        parts = [f"epoch {self.epoch} of {self.epochs}", f"loss {self.loss:.3f}", f"rate {self.rate:.1e}"]
        if self.value is not None and self.best is not None:
            parts.append(f"{self.metric} {self.value:.4g} (best {self.best:.4g})")
        return " · ".join(parts)


class RunLog:
    """Appends rows to `metrics.jsonl` and scalars to `tensorboard/`; rows after `step` are dropped first."""

    def __init__(self, run: Path, *, step: int, tensorboard: bool) -> None:
        path = run / "metrics.jsonl"
        keep_rows(path, step=step)
        self._file = path.open("a", encoding="utf-8")
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def row(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add what was measured after `step` steps; `kind` is "train" or "validation"."""
        self._file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in _flat(values, kind):
                self._board.add_scalar(name, value, step)

    def picture(self, name: str, step: int, picture: Image.Image) -> None:
        """Show a picture in TensorBoard, where that is written."""
        if self._board is not None:
            self._board.add_image(name, np.asarray(picture), step, dataformats="HWC")

    def settle(self) -> None:
        """Make the rows durable; called before a checkpoint, which must never be ahead of them."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._board is not None:
            self._board.flush()


def keep_rows(path: Path, *, step: int) -> None:
    """Rewrite a log without the rows after `step` and without a row that was cut short."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if line.endswith("\n") and row["step"] <= step:
            kept.append(line)
    with new_file(path) as aside:
        aside.write_text("".join(kept), encoding="utf-8")


def _flat(values: Mapping[str, Any], name: str) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{name}/{key}")
        elif isinstance(value, int | float):
            pairs.append((f"{name}/{key}", float(value)))
    return pairs
