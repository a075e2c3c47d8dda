"""A library: folders of photographs that answer questions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sterna.errors import LibraryError, SternaError
from sterna.library._arguments import check_k, check_paths, check_patterns, given_sentences
from sterna.library._captions import SentenceVectors, known_sentences, rank_sentences
from sterna.library._catalog import Catalog
from sterna.library._gallery import Gallery, load_gallery
from sterna.library._indexing import run_index
from sterna.library._models import Models, default_spec, index_command, model_of, register
from sterna.library._place import default_folder, has_catalog, library_folder, lost_catalog, writing
from sterna.library._query import Filters, operands
from sterna.library._roots import check_folder, check_folders, choose_roots
from sterna.library._searching import Wanted, photo_vector, search_gallery
from sterna.library._status import empty_status, read_check, read_status
from sterna.library._types import CaptionHit, Hit, IndexReport, Progress, Status

if TYPE_CHECKING:
    from sterna.encoders import Encoder
    from sterna.images import PhotoSource

__all__ = ["Library"]


class Library:
    """A collection of photographs in folders, searchable by sentence and by photograph.

    Made by `Library.open`; a context manager. It may be used by several threads, and while another process
    indexes: answers are always of what that one has committed.
    """

    def __init__(self, path: Path, *, model: str | Path | Encoder | None) -> None:
        self.path = path
        self._model = model
        self._models = Models()
        self._lock = threading.RLock()
        self._opened: Catalog | None = None
        self._galleries: dict[int, Gallery] = {}
        self._sentences: dict[str, SentenceVectors] = {}

    @classmethod
    def open(cls, path: str | Path | None = None, *, model: str | Path | Encoder | None = None) -> Library:
        """Open a library; nothing is made or read before it is used.

        Arguments:
            path: its folder; `None` for `STERNA_LIBRARY` or the platform's data folder. The first `index`
                makes it.
            model: the model to index and search with; `None` for the library's own, the first it was indexed
                with (the shipped model, where that was not named).

        Raises `UsageError` for an empty path, `LibraryError` where `path` is a file, lies below one, or may
        not be read.
        """
        if path is not None:
            check_paths(path)
        return cls(library_folder(default_folder() if path is None else Path(path)), model=model)

    def index(
        self,
        *roots: str | Path,
        model: str | Path | Encoder | None = None,
        exclude: Sequence[str] = (),
        progress: Callable[[Progress], None] | None = None,
        wait: float | None = 0,
    ) -> IndexReport:
        """Add folders, or bring them up to date; without any, bring every known folder up to date.

        May be stopped or killed at any time: what was committed, a batch of 32 photographs or two seconds
        at a time, is kept, and the next run goes on.

        Arguments:
            roots: folders. One inside a known folder means that folder; one around known folders replaces
                them. One that is left out there (hidden, of thumbnails, excluded) is a folder of its own.
            model: what to embed with; `None` for this library's model.
            exclude: `fnmatch` patterns of names, or of paths below the folder, to leave out; remembered for
                these folders. Where it is empty, what is remembered counts; `[""]` forgets it.
            progress: called with a `Progress` now and then.
            wait: seconds to wait for another process that indexes; `None` waits without end.

        Vectors that are missing or damaged are made anew; a library whose catalogue is lost begins afresh.

        Raises `UsageError` for what is no folder, `LockedError` where another process indexes for longer than
        `wait`, `DiskError` where the disk is full (nothing that was committed is lost), `LibraryError`
        where the library cannot be used, `ModelError` where the model cannot.
        """
        check_paths(*roots)
        check_patterns(exclude)
        if not (self._is_ready() if roots else self._exists()):
            if not roots:
                raise LibraryError(f"{self._nothing_yet()} name folders of photographs: sterna index DIR")
            for root in roots:
                check_folder(root)
            self._encoder(None, model)  # nothing is made where it cannot be loaded
        with writing(self.path, wait=wait):
            catalog = Catalog(self.path, write=True)
            try:
                check_folders(catalog, roots)
                encoder, spec = self._encoder(catalog, model)
                with catalog.transaction():
                    chosen = choose_roots(catalog, roots, exclude=exclude)
                    number = register(catalog, encoder, spec=spec, models=self._models)
                report = progress or (lambda _: None)
                return run_index(catalog, chosen, encoder=encoder, model=number, report=report)
            finally:
                catalog.close()

    def search(
        self,
        query: str | PhotoSource | None = None,
        *,
        image: PhotoSource | None = None,
        k: int = 10,
        plus: Sequence[tuple[float, str | PhotoSource]] = (),
        minus: Sequence[tuple[float, str | PhotoSource]] = (),
        min_score: float | Literal["model"] | None = "model",
        folder: str | Path | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        exclude_self: bool = False,
        rerank: int = 0,
        model: str | Path | Encoder | None = None,
    ) -> list[Hit]:
        """Find photographs by a sentence, by a photograph, or by a weighted sum of several.

        Arguments:
            query: a sentence; or a photograph, as a `Path`, bytes, a Pillow image, or text that names an
                existing photograph file.
            image: a photograph, as any of those or a path's text; added to the query where both are given.
            k: how many hits, at least 1.
            plus, minus: (weight, what) added to and taken from the query; text that names an existing file
                is a photograph.
            min_score: the least score (cosine); `None` for none. "model": of a sentence alone what the model
                says of itself, if it does (photographs below it seldom show what the sentence says); of
                anything else none.
            folder: only photographs below it: an absolute path, or a folder's name or several ("trips",
                "2019/trips") anywhere in the path.
            after, before: only photographs taken at or after that day, month or year, and before that one; a
                photograph without a date has its file's.
            exclude_self: leave the query's own photographs out; otherwise an indexed photograph that is
                asked for comes first, with a score of 1.
            rerank: read the first so many photographs again and order them by how well their regions fit the
                words of the sentence (`Hit.alignment`); those after them, and any that cannot be read, follow
                as they were. Scores stay cosines. For sentences alone, and models that can align.
            model: search with this model's vectors; `None` for this library's model.

        Returns hits, best first; a photograph that lies at several paths comes once.
        Raises `UsageError` for an empty or meaningless query, and where it or the model has nothing to
        re-rank by, `LibraryError` where nothing is indexed, or
        not by this model, or where vectors are missing or damaged, `ModelError` where the model cannot be
        loaded, `PhotoError` where a photograph of the query cannot be read.
        """
        wanted = Wanted(k, min_score, Filters(folder, after, before), exclude_self, rerank)
        parts = operands(query, image, plus=plus, minus=minus)
        catalog = self._catalog()
        encoder, gallery = self._gallery(catalog, model)
        return search_gallery(catalog, gallery, encoder=encoder, parts=parts, wanted=wanted)

    def captions(
        self,
        photo: PhotoSource,
        *,
        captions: Sequence[str] | None = None,
        k: int = 10,
        model: str | Path | Encoder | None = None,
    ) -> list[CaptionHit]:
        """Rank sentences by how well they fit a photograph.

        Arguments:
            photo: a photograph, of the library or not.
            captions: the sentences; `None` for those known to the library, from inside its photographs and
                from text files beside them (`photo.txt` or `photo.jpg.txt`, a sentence a line). Given ones
                need no library.
            k: how many, at least 1.
            model: the model; `None` for this library's.

        Returns the best first, none where no sentence is known.
        Raises `UsageError` for `k` below 1 and for what is no list of sentences, `LibraryError` where the
        library's sentences are asked for and nothing is indexed, or where vectors are missing or damaged,
        `ModelError` where the model cannot be loaded, `PhotoError` where the photograph cannot be read.
        """
        check_k(k)
        given = None if captions is None else given_sentences(captions)
        catalog = self._catalog() if given is None or self._exists() else None
        encoder, _ = self._encoder(catalog, model)
        number = None if catalog is None else model_of(catalog, encoder.fingerprint)
        gallery = None if catalog is None or number is None else self._fresh(catalog, number)
        vector, _ = photo_vector(catalog, gallery, encoder=encoder, photo=photo)
        owners = known_sentences(catalog) if given is None and catalog is not None else {}
        sentences = list(owners) if given is None else given
        if not sentences:
            return []
        vectors = self._sentence_vectors(encoder).get(sentences, keep=given is None)
        return rank_sentences(vector, sentences, vectors=vectors, k=k, owners=owners)

    def status(self) -> Status:
        """Count what the library holds; right while another process indexes, and before the first `index`.

        Raises `LibraryError` where its catalogue is lost or damaged.
        """
        if not self._exists():
            return empty_status(self.path)
        catalog = self._catalog()
        model = default_spec(catalog) if self._model is None else self._model
        return read_status(catalog, fingerprint=self._models.fingerprint_now(model))

    def check(self) -> list[str]:
        """Read the whole catalogue and every vector; a sentence for each thing that is wrong, with its cure.

        Nothing is changed. Files that nothing names, which a killed process may leave, are not wrong: the
        next `index` removes them.
        """
        try:
            return read_check(self._catalog()) if self._exists() else []
        except SternaError as error:
            return [str(error)]

    def model_name(self) -> str:
        """The name of the model that it answers with; raises `ModelError` where it cannot be loaded."""
        return self._encoder(self._open_catalog() if self._exists() else None, None)[0].name

    def close(self) -> None:
        """Close the catalogue; the library opens it again where it is used again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None
            self._galleries = {}

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_ready(self) -> bool:
        """Whether there is a catalogue with its tables; as yet there is none where another makes it."""
        return has_catalog(self.path) and self._open_catalog().ready

    def _exists(self) -> bool:
        """Whether anything was indexed; `LibraryError` where vectors lie here without a catalogue."""
        if self._is_ready():
            return True
        lost = lost_catalog(self.path)
        if lost is not None and not self._is_ready():  # another process may have made it just now
            raise lost
        return lost is not None

    def _nothing_yet(self) -> str:
        return f"{self.path}: nothing is indexed yet;"

    def _open_catalog(self) -> Catalog:
        with self._lock:
            if self._opened is None or self._opened.replaced:
                self._opened, self._galleries = Catalog(self.path), {}
            return self._opened

    def _catalog(self) -> Catalog:
        if not self._exists():
            raise LibraryError(f"{self._nothing_yet()} run `sterna index DIR` with a folder of photographs")
        return self._open_catalog()

    def _encoder(self, catalog: Catalog | None, model: str | Path | Encoder | None) -> tuple[Encoder, str]:
        chosen = self._model if model is None else model
        if chosen is None and catalog is not None:
            chosen = default_spec(catalog)
        return self._models.get(chosen)

    def _gallery(self, catalog: Catalog, model: str | Path | Encoder | None) -> tuple[Encoder, Gallery]:
        encoder, spec = self._encoder(catalog, model)
        number = model_of(catalog, encoder.fingerprint)
        if number is None:
            raise LibraryError(
                f"{self.path}: no photograph has a vector of the model {encoder.name} as it is now; "
                f"run `{index_command(spec, default=False)}`"
            )
        return encoder, self._fresh(catalog, number)

    def _fresh(self, catalog: Catalog, number: int) -> Gallery:
        with self._lock:
            gallery = load_gallery(catalog, number, old=self._galleries.get(number))
            self._galleries[number] = gallery
            return gallery

    def _sentence_vectors(self, encoder: Encoder) -> SentenceVectors:
        with self._lock:
            if encoder.fingerprint not in self._sentences:
                folder = self.path if has_catalog(self.path) else None
                self._sentences[encoder.fingerprint] = SentenceVectors(encoder, folder=folder)
            return self._sentences[encoder.fingerprint]
