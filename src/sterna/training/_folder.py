"""A run's folder: begun once, gone on with by the same settings alone, kept in good order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sterna._version import __version__
from sterna.errors import RunError
from sterna.files import read_json, write_json
from sterna.settings import load_settings
from sterna.training._checkpoint import checkpoint_path, read_position
from sterna.training._settings import TrainSettings
from sterna.training._tuning import OF_RUN

__all__ = ["choose_settings", "clear_leftovers", "is_under_way", "lock_file", "read_threads", "write_facts"]

# These decide where and how fast a run is computed, not what is computed; data may lie somewhere else.
# (`threads` and `device` decide the last bits of sums.)
_FREE = frozenset(
    {
        "checkpoint_every",
        "data.images",
        "data.path",
        "data.terms",
        "device",
        "features.batch_size",
        "features.path",
        "tensorboard",
        "tensorboard_panels",
        "threads",
        "workers",
    }
)


def lock_file(run: Path) -> Path:
    """The file that is locked while a process trains in the folder."""
    return run / ".lock"


def is_under_way(run: Path) -> bool:
    """Whether there are steps to lose: without a last checkpoint a run begins anew, by whatever settings."""
    return checkpoint_path(run, "last").is_file()


def choose_settings(run: Path, settings: TrainSettings | None, *, resume: bool) -> TrainSettings:
    """The settings to run by, where a run can begin or go on in this folder; nothing is written.

    Where a run goes on and `settings` name no data or features, it goes on with its own.

    Raises `RunError` where a run is under way and `resume` is not asked for, where there is none and it is or
    no settings came, where the folder holds something else, and where settings came that differ from
    those of a run under way.
    """
    file = run / "settings.yaml"
    begun = load_settings(TrainSettings, file) if file.is_file() else None
    if begun is None:
        if run.exists() and any(not entry.name.startswith(".") for entry in run.iterdir()):
            raise RunError(
                f"{run}: already exists and is not a training run; name a folder that does not exist"
            )
        if settings is None:
            raise RunError(
                f"{run}: there is no run to go on with (no settings.yaml); give settings to begin one"
            )
        if resume:
            raise RunError(
                f"{run}: there is no run to go on with (no settings.yaml); leave --resume out to begin one"
            )
        return _absolute(settings)
    if not resume and (settings is None or is_under_way(run)):
        where = f"at step {_step(run)}" if is_under_way(run) else "without a checkpoint yet"
        raise RunError(
            f"{run}: already holds a run, {where}; add --resume to go on with it, or name a new folder"
        )
    if settings is None:
        return begun
    now = _absolute(settings)
    if resume:
        now = _with_places_of(begun, now)
    if is_under_way(run):
        _refuse_differences(run, _absolute(begun), now)
    return now


def clear_leftovers(run: Path) -> None:
    """Remove what a killed process left half-written; only for who holds the run's lock."""
    for folder in (run, run / "checkpoints"):
        for file in folder.glob(".*.tmp"):
            if file.is_file():
                file.unlink(missing_ok=True)


def read_threads(run: Path) -> int | None:
    """How many threads a run under way is computed with, where that was written down."""
    file = run / "run.json"
    if not (is_under_way(run) and file.is_file()):
        return None
    threads = read_json(file, error=RunError).get("threads")
    return threads if isinstance(threads, int) else None


def write_facts(run: Path, facts: Mapping[str, Any]) -> None:
    """Write down what the run reads and is computed with; raises `RunError` where its inputs have changed."""
    file = run / "run.json"
    begun: dict[str, Any] = {}
    if is_under_way(run) and file.is_file():
        begun = read_json(file, error=RunError)
        for key, what in (("inputs", "data or features"), ("teachers", "teachers")):
            if begun.get(key, facts.get(key)) != facts.get(key):
                raise RunError(
                    f"{run}: its {what} are not those it was begun with; "
                    "put them back, or train to a new folder"
                )
    versions = {"sterna": __version__, "torch": str(torch.__version__)}
    now = {"schema": 1, "versions": versions, **begun, **facts}
    if now != begun:
        write_json(file, now)


def _step(run: Path) -> int:
    return read_position(checkpoint_path(run, "last")).step


def _refuse_differences(run: Path, begun: TrainSettings, now: TrainSettings) -> None:
    different = _differences(begun.model_dump(mode="json"), now.model_dump(mode="json"))
    if different:
        raise RunError(
            f"{run}: was begun with other settings ({'; '.join(different)}); "
            "go on with its own, or train to a new folder"
        )


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


def _with_places_of(begun: TrainSettings, now: TrainSettings) -> TrainSettings:
    """`now`, with the run's own data and features where it names none."""
    same_data = now.data.path in (None, begun.data.path)
    images = now.data.images or (begun.data.images if same_data else None)
    data = now.data.model_copy(update={"path": now.data.path or begun.data.path, "images": images})
    features = now.features.model_copy(update={"path": now.features.path or begun.features.path})
    return now.model_copy(update={"data": data, "features": features})


def _absolute(settings: TrainSettings) -> TrainSettings:
    """With paths that hold wherever the run is gone on from."""

    def whole(path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    data, features = settings.data, settings.features
    data = data.model_copy(update={"path": whole(data.path), "images": whole(data.images)})
    features = features.model_copy(
        update={
            "path": whole(features.path),
            "image": _absolute_backbone(features.image),
            "text": _absolute_backbone(features.text),
        }
    )
    places = {"init_from": whole(settings.init_from), "teacher": tuple(map(whole, settings.teacher))}
    return settings.model_copy(update={"data": data, "features": features, **places})


def _absolute_backbone(name: str) -> str:
    """Backbones side by side, with folders of `hf:` and `run:` in full; names of the hub stay."""
    if name.startswith(OF_RUN):
        return f"{OF_RUN}{Path(name.removeprefix(OF_RUN)).expanduser().absolute()}"
    if (folder := _local(name)) is not None:  # before parting: a folder's name may hold a "+"
        return f"hf:{folder.absolute()}"
    if "+" in name:
        return "+".join(_absolute_backbone(part.strip()) for part in name.split("+"))
    return name


def _local(name: str) -> Path | None:
    if not name.startswith("hf:"):
        return None
    folder = Path(name.removeprefix("hf:")).expanduser()
    return folder if folder.is_dir() else None
