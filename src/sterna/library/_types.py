"""What a library answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = [
    "Backup",
    "CaptionHit",
    "Failure",
    "Forgotten",
    "Hit",
    "IndexReport",
    "ModelStatus",
    "PhotoRecord",
    "Progress",
    "Reporter",
    "RootRecord",
    "RootStatus",
    "Status",
    "silent",
]


@dataclass(frozen=True)
class Hit:
    """A photograph that was found.

    `path` is absolute, the first path of the photograph (by name, those that exist first) that passes the
    search's filters; `also` are its other known paths. `online` is false where the drive the path lies on is
    not there now; `away` is then the folder that is missed: the root, or the drive inside it. `width` and
    `height` are of the upright original; `taken_at` is local time, and so is `file_date`, when the file at
    `path` was last changed. `score` is a cosine; `alignment` is how well its regions fit the words, in a
    scale of the model's own, where the search was re-ranked. `folded` is how many other hits, which look the
    same and score less, it stands for, where they were folded. `root_id` and `photo_id` are the numbers of
    the library.
    """

    rank: int
    score: float
    path: Path
    root: Path
    photo_id: int
    width: int
    height: int
    taken_at: datetime | None
    captions: tuple[str, ...]
    also: tuple[Path, ...] = ()
    online: bool = True
    away: Path | None = None
    alignment: float | None = None
    root_id: int = 0
    file_date: datetime | None = None
    folded: int = 0


@dataclass(frozen=True)
class PhotoRecord:
    """What a library knows of one photograph; what the names mean is said at `Hit`."""

    photo_id: int
    path: Path
    root: Path
    root_id: int
    width: int
    height: int
    taken_at: datetime | None
    captions: tuple[str, ...]
    also: tuple[Path, ...]
    online: bool
    away: Path | None
    file_date: datetime | None = None


@dataclass(frozen=True)
class CaptionHit:
    """A sentence that fits a photograph; `path` is a photograph it belongs to, where one is known."""

    rank: int
    score: float
    caption: str
    path: Path | None = None


@dataclass(frozen=True)
class Progress:
    """How far something long is.

    `phase` of an `index` run is "looking" (`done` counts files looked at, `total` is `None`) or "embedding"
    (`done` of `total` files and photographs dealt with, `new` of them embedded); of `duplicates` "comparing"
    (photographs), of `backup` and `restore` "copying" (bytes). `rate` is done a second; `seconds_left` an
    estimate; both are of embedding alone.
    """

    phase: str
    done: int
    total: int | None = None
    new: int = 0
    failed: int = 0
    rate: float = 0.0
    seconds_left: float | None = None


Reporter = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Failure:
    """A file or folder that cannot be read, with a reason for people."""

    path: Path
    reason: str


@dataclass(frozen=True)
class IndexReport:
    """What an `index` run found and did.

    Arguments:
        new: photographs embedded for the first time with the run's model, those of changed files aside.
        changed: known paths that hold another content now.
        moved: files that left their path and were found elsewhere by their content; nothing is embedded
            again.
        removed: files that are gone.
        failed: files and folders of the roots looked at that cannot be read, whether found now or before.
        offline: roots asked for, and drives inside them, that are not there; nothing of theirs was touched.
        seconds: how long it took.
        failures: those counted as `failed`, by path.
        offline_roots: those counted as `offline`.
        unlisted: folders among the failures: what lies in them is not known, or not as it is now.
        left_out: folders in the roots that show what the system tells of itself (`/proc`, `/sys`, `/dev`).
        taken_in: folders of the library that have become part of one around them, each with that one.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    failed: int = 0
    offline: int = 0
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    offline_roots: tuple[Path, ...] = ()
    unlisted: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()
    taken_in: tuple[tuple[Path, Path], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The report as `sterna index --format json` ends with it."""
        counts = ("new", "changed", "moved", "removed", "failed", "offline")
        report: dict[str, Any] = {name: getattr(self, name) for name in counts}
        return {
            "schema": 1,
            **report,
            "seconds": round(self.seconds, 3),
            "unlisted": [str(path) for path in self.unlisted],
            "left_out": [str(path) for path in self.left_out],
            "taken_in": [{"path": str(inner), "into": str(outer)} for inner, outer in self.taken_in],
        }


@dataclass(frozen=True)
class Backup:
    """A copy of a library that was made: where, when (UTC), of how many photographs, and what it takes."""

    path: Path
    made_at: datetime
    photos: int
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """The backup as `sterna library backup --format json` prints it."""
        made_at = self.made_at.isoformat(timespec="seconds")
        return {
            "schema": 1,
            "path": str(self.path),
            "made_at": made_at,
            "photos": self.photos,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Forgotten:
    """A folder that was taken out of a library.

    `files` are its paths that were known, `photos` the photographs among them that no other folder holds.
    """

    path: Path
    files: int
    photos: int

    def as_json(self) -> dict[str, Any]:
        """What `sterna library forget --format json` prints."""
        return {"schema": 1, "path": str(self.path), "files": self.files, "photos": self.photos}


@dataclass(frozen=True)
class RootRecord:
    """A folder of the library: whether it is there now, and the patterns of what is left out of it."""

    root_id: int
    path: Path
    online: bool
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class RootStatus:
    """A folder of the library: whether it is there now, and how many of its photographs can be found.

    `away` are the drives inside it that are not there, where it is there itself.
    """

    path: Path
    online: bool
    photos: int
    exclude: tuple[str, ...] = ()
    away: tuple[Path, ...] = ()
    root_id: int = 0


@dataclass(frozen=True)
class ModelStatus:
    """A model with vectors in the library: `photos` can be found with it, `stale` need embedding."""

    name: str
    spec: str
    fingerprint: str
    dim: int
    photos: int
    stale: int
    default: bool
    bytes: int


@dataclass(frozen=True)
class Status:
    """What a library holds.

    `indexed` counts photographs that can be found with its default model, `stale` those that still need a
    vector of it, because its vector was lost too; `bytes` is what the library takes on disk. `journal` is how
    its catalogue is kept: "wal", or "delete" where the drive does not allow that (searches then wait while a
    batch is written), or "none" before the first `index`. `problems` are the library's own files that a
    glance shows to be missing or damaged; `Library.check` looks at all of them.
    """

    path: Path
    roots: tuple[RootStatus, ...]
    indexed: int
    stale: int
    failed: tuple[Failure, ...]
    models: tuple[ModelStatus, ...]
    bytes: int
    journal: str
    problems: tuple[Failure, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The status as `sterna status --format json` prints it."""
        return {
            "schema": 1,
            "roots": [
                {"path": str(root.path), "online": root.online, "photos": root.photos} for root in self.roots
            ],
            "indexed": self.indexed,
            "stale": self.stale,
            "failed": [{"path": str(item.path), "reason": item.reason} for item in self.failed],
            "models": [
                {
                    "name": model.name,
                    "spec": model.spec,
                    "fingerprint": model.fingerprint,
                    "dim": model.dim,
                    "photos": model.photos,
                    "stale": model.stale,
                    "default": model.default,
                    "bytes": model.bytes,
                }
                for model in self.models
            ],
            "bytes": self.bytes,
        }
