"""Every error that Sterna raises on purpose.

::

    SternaError                 one clear sentence; the command line exits with 1
    ├── UsageError              an argument or setting is wrong; the command line exits with 2
    │   ├── SettingsError       a settings file or override is wrong (every problem at once)
    │   └── UnknownPhotoError   an id that no photograph of the library has
    ├── MissingExtraError       an optional part is not installed; names the command that installs it
    ├── PhotoError              a photograph cannot be read; `reason` is for people
    ├── DataError               captioned data cannot be read; names file and line
    ├── ModelError              a model folder, checkpoint or backbone cannot be used
    ├── StoreError              a feature store is missing, damaged or does not fit
    ├── RunError                a training run cannot be started or resumed
    │   └── StoppedError        a run was asked to stop, and saved where it stands
    ├── LibraryError            a library is damaged, or cannot be opened or changed
    │   └── LockedError         another process is writing to it
    ├── ServerError             a service cannot be started, cannot be reached, or refuses what is asked
    └── DiskError               the disk is full or refuses to be written

A message names the file or argument, what came, and what would be right.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import TypeGuard

__all__ = [
    "DataError",
    "DiskError",
    "LibraryError",
    "LockedError",
    "MissingExtraError",
    "ModelError",
    "PhotoError",
    "RunError",
    "ServerError",
    "SettingsError",
    "SternaError",
    "StoppedError",
    "StoreError",
    "UnknownPhotoError",
    "UsageError",
    "check_finite",
    "check_known",
    "check_whole",
    "is_finite",
    "is_whole",
]


class SternaError(Exception):
    """Root of all errors raised on purpose; `str(error)` is one sentence for a person."""


class UsageError(SternaError, ValueError):
    """An argument is wrong."""


class SettingsError(UsageError):
    """A settings file or an override is wrong; the message lists every problem."""


class UnknownPhotoError(UsageError):
    """An id that no photograph of the library has."""


class MissingExtraError(SternaError, ImportError):
    """An optional part is not installed.

    Arguments:
        what: what was asked for, as the start of a sentence ("Reading HEIC photographs").
        extra: the extra of the package that brings it ("heic").
    """

    def __init__(self, what: str, *, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an extra part: pip install 'sterna[{extra}]'")


class PhotoError(SternaError):
    """A photograph cannot be read.

    Arguments:
        reason: what is wrong with it, in words for a person, without its name.
        path: the file, where there is one.
    """

    def __init__(self, reason: str, *, path: str | None = None) -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


class DataError(SternaError):
    """Captioned data cannot be read."""


class ModelError(SternaError):
    """A model folder, a checkpoint or a backbone cannot be used."""


class StoreError(SternaError):
    """A feature store is missing, damaged, or does not fit what is asked of it."""


class RunError(SternaError):
    """A training run cannot be started or resumed."""


class StoppedError(RunError):
    """A run was asked to stop (Ctrl-C, SIGTERM) and saved where it stands; the command line gives 130."""


class LibraryError(SternaError):
    """A library is damaged, or cannot be opened or changed."""


class LockedError(LibraryError):
    """Another process is writing to it; wait, or stop that process."""


class ServerError(SternaError):
    """A service cannot be started, cannot be reached, or refuses what is asked of it.

    Arguments:
        sentence: what is wrong.
        status: the status of the answer, where there is one (503: it is busy, ask again later).
    """

    def __init__(self, sentence: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(sentence)


class DiskError(SternaError):
    """The disk is full or refuses to be written."""


def check_known(what: str, name: str, known: Collection[str]) -> None:
    """Raise `UsageError` listing the known names unless `name` is one of them."""
    if name not in known:
        raise UsageError(f"{what}={name!r} is not known; known: {', '.join(sorted(known))}")


def check_finite(name: str, number: object, *, hint: str = "") -> float:
    """A finite number of Python's or NumPy's as Python's; raise `UsageError` for anything else.

    `hint` is what else would be right (", or None").
    """
    if is_finite(number):
        return float(number)
    raise UsageError(f"{name}={number!r}: a finite number is needed{hint}")


def check_whole(name: str, number: object, *, least: int, hint: str = "") -> int:
    """A whole number of Python's or NumPy's as Python's; raise `UsageError` for any other and one too small.

    `hint` is what the least one means (", 0 for none").
    """
    if is_whole(number):
        if int(number) >= least:
            return int(number)
        needed = f"a whole number is needed{hint}" if hint else f"at least {least} is needed"
        raise UsageError(f"{name}={int(number)}: {needed}")
    raise UsageError(f"{name}={number!r}: a whole number is needed{hint}")


def is_finite(number: object) -> TypeGuard[Real]:
    """Whether a finite number came, of Python's or NumPy's."""
    return isinstance(number, Real) and not isinstance(number, bool) and math.isfinite(number)


def is_whole(number: object, *, least: int | None = None) -> TypeGuard[Integral]:
    """Whether a whole number came, of Python's or NumPy's, and not less than `least`."""
    if not isinstance(number, Integral) or isinstance(number, bool):
        return False
    return least is None or int(number) >= least
