"""Sentences for a photograph: those known to the library, and their vectors, made once."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sterna.errors import DiskError
from sterna.files import hash_bytes, new_file
from sterna.library._catalog import Catalog
from sterna.library._paths import full_path, sidecar_names
from sterna.library._types import CaptionHit

if TYPE_CHECKING:
    from sterna.encoders import Encoder

__all__ = ["SentenceVectors", "known_sentences", "rank_sentences", "sentence_file"]

_BATCH = 1024  # sentences encoded at a time
_FEW = 16  # sentences that are encoded faster than a file is written


def sentence_file(folder: Path, fingerprint: str) -> Path:
    """Where a library keeps the vectors of its sentences by a model."""
    return folder / "sentences" / f"{fingerprint[:16]}.npz"


class SentenceVectors:
    """Vectors of sentences by one model; those of the library's own sentences are kept in memory and in a
    file that may be lost.

    Arguments:
        encoder: makes them.
        folder: the library, `None` where there is none.
    """

    def __init__(self, encoder: Encoder, *, folder: Path | None) -> None:
        self._encoder = encoder
        self._file = None if folder is None else sentence_file(folder, encoder.fingerprint)
        self._known: dict[str, NDArray[np.float16]] = {}
        if self._file is not None and self._file.is_file():
            self._read(self._file)

    def get(self, sentences: Sequence[str], *, keep: bool) -> NDArray[np.float32]:
        """Vectors [M, E] of sentences, rounded to float16; only those not known yet are encoded.

        With `keep` they are all that the library knows: their vectors are kept, and no others.
        """
        keys = [hash_bytes(sentence.encode("utf-8", "replace"))[:32] for sentence in sentences]
        known = self._known
        missing = {key: text for key, text in zip(keys, sentences, strict=True) if key not in known}
        names, texts = list(missing), list(missing.values())
        made: dict[str, NDArray[np.float16]] = {}
        for start in range(0, len(names), _BATCH):
            vectors = self._encoder.encode_texts(texts[start : start + _BATCH]).astype(np.float16)
            made.update(zip(names[start : start + _BATCH], vectors, strict=True))
        wanted = {key: made[key] if key in made else known[key] for key in keys}
        if keep:
            self._known = wanted
            if len(made) > _FEW:
                self._write(wanted)
        return np.stack([wanted[key] for key in keys]).astype(np.float32)

    def _read(self, file: Path) -> None:
        try:
            with np.load(file, allow_pickle=False) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            self._known = {}  # it is derived: made again

    def _write(self, known: Mapping[str, NDArray[np.float16]]) -> None:
        if self._file is None:
            return
        try:
            with new_file(self._file) as aside, aside.open("wb") as out:
                np.savez(out, keys=np.array(list(known)), vectors=np.stack(list(known.values())))
        except (OSError, DiskError):
            return  # a library that cannot be written is still one to ask


def known_sentences(catalog: Catalog) -> dict[str, Path]:
    """Every sentence known to the library, inside photographs and beside them, with a photograph it is of."""
    sentences: dict[str, Path] = {}
    rows = catalog.rows(
        "SELECT roots.path, files.path, captions FROM photos JOIN files ON files.photo = photos.id "
        "JOIN roots ON roots.id = files.root WHERE captions != '[]'"
    )
    for root, path, text in rows:
        for sentence in json.loads(text):
            sentences.setdefault(sentence, Path(full_path(root, path)))
    for number, root, name, text in catalog.rows(
        "SELECT roots.id, roots.path, sidecars.path, captions FROM sidecars JOIN roots ON roots.id = root "
        "WHERE captions != '[]'"
    ):
        photo = _photo_beside(catalog, number, name=name)
        if photo is not None:
            for sentence in json.loads(text):
                sentences.setdefault(sentence, Path(full_path(root, photo)))
    return sentences


def _photo_beside(catalog: Catalog, root: int, *, name: bytes) -> bytes | None:
    """The photograph that a text file is named after."""
    stem = name.removesuffix(b".txt")
    rows = catalog.rows(
        "SELECT path FROM files WHERE root = ? AND path >= ? AND path < ? AND photo IS NOT NULL",
        (root, stem, stem + b"\xff"),
    )
    return next((path for (path,) in rows if name in sidecar_names(path)), None)


def rank_sentences(
    photo: NDArray[np.float32],
    sentences: Sequence[str],
    *,
    vectors: NDArray[np.float32],
    k: int,
    owners: Mapping[str, Path],
) -> list[CaptionHit]:
    """The K sentences whose vectors [M, E] are nearest to a photograph's [E]; equals keep their order."""
    scores = np.minimum(vectors @ (photo / max(float(np.linalg.norm(photo)), 1e-12)), 1.0)
    order = np.argsort(-scores, kind="stable")[:k]
    return [
        CaptionHit(rank, float(scores[number]), sentences[number], owners.get(sentences[number]))
        for rank, number in enumerate(order, start=1)
    ]
