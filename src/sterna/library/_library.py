"""A library: folders of photographs that answer questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sterna.errors import LibraryError, SternaError
from sterna.library._arguments import check_k, check_paths, check_patterns, given_sentences
from sterna.library._captions import known_sentences, rank_sentences
from sterna.library._catalog import Catalog
from sterna.library._indexing import run_index
from sterna.library._models import register
from sterna.library._opened import Opened
from sterna.library._originals import Original, open_original
from sterna.library._place import default_folder, library_folder, writing
from sterna.library._query import Filters, Orientation, as_photo, operands
from sterna.library._roots import check_folder, check_folders, choose_roots
from sterna.library._searching import Wanted, indexed_id, photo_vector, search_gallery, tell_photo
from sterna.library._status import empty_status, read_check, read_status
from sterna.library._types import CaptionHit, Hit, IndexReport, PhotoRecord, Progress, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sterna.encoders import Encoder
    from sterna.images import PhotoSource
    from sterna.library._query import Operand

__all__ = ["Library"]


class Library:
    """A collection of photographs in folders, searchable by sentence and by photograph.

    Made by `Library.open`, with a `path` and a `model` (`None`: its own); a context manager. It may be used
    by several threads, and while another process indexes: answers are always of what that one has committed.
    """

    def __init__(self, path: Path, *, model: str | Path | Encoder | None) -> None:
        self.path = path
        self.model = model
        self._opened = Opened(path, model=model)

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
        opened = self._opened
        if not (opened.is_ready if roots else opened.exists):
            if not roots:
                raise LibraryError(
                    f"{self.path}: nothing is indexed yet; name folders of photographs: sterna index DIR"
                )
            for root in roots:
                check_folder(root)
            opened.encoder(None, model)  # nothing is made where it cannot be loaded
        with writing(self.path, wait=wait):
            catalog = Catalog(self.path, write=True)
            try:
                check_folders(catalog, roots)
                encoder, spec = opened.encoder(catalog, model)
                with catalog.transaction():
                    chosen = choose_roots(catalog, roots, exclude=exclude)
                    number = register(catalog, encoder, spec=spec, models=opened.models)
                report = progress or (lambda _: None)
                return run_index(catalog, chosen, encoder=encoder, model=number, report=report)
            finally:
                catalog.close()

    def search(
        self,
        query: Operand | None = None,
        *,
        image: PhotoSource | int | NDArray[Any] | None = None,
        k: int = 10,
        offset: int = 0,
        plus: Sequence[tuple[float, Operand]] = (),
        minus: Sequence[tuple[float, Operand]] = (),
        min_score: float | Literal["model"] | None = "model",
        folder: str | Path | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        orientation: Orientation | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        name: str | None = None,
        caption: str | None = None,
        exclude_self: bool = False,
        rerank: int = 0,
        model: str | Path | Encoder | None = None,
    ) -> list[Hit]:
        """Find photographs by a sentence, by a photograph, or by a weighted sum of several.

        Arguments:
            query: a sentence; or a photograph, as a `Path`, bytes, a Pillow image, text that names an
                existing photograph file, or the id of an indexed one (`Hit.photo_id`); or a vector, an array
                [E] of any length, which is brought to 1.
            image: a photograph, as any of those or a path's text; added to the query where both are given.
            k: how many hits, at least 1.
            offset: how many of the best to pass over; hits of one score come in the order of their ids, so
                pages of a library that nobody changes meanwhile have every hit once.
            plus, minus: (weight, what) added to and taken from the query; text that names an existing file
                is a photograph.
            min_score: the least score (cosine); `None` for none. "model": of a sentence alone what the model
                says of itself, if it does (photographs below it seldom show what the sentence says); of
                anything else none.
            folder: only photographs below it: an absolute path, or a folder's name or several ("trips",
                "2019/trips") anywhere in the path.
            after, before: only photographs taken at or after that day, month or year, and before that one; a
                photograph without a date has its file's.
            orientation: only "landscape", "portrait", or "square" photographs (no side is more than a
                twentieth longer).
            min_size, max_size: only photographs whose longer side has so many pixels, at least or at most.
            name: only files with this in their name, or whose name fits this `fnmatch` pattern ("img_*.jpg");
                capitals do not matter.
            caption: only photographs with this text in a sentence inside them or in a text file beside them.
            exclude_self: leave the query's own photographs out; otherwise an indexed photograph that is
                asked for comes first, with a score of 1.
            rerank: read the first so many photographs again and order them by how well their regions fit the
                words of the sentence (`Hit.alignment`); those after them, and any that cannot be read, follow
                as they were. Scores stay cosines. For sentences alone, and models that can align.
            model: search with this model's vectors; `None` for this library's model.

        Returns hits, best first; a photograph that lies at several paths comes once.
        Raises `UsageError` for an empty or meaningless query, and where it or the model has nothing to
        re-rank by, `UnknownPhotoError` for an id without a vector, `LibraryError` where nothing is indexed,
        or not by this model, or where vectors are missing or damaged, `ModelError` where the model cannot be
        loaded, `PhotoError` where a photograph of the query cannot be read.
        """
        filters = Filters(folder, after, before, orientation, min_size, max_size, name, caption)
        wanted = Wanted(k, min_score, filters, exclude_self, rerank, offset)
        parts = operands(query, image, plus=plus, minus=minus)
        catalog = self._opened.catalog()
        encoder, gallery = self._opened.gallery(catalog, model)
        return search_gallery(catalog, gallery, encoder=encoder, parts=parts, wanted=wanted)

    def captions(
        self,
        photo: PhotoSource | int | NDArray[Any],
        *,
        captions: Sequence[str] | None = None,
        k: int = 10,
        model: str | Path | Encoder | None = None,
    ) -> list[CaptionHit]:
        """Rank sentences by how well they fit a photograph.

        Arguments:
            photo: a photograph, of the library or not; the id of an indexed one; or a vector [E].
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
        catalog = self._opened.catalog() if given is None else self._opened.any_catalog()
        encoder, _ = self._opened.encoder(catalog, model)
        gallery = None if catalog is None else self._opened.gallery_of(catalog, encoder)
        vector, _ = photo_vector(catalog, gallery, encoder=encoder, photo=as_photo(photo))
        owners = known_sentences(catalog) if given is None and catalog is not None else {}
        sentences = list(owners) if given is None else given
        if not sentences:
            return []
        vectors = self._opened.sentence_vectors(encoder).get(sentences, keep=given is None)
        return rank_sentences(vector, sentences, vectors=vectors, k=k, owners=owners)

    def photo(self, photo_id: int) -> PhotoRecord:
        """What the library knows of a photograph; `UnknownPhotoError` where it has none with this id."""
        return tell_photo(self._opened.catalog(), photo_id)

    def photo_id(self, photo: PhotoSource) -> int | None:
        """The id of a photograph (a path or bytes) whose content is indexed, `None` where it is not."""
        catalog = self._opened.any_catalog()
        return None if catalog is None else indexed_id(catalog, photo)

    def open_photo(self, photo_id: int) -> Original:
        """Open the file of a photograph for reading; a link that has since come to lead out is not followed.

        Raises `UnknownPhotoError` where the library has none with this id, `PhotoError` where no file of it
        is there, lies in its root and is a photograph.
        """
        return open_original(self._opened.catalog(), photo_id)

    def encoder(self, model: str | Path | Encoder | None = None) -> Encoder:
        """The model that a search is answered with; raises `ModelError` where it cannot be loaded."""
        return self._opened.encoder(self._opened.any_catalog(), model)[0]

    def status(self) -> Status:
        """Count what the library holds; right while another process indexes, and before the first `index`.

        Raises `LibraryError` where its catalogue is lost or damaged.
        """
        catalog = self._opened.any_catalog()
        if catalog is None:
            return empty_status(self.path)
        now = self._opened.models.fingerprint_now(self._opened.model(catalog))
        return read_status(catalog, fingerprint=now)

    def check(self) -> list[str]:
        """Read the whole catalogue and every vector; a sentence for each thing that is wrong, with its cure.

        Nothing is changed. Files that nothing names, which a killed process may leave, are not wrong: the
        next `index` removes them.
        """
        try:
            catalog = self._opened.any_catalog()
            return [] if catalog is None else read_check(catalog)
        except SternaError as error:
            return [str(error)]

    def model_name(self) -> str:
        """The name of the model that it answers with; raises `ModelError` where it cannot be loaded."""
        return self._opened.encoder(self._opened.any_catalog(), None)[0].name

    def close(self) -> None:
        """Close the catalogue; the library opens it again where it is used again."""
        self._opened.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
