"""The formats of other people's features: one file each, and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sterna.errors import DataError, check_known
from sterna.features._foreign import Format
from sterna.features._formats import _bert, _hdf5, _npz, _scan, _tsv
from sterna.features._formats._arrays import is_pickle, pickle_advice

__all__ = ["FORMATS", "format_of"]

FORMATS: Mapping[str, Format] = {
    "tsv": _tsv.FORMAT,
    "scan": _scan.FORMAT,
    "npz": _npz.FORMAT,
    "bert": _bert.FORMAT,
    "hdf5": _hdf5.FORMAT,
}


def format_of(path: Path, name: str | None = None) -> str:
    """The format that `path` is in, a key of `FORMATS`, unless it is named.

    Raises `DataError` for pickles and for what is in no known format or in several, `UsageError` for a name
    that is not known.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if is_pickle(path):
        raise DataError(pickle_advice(path))
    if name is not None:
        check_known("format", name, FORMATS)
        return name
    claimed = [name for name, kind in FORMATS.items() if kind.claims(path)]
    if len(claimed) == 1:
        return claimed[0]
    if claimed:
        raise DataError(
            f"{path}: can be read in several formats ({', '.join(claimed)}); name one as the format"
        )
    pickles = sorted(file for file in path.iterdir() if is_pickle(file))[:1] if path.is_dir() else []
    if pickles:
        raise DataError(pickle_advice(pickles[0]))
    looks = "; ".join(f"{name}: {kind.looks}" for name, kind in FORMATS.items())
    raise DataError(
        f"{path}: is in no format that is known ({looks}); name one where it is in it nonetheless"
    )
