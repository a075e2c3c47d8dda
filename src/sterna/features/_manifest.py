"""What a feature store's folder holds: the manifest and the folders of its parts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sterna.errors import StoreError, UsageError
from sterna.features._part import SCHEMA, ColumnSpec
from sterna.files import read_json, write_json

__all__ = ["folders", "next_number", "read_manifest", "write_manifest"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def folders(path: Path) -> list[Path]:
    """The folders of a store's parts, in order; raises `StoreError` where there is no folder of parts."""
    if not (path / "parts").is_dir():
        raise StoreError(f"{path}: its folder of parts is missing; extract again, or bring it back")
    return sorted(entry for entry in (path / "parts").iterdir() if not entry.name.startswith("."))


def next_number(path: Path) -> int:
    """The number of a new part.

    For whoever holds the lock: it removes what a killed process left half written.
    """
    for entry in (path / "parts").glob(".*.tmp"):
        shutil.rmtree(entry, ignore_errors=True)
    return max((int(folder.name.partition("-")[0]) for folder in folders(path)), default=-1) + 1


def read_manifest(path: Path) -> tuple[dict[str, ColumnSpec], dict[str, Any]]:
    """The columns and the meta of a store; raises `StoreError`."""
    manifest = read_json(path / "manifest.json", error=StoreError)
    try:
        schema = manifest["schema"]
        columns = {name: ColumnSpec(**spec) for name, spec in manifest["columns"].items()}
        meta = dict(manifest["meta"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{path / 'manifest.json'}: is not a feature store's manifest ({error})") from error
    if schema != SCHEMA:
        raise StoreError(f"{path}: is a feature store of schema {schema}; this version reads schema {SCHEMA}")
    return columns, meta


def write_manifest(path: Path, columns: Mapping[str, ColumnSpec], meta: Mapping[str, Any]) -> None:
    """Write columns and meta, whole or not at all; raises `UsageError` for an unfit column name."""
    for name in columns:
        if not _NAME.fullmatch(name) or name == "ids" or name.endswith(".offsets"):
            raise UsageError(
                f"{name!r}: a column's name is of letters, digits, '.', '_' and '-', and not 'ids'"
            )
    described = {name: asdict(spec) for name, spec in columns.items()}
    write_json(path / "manifest.json", {"schema": SCHEMA, "columns": described, "meta": dict(meta)})
