"""What a library holds open between two questions: its catalogue, its models, the vectors of each."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sterna.errors import LibraryError
from sterna.library._captions import SentenceVectors
from sterna.library._catalog import Catalog
from sterna.library._folder import has_catalog, lost_catalog
from sterna.library._gallery import Gallery, load_gallery
from sterna.library._models import Models, default_spec, index_command, model_of
from sterna.library._replacing import recover

if TYPE_CHECKING:
    from sterna.encoders import Encoder

__all__ = ["Opened"]


class Opened:
    """Opens what is asked for when it is first needed, and again where another process has replaced it.

    Arguments:
        path: the library's folder.
        model: what a question is answered with unless it names another; `None` for the library's own.
    """

    def __init__(self, path: Path, *, model: str | Path | Encoder | None) -> None:
        self.path = path
        self.models = Models()
        self._model = model
        self._lock = threading.RLock()
        self._catalog: Catalog | None = None
        self._galleries: dict[int, Gallery] = {}
        self._sentences: dict[str, SentenceVectors] = {}

    @property
    def is_ready(self) -> bool:
        """Whether there is a catalogue with its tables; as yet there is none where another makes it."""
        if not os.path.lexists(self.path):
            recover(self.path)
        return has_catalog(self.path) and self._fresh_catalog().ready

    @property
    def exists(self) -> bool:
        """Whether anything was indexed; `LibraryError` where vectors lie here without a catalogue."""
        if self.is_ready:
            return True
        lost = lost_catalog(self.path)
        if lost is not None and not self.is_ready:  # another process may have made it just now
            raise lost
        return lost is not None

    def catalog(self) -> Catalog:
        """The catalogue; `LibraryError` where nothing is indexed yet."""
        if not self.exists:
            raise LibraryError(
                f"{self.path}: nothing is indexed yet; run `sterna index DIR` with a folder of photographs"
            )
        return self._fresh_catalog()

    def any_catalog(self) -> Catalog | None:
        """The catalogue, `None` where nothing is indexed yet."""
        return self._fresh_catalog() if self.exists else None

    def model(self, catalog: Catalog | None) -> str | Path | Encoder | None:
        """What the library answers with: what it was opened with, or its own; `None` is the shipped model."""
        return default_spec(catalog) if self._model is None and catalog is not None else self._model

    def encoder(self, catalog: Catalog | None, model: str | Path | Encoder | None) -> tuple[Encoder, str]:
        """A model, `None` for the library's, and the text that names it in the catalogue."""
        return self.models.get(self.model(catalog) if model is None else model)

    def gallery(self, catalog: Catalog, model: str | Path | Encoder | None) -> tuple[Encoder, Gallery]:
        """A model and its vectors as they are now; `LibraryError` where it has none."""
        encoder, spec = self.encoder(catalog, model)
        found = self.gallery_of(catalog, encoder)
        if found is None:
            raise LibraryError(
                f"{self.path}: no photograph has a vector of the model {encoder.name} as it is now; "
                f"run `{index_command(spec, default=False)}`"
            )
        return encoder, found

    def gallery_of(self, catalog: Catalog, encoder: Encoder) -> Gallery | None:
        """The vectors of a model as they are now; `None` where it has none."""
        number = model_of(catalog, encoder.fingerprint)
        if number is None:
            return None
        with self._lock:
            gallery = load_gallery(catalog, number, old=self._galleries.get(number))
            self._galleries[number] = gallery
            return gallery

    def sentence_vectors(self, encoder: Encoder) -> SentenceVectors:
        """The vectors of the sentences known to the library."""
        with self._lock:
            if encoder.fingerprint not in self._sentences:
                folder = self.path if has_catalog(self.path) else None
                self._sentences[encoder.fingerprint] = SentenceVectors(encoder, folder=folder)
            return self._sentences[encoder.fingerprint]

    def close(self) -> None:
        """Close the catalogue; it is opened again where it is needed again."""
        with self._lock:
            if self._catalog is not None:
                self._catalog.close()
            self._catalog = None
            self._galleries = {}

    def _fresh_catalog(self) -> Catalog:
        with self._lock:
            if self._catalog is None or self._catalog.replaced:
                self._catalog, self._galleries = Catalog(self.path), {}
            return self._catalog
