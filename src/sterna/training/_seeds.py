"""The same training with several seeds, and how much its figures differ."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sterna.errors import RunError, StoppedError, UsageError
from sterna.features import ExtractProgress
from sterna.files import write_json
from sterna.settings import load_settings
from sterna.training._checkpoint import checkpoint_path, read_report
from sterna.training._folder import choose_settings
from sterna.training._log import TrainProgress
from sterna.training._settings import TrainSettings
from sterna.training._train import RunResult, train

__all__ = ["SeedsResult", "train_seeds"]


@dataclass(frozen=True)
class SeedsResult:
    """How the runs of several seeds ended.

    Fields:
        path: the folder that holds a run for each seed, and `seeds.json`.
        runs: how each ended, by its seed.
        figures: of each one's best weights on validation, by name (`i2t.hits.1`), by its seed.
        mean, deviation: of each figure over the seeds; the sample's standard deviation, `None` for one seed.
    """

    path: Path
    runs: Mapping[int, RunResult]
    figures: Mapping[int, Mapping[str, float]]
    mean: Mapping[str, float]
    deviation: Mapping[str, float | None]

    @property
    def metric(self) -> str:
        """What the best weights were chosen by."""
        return next(iter(self.runs.values())).metric

    def as_json(self) -> dict[str, Any]:
        """The document in `seeds.json`, schema 1."""
        return {
            "schema": 1,
            "path": str(self.path),
            "metric": self.metric,
            "seeds": [
                {
                    "seed": seed,
                    "path": str(run.path),
                    "best": run.best,
                    "best_step": run.best_step,
                    "step": run.step,
                    "steps": run.steps,
                    "seconds": round(run.seconds, 3),
                    "figures": dict(self.figures[seed]),
                }
                for seed, run in self.runs.items()
            ],
            "mean": dict(self.mean),
            "standard_deviation": dict(self.deviation),
        }


def train_seeds(
    settings: TrainSettings | None,
    out: str | Path,
    seeds: Sequence[int],
    *,
    resume: bool = False,
    progress: Callable[[int, TrainProgress], None] | None = None,
    extract_progress: Callable[[ExtractProgress], None] | None = None,
) -> SeedsResult:
    """Train once for each seed, one after the other, in `out/seed-0` and so on; see `train`.

    Features that settings name no place for go to `out/features`, for all of them.

    Arguments:
        settings: what to train, but for its seed; with `resume` they may be left out.
        seeds: different numbers.
        resume: leave runs that ended as they are, go on with one that was stopped, and begin those that were
            not begun.
        progress: told the seed, too.

    Raises as `train`; `UsageError` for no seeds or one that comes twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise UsageError(
            f"seeds {', '.join(map(str, seeds)) or 'none'}: different numbers are needed, at least one"
        )
    out = Path(out)
    settings = settings or _settings_of(out, seeds, resume=resume)
    features = settings.features.model_copy(update={"path": settings.features.path or out / "features"})
    each = {seed: settings.model_copy(update={"seed": seed, "features": features}) for seed in seeds}
    begun = {seed: resume and (_folder(out, seed) / "settings.yaml").is_file() for seed in seeds}
    for seed, own in each.items():  # before the first one runs for hours
        choose_settings(_folder(out, seed), own, resume=begun[seed])
    tell = (progress, extract_progress)
    runs = {seed: _train_one(own, out, seeds, resume=begun[seed], tell=tell) for seed, own in each.items()}
    result = _summary(out, runs)
    write_json(out / "seeds.json", result.as_json())
    return result


def _folder(out: Path, seed: int) -> Path:
    return out / f"seed-{seed}"


def _settings_of(out: Path, seeds: Sequence[int], *, resume: bool) -> TrainSettings:
    for seed in seeds if resume else ():
        file = _folder(out, seed) / "settings.yaml"
        if file.is_file():
            return load_settings(TrainSettings, file)
    raise RunError(f"{out}: there is no run of these seeds to go on with; give settings to begin")


def _train_one(
    settings: TrainSettings,
    out: Path,
    seeds: Sequence[int],
    *,
    resume: bool,
    tell: tuple[Callable[[int, TrainProgress], None] | None, Callable[[ExtractProgress], None] | None],
) -> RunResult:
    progress, extract_progress = tell
    try:
        return train(
            settings,
            _folder(out, settings.seed),
            resume=resume,
            progress=None if progress is None else partial(progress, settings.seed),
            extract_progress=extract_progress,
        )
    except StoppedError:
        raise StoppedError(
            f"{out}: stopped in the run of seed {settings.seed}; go on with: "
            f"sterna train --out {out} --seeds {','.join(map(str, seeds))} --resume"
        ) from None


def _summary(out: Path, runs: Mapping[int, RunResult]) -> SeedsResult:
    figures = {seed: _flat(read_report(checkpoint_path(run.path, "best"))) for seed, run in runs.items()}
    names = [name for name in next(iter(figures.values())) if all(name in one for one in figures.values())]
    values = {name: [one[name] for one in figures.values()] for name in names}
    return SeedsResult(
        path=out,
        runs=runs,
        figures=figures,
        mean={name: statistics.fmean(some) for name, some in values.items()},
        deviation={name: statistics.stdev(some) if len(some) > 1 else None for name, some in values.items()},
    )


def _flat(report: Mapping[str, Any], name: str = "") -> dict[str, float]:
    """Figures by the names that select by them."""
    found: dict[str, float] = {}
    for key, value in report.items():
        path = f"{name}.{key}".lstrip(".")
        if isinstance(value, Mapping):
            found |= _flat(value, path)
        elif isinstance(value, int | float) and key not in ("images", "captions"):
            found[path] = float(value)
    return found
