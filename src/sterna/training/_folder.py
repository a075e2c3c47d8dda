"""A run's folder: begun once, gone on with by the same settings alone, left in good order on an interrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from sterna._version import __version__
from sterna.errors import RunError
from sterna.files import read_json, write_json
from sterna.settings import load_settings
from sterna.training._checkpoint import checkpoint_path, read_position
from sterna.training._settings import TrainSettings

__all__ = ["Interrupt", "choose_settings", "write_facts"]

# These decide where and how fast a run is computed, not what is computed; data may lie somewhere else.
_FREE = frozenset(
    {
        "checkpoint_every",
        "data.images",
        "data.path",
        "data.terms",
        "features.batch_size",
        "features.path",
        "tensorboard",
        "threads",
        "workers",
    }
)


def choose_settings(run: Path, settings: TrainSettings | None, *, resume: bool) -> TrainSettings:
    """The settings to run by, where a run can begin or go on in this folder; nothing is written.

    Raises `RunError` where a run is there and `resume` is not asked for, where there is none and no settings
    came either, and where settings came that differ from the run's.
    """
    file = run / "settings.yaml"
    begun_here = file.is_file()
    if run.exists() and not (resume and begun_here) and any(entry.name != ".lock" for entry in run.iterdir()):
        raise RunError(f"{run}: {_what_is_there(run)}")
    if begun_here:
        begun = load_settings(TrainSettings, file)
        if settings is None:
            return begun
        different = _differences(begun.model_dump(mode="json"), settings.model_dump(mode="json"))
        if different:
            raise RunError(
                f"{run}: was begun with other settings ({'; '.join(different)}); "
                "go on with its own, or train to a new folder"
            )
    if settings is None:
        raise RunError(f"{run}: there is no run to go on with (no settings.yaml); give settings to begin one")
    return _absolute(settings)


def write_facts(run: Path, facts: Mapping[str, Any]) -> None:
    """Write down what the run reads and is computed with; raises `RunError` where its inputs have changed."""
    file = run / "run.json"
    if file.is_file():
        begun = read_json(file, error=RunError)
        if begun.get("inputs") != facts["inputs"]:
            raise RunError(
                f"{run}: its data or features are not those it was begun with; "
                "put them back, or train to a new folder"
            )
        return
    write_json(
        file, {"schema": 1, "versions": {"sterna": __version__, "torch": str(torch.__version__)}, **facts}
    )


def _what_is_there(run: Path) -> str:
    if not (run / "settings.yaml").is_file():
        return "already exists and is not a training run; name a folder that does not exist"
    last = checkpoint_path(run, "last")
    where = f"at step {read_position(last).step}" if last.is_file() else "without a checkpoint yet"
    return f"already holds a run, {where}; add --resume to go on with it, or name a new folder"


def _differences(begun: Mapping[str, Any], now: Mapping[str, Any], *, at: str = "") -> list[str]:
    different = []
    for key in [*begun, *(key for key in now if key not in begun)]:
        name, old, new = f"{at}{key}", begun.get(key), now.get(key)
        if name in _FREE or old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            different += _differences(old, new, at=f"{name}.")
        else:
            different.append(f"{name} was {old!r}, now {new!r}")
    return different


def _absolute(settings: TrainSettings) -> TrainSettings:
    """With paths that hold wherever the run is gone on from."""

    def whole(path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    data = settings.data.model_copy(
        update={"path": whole(settings.data.path), "images": whole(settings.data.images)}
    )
    features = settings.features.model_copy(update={"path": whole(settings.features.path)})
    return settings.model_copy(update={"data": data, "features": features})


class Interrupt:
    """Whether somebody asked the run to stop (Ctrl-C, SIGTERM); the second time they are not made to wait."""

    def __init__(self) -> None:
        self.asked = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Catch the signals for the length of a `with`; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {kind: signal.signal(kind, self._ask) for kind in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for kind, handler in kept.items():
                signal.signal(kind, handler)

    def _ask(self, kind: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
