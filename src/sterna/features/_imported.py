"""The store that imported features go into: what its manifest says of where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sterna._version import versions
from sterna.errors import DataError, StoreError
from sterna.features._fitting import Fitting
from sterna.features._foreign import Foreign, Kind
from sterna.features._store import FeatureStore
from sterna.files import FileLock, hash_json, system_reason

__all__ = ["open_imported"]

_BLOCK = 1 << 16
_LOOKED_INTO = 64  # files of which the content counts; of all others the name and the size


def open_imported(
    path: Path, foreign: Foreign, *, kind: Kind, name: str, source: Path, fitting: Fitting
) -> FeatureStore:
    """Make or open the store, and note the source in its manifest.

    The fingerprint is a hash of all sources. Raises `StoreError` where the store holds other features.
    """
    noted = {"format": name, "source": source.resolve().name, "sha256": _identity(name, foreign.files)}
    meta = _meta(kind, fitting)
    with FileLock(path / ".lock", what=f"the feature store {path}", wait=60):
        if not (path / "manifest.json").is_file():
            meta |= {"imported": [noted], "fingerprint": hash_json([noted["sha256"]])}
            return FeatureStore.create(path, fitting.columns, meta=meta)
    store = FeatureStore.open(path)
    unlike = [key for key in ("kind", "backbone", "dim", "dtype") if store.meta.get(key) != meta[key]]
    if unlike:
        was = ", ".join(f"{key} {store.meta.get(key)!r}" for key in unlike)
        now = ", ".join(f"{key} {meta[key]!r}" for key in unlike)
        raise StoreError(f"{path}: holds features of {was}; those that came have {now}: name another folder")
    lacking = sorted(set(store.columns) ^ set(fitting.columns))
    if lacking:
        raise StoreError(
            f"{path}: its items and those that came do not both have {lacking[0]!r}: name another folder"
        )
    imported = list(store.meta.get("imported", []))
    if noted["sha256"] not in [one["sha256"] for one in imported]:
        imported.append(noted)
        hashes = sorted(one["sha256"] for one in imported)
        store.note({"imported": imported, "fingerprint": hash_json(hashes)})
    return store


def _meta(kind: Kind, fitting: Fitting) -> dict[str, Any]:
    common = {
        "kind": kind,
        "backbone": "imported",
        "fingerprint": "",
        "dim": fitting.dim,
        "dtype": fitting.dtype,
    }
    if kind == "captions":
        return {**common, "max_tokens": None, "versions": versions(("numpy",))}
    return {
        **common,
        "size": None,
        "fit": None,
        "regions": None,
        "sources": [fitting.dim],
        "boxes": "of the source" if fitting.has_boxes else "none: every region has the whole image's",
        "versions": versions(("numpy",)),
    }


def _identity(name: str, files: Sequence[tuple[str, Path]]) -> str:
    """A hash of what a source is: its files' names and sizes, and the start and end of up to 64 of them.

    Reading all of it would take as long as the import, and it has to be known before.
    """
    digest = hashlib.sha256(name.encode())
    step = max(1, len(files) // _LOOKED_INTO)
    for number, (told, path) in enumerate(files):
        try:
            size = path.stat().st_size
            digest.update(f"{told}\0{size}\0".encode(errors="surrogateescape"))
            if number % step == 0:
                with path.open("rb") as file:
                    digest.update(file.read(_BLOCK))
                    file.seek(max(0, size - _BLOCK))
                    digest.update(file.read(_BLOCK))
        except OSError as error:
            raise DataError(f"{path}: {system_reason(error)}") from None
    return digest.hexdigest()
