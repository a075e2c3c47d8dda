"""Text features with a file a caption: `{caption id}.npz` with `feat` [T, D]."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from sterna.errors import DataError
from sterna.features._foreign import BadItem, Entry, Foreign, Format, Item, Passage
from sterna.features._formats._arrays import listed, load_npy, load_npz
from sterna.features._formats._folder import FolderWriter, check_file_name

__all__ = ["FORMAT"]

_ARRAYS = {
    "values": ("feat", "features", "x"),
    "tokens": ("tokens", "input_ids", "ids"),
    "mask": ("mask", "attention_mask"),
}


def _claims(path: Path) -> bool:
    return path.is_dir() and bool(listed(path, (".npz",))) and "bert" in path.name.lower()


class _Files:
    has_boxes = False

    def __init__(self, path: Path) -> None:
        named = [(path.stem, path)] if path.is_file() else listed(path, (".npz", ".npy"))
        self._names = [name for name, _ in named]
        self.files = [(name + file.suffix, file) for name, file in named]
        if not self.files:
            raise DataError(f"{path}: no .npz file of a caption's features found")
        self.extras = ("tokens",) if self._first_has_tokens() else ()

    def _first_has_tokens(self) -> bool:
        for _, file in self.files[:8]:
            try:
                return "tokens" in load_npz(file, {"tokens": _ARRAYS["tokens"]})
            except BadItem:
                continue
        return False

    def __iter__(self) -> Iterator[Entry]:
        for number, ((told, file), name) in enumerate(zip(self.files, self._names, strict=True)):
            yield Entry(name, told, partial(_read, file), number / len(self.files))

    def passages(self) -> Iterator[Passage]:
        return iter(())


def _read(file: Path) -> Item:
    found = {"values": load_npy(file)} if file.suffix.lower() == ".npy" else load_npz(file, _ARRAYS)
    if "values" not in found:
        raise BadItem("has no feat")
    values, tokens = found["values"], found.get("tokens")
    if values.ndim == 3 and len(values) == 1:  # a batch of one
        values = values[0]
    if values.ndim == 1:
        values = values[None]
    if tokens is not None:
        tokens = tokens.reshape(-1)
    if "mask" in found:
        real = found["mask"].reshape(-1).astype(bool)
        if values.ndim == 2:
            if len(real) != len(values):
                raise BadItem(f"has a mask of {len(real)} for {len(values)} tokens")
            values = values[real]
            tokens = tokens[real] if tokens is not None and len(tokens) == len(real) else tokens
    return Item(values, tokens=tokens)


class _Writer(FolderWriter):
    def done(self, identity: str) -> bool:
        return self._safe(identity) and self._file(self._target.dest, identity, ".npz").is_file()

    def write(self, identity: str, item: Item) -> None:
        check_file_name(identity)
        arrays = {"feat": item.values}
        if item.tokens is not None:
            arrays["tokens"] = np.asarray(item.tokens)
        self._save(self._file(self._target.dest, identity, ".npz"), arrays)


def _open(path: Path) -> Foreign:
    return _Files(path)


FORMAT = Format(
    kind="captions",
    looks="a folder of {caption id}.npz with feat (a folder called *bert* is taken for one)",
    claims=_claims,
    open=_open,
    write=_Writer,
    keeps=("tokens",),
)
