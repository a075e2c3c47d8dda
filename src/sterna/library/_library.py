"""A library: folders of photographs that answer questions.

Longer than other modules, because it is what a user calls: nearly all of it is what the methods promise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sterna.errors import SternaError
from sterna.library._arguments import (
    check_k,
    check_likeness,
    check_paths,
    check_patterns,
    check_watching,
    given_sentences,
)
from sterna.library._backup import make_backup, restore_backup
from sterna.library._browsing import browse
from sterna.library._captioning import caption_photo
from sterna.library._duplicates import LIKENESS, find_duplicates
from sterna.library._folder import default_folder, library_folder
from sterna.library._folders import FolderRecord, folders_of, gone_photos
from sterna.library._forget import forget_root
from sterna.library._opened import Opened
from sterna.library._originals import Original, open_original
from sterna.library._query import Filters, Orientation, operands
from sterna.library._run import index_library
from sterna.library._searching import Wanted, indexed_id, search_gallery, tell_photo
from sterna.library._status import empty_status, read_check, read_roots, read_status
from sterna.library._types import (
    Backup,
    CaptionHit,
    Forgotten,
    Hit,
    IndexReport,
    PhotoRecord,
    Progress,
    RootRecord,
    Status,
    silent,
)
from sterna.library._watching import Watcher

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

    @classmethod
    def restore(
        cls,
        source: str | Path,
        path: str | Path | None = None,
        *,
        overwrite: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> Library:
        """Make a library of a backup, which is proved whole first, and open it.

        Arguments:
            source: what `backup` wrote.
            path: the library's folder, as in `open`.
            overwrite: replace a library that is there; killed at any moment, that is lost only when the new
                one is complete.
            progress: called with a `Progress` now and then.

        Raises `UsageError` where one folder lies in the other, `LibraryError` for what is no backup or a
        damaged one and where something is there already, `LockedError` where another process writes to it,
        `DiskError` where the disk is full or refuses.
        """
        check_paths(source)
        library = cls.open(path)
        restore_backup(Path(source), library.path, overwrite=overwrite, report=progress or silent)
        return library

    def index(
        self,
        *roots: str | Path,
        model: str | Path | Encoder | None = None,
        exclude: Sequence[str] = (),
        follow_links: bool = True,
        progress: Callable[[Progress], None] | None = None,
        wait: float | None = 0,
    ) -> IndexReport:
        """Add folders, or bring them up to date; without any, bring every known folder up to date.

        May be stopped or killed at any time: what was committed, a batch of 32 photographs or two seconds
        at a time, is kept, and the next run goes on.

        Arguments:
            roots: folders. One inside a known folder means that folder; one around known folders replaces
                them (`IndexReport.taken_in`). One that is left out there (hidden, of thumbnails, excluded) is
                a folder of its own. What the system tells of itself (`/proc`, `/sys`) is left out.
            model: what to embed with; `None` for this library's model.
            exclude: `fnmatch` patterns of names, or of paths below the folder, to leave out; remembered for
                these folders. Where it is empty, what is remembered counts; `[""]` forgets it.
            follow_links: a folder may be named by a link, and is the one that this leads to. `False` refuses
                one that is a link or lies behind one: for programs that have looked at a folder before, in
                whose place a link may have come since.
            progress: called with a `Progress` now and then.
            wait: seconds to wait for another process that indexes; `None` waits without end.

        Vectors that are missing or damaged are made anew; a library whose catalogue is lost begins afresh.

        Raises `UsageError` for what is no folder or shows what the system tells of itself, `LockedError`
        where another process indexes for longer than `wait`, `DiskError` where the disk is full (nothing that
        was committed is lost), `LibraryError` where the library cannot be used, or for a link that is not to
        be followed, `ModelError` where the model cannot be used.
        """
        check_paths(*roots)
        check_patterns(exclude)
        report = progress or silent
        return index_library(
            self._opened,
            roots,
            model=model,
            exclude=exclude,
            report=report,
            wait=wait,
            follow_links=bool(follow_links),
        )

    def watch(
        self,
        *roots: str | Path,
        model: str | Path | Encoder | None = None,
        exclude: Sequence[str] = (),
        debounce: float = 2.0,
        poll: float | bool | None = None,
        stop: threading.Event | None = None,
        progress: Callable[[Progress], None] | None = None,
        on_report: Callable[[IndexReport], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        """Index folders as `index` does, and go on for as long as files in them change; blocks.

        Searches go on beside it, of this library too. What fails later than at the start (a full disk,
        another process that indexes) is told and tried again, with growing pauses.

        Arguments:
            roots, model, exclude: as of `index`; without roots, every folder of the library.
            debounce: seconds for which a file has to stay as it is before it is looked into.
            poll: `None`: the system tells what changes, and folders on network drives, of which it does not,
                are looked at every 30 seconds; a number: all are, every so many seconds; `True`: every 30;
                `False`: none is.
            stop: ends the watching when it is set, at once or after the batch of photographs under way.
            progress: called with a `Progress` now and then while photographs are indexed.
            on_report: called after the first run, and after every later one that changed something. There
                `failed` and `failures` are what could not be read and was not told before.
            on_notice: called with a sentence on what is watched, and on what goes wrong and is right again.

        Raises what `index` does at the start, `LockedError` and `DiskError` aside, `UsageError` for a
        `debounce` or `poll` that is no time, `MissingExtraError` where the extra `watch` is needed and not
        installed.
        """
        check_paths(*roots)
        check_patterns(exclude)
        quiet, every = check_watching(debounce, poll)
        watcher = Watcher(
            self._opened,
            roots,
            model=model,
            quiet=quiet,
            poll=every,
            stop=stop or threading.Event(),
            progress=progress or silent,
            on_report=on_report or (lambda _: None),
            on_notice=on_notice or (lambda _: None),
        )
        watcher.run(exclude=exclude)

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
        fold: bool = False,
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
            fold: of photographs that look the same, as `duplicates` tells it, find the best alone, with how
                many others it stands for (`Hit.folded`). The best 2,000 photographs are looked at, on every
                page the same; so there are no more hits than those.
            model: search with this model's vectors; `None` for this library's model.

        Returns hits, best first; a photograph that lies at several paths comes once.
        Raises `UsageError` for an empty or meaningless query, and where it or the model has nothing to
        re-rank by, `UnknownPhotoError` for an id without a vector, `LibraryError` where nothing is indexed,
        or not by this model, or where vectors are missing or damaged, `ModelError` where the model cannot be
        loaded, `PhotoError` where a photograph of the query cannot be read.
        """
        filters = Filters(folder, after, before, orientation, min_size, max_size, name, caption)
        wanted = Wanted(k, min_score, filters, exclude_self, rerank, offset, fold=bool(fold))
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
        return caption_photo(self._opened, photo, given=given, k=k, model=model)

    def duplicates(
        self,
        *,
        min_score: float = LIKENESS,
        copies: bool = False,
        progress: Callable[[Progress], None] | None = None,
        model: str | Path | Encoder | None = None,
    ) -> list[tuple[Hit, ...]]:
        """Group photographs that look the same: resized, saved again, cut or brightened a little.

        Told by their vectors; no photograph is read. Every one of a group is near its best, so that a row of
        photographs, each like the next alone, is no group, and neither are two of different noted times.

        Arguments:
            min_score: the least cosine to the best of the group, above 0 and up to 1. The default is measured
                for the shipped model.
            copies: also tell of photographs with equal copies alone, as groups of one (`Hit.also`).
            progress: called with a `Progress` now and then.
            model: compare this model's vectors; `None` for this library's model.

        Returns the groups by the path of their best: that of the most pixels, of those the earliest, then the
        largest file. The others follow by their score.
        Raises as `search` does.
        """
        check_likeness(min_score)
        catalog = self._opened.catalog()
        _, gallery = self._opened.gallery(catalog, model)
        report = progress or silent
        return find_duplicates(catalog, gallery, min_score=min_score, copies=copies, report=report)

    def forget(self, root: str | Path, *, wait: float | None = 0) -> Forgotten:
        """Take a folder out of the library, whether it is there or not; nothing in it is touched.

        Photographs that another folder of the library holds stay. The room of the others' vectors is given
        back by `index`, once it is worth it.

        Arguments:
            root: one of the library's folders, as `status` names them.
            wait: as for `index`.

        Raises `UsageError` for any other folder, `LibraryError` where nothing is indexed, `LockedError` where
        another process writes for longer than `wait`.
        """
        check_paths(root)
        self._opened.catalog()
        return forget_root(self.path, root, wait=wait)

    def backup(
        self,
        target: str | Path,
        *,
        overwrite: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> Backup:
        """Copy the library as it is at one moment, while others search and index; photographs stay out.

        Arguments:
            target: a folder, which is complete or not there at all; its place may be on another drive.
            overwrite: replace a backup that is there by the new one, when that is complete.
            progress: called with a `Progress` now and then.

        Raises `UsageError` where one folder lies in the other, `LibraryError` where nothing is indexed, the
        library is damaged, or something is there already, `DiskError` where the disk is full or refuses.
        """
        check_paths(target)
        self._opened.catalog()
        return make_backup(self.path, Path(target), overwrite=overwrite, report=progress or silent)

    def photos(
        self,
        *,
        k: int = 100,
        offset: int = 0,
        folder: str | Path | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        orientation: Orientation | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        name: str | None = None,
        caption: str | None = None,
    ) -> list[PhotoRecord]:
        """List photographs without searching, the newest first; one without a date has its file's.

        Arguments:
            k: how many, at least 1.
            offset: how many of the newest to pass over.
            folder, after, before, orientation, min_size, max_size, name, caption: as of `search`.

        Raises `UsageError` for arguments that mean nothing, `LibraryError` where nothing is indexed.
        """
        filters = Filters(folder, after, before, orientation, min_size, max_size, name, caption)
        return browse(self._opened.catalog(), k=k, offset=offset, filters=filters)

    def folders(self, *, k: int = 10_000, offset: int = 0) -> list[FolderRecord]:
        """List the folders that photographs lie in, each with how many are in it and below.

        They come root by root, each root first, then by name; equal photographs count once.

        Arguments:
            k: how many, at least 1.
            offset: how many of the first to pass over.

        Raises `UsageError` for arguments that mean nothing, `LibraryError` where nothing is indexed.
        """
        return folders_of(self._opened.catalog(), k=k, offset=offset)

    def photo(self, photo_id: int) -> PhotoRecord:
        """What the library knows of a photograph; `UnknownPhotoError` where it has none with this id."""
        return tell_photo(self._opened.catalog(), photo_id)

    def photo_id(self, photo: PhotoSource, *, model: str | Path | Encoder | None = None) -> int | None:
        """The id of a photograph (a path or bytes) whose content has a vector, `None` where it has none.

        Arguments:
            model: of which model; `None` for this library's. Nothing is decoded.

        Raises `ModelError` where the model cannot be loaded, `LibraryError` where vectors are damaged.
        """
        catalog = self._opened.any_catalog()
        known = None if catalog is None else indexed_id(catalog, photo)
        if catalog is None or known is None:
            return None
        encoder, _ = self._opened.encoder(catalog, model)
        gallery = self._opened.gallery_of(catalog, encoder)
        return None if gallery is None or gallery.vector(known) is None else known

    def gone(self, photo_ids: Sequence[int]) -> list[int]:
        """Those of some ids that are no photograph's any more: deleted, forgotten, or not to be read now.

        Raises `UsageError` for what is no id, `LibraryError` where the catalogue is lost or damaged.
        """
        return gone_photos(self._opened.any_catalog(), photo_ids)

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

    def roots(self) -> tuple[RootRecord, ...]:
        """The folders of the library, by path; unlike `status` it counts nothing, so it takes no time.

        Raises `LibraryError` where its catalogue is lost or damaged.
        """
        catalog = self._opened.any_catalog()
        return () if catalog is None else read_roots(catalog)

    @property
    def generation(self) -> int:
        """A number that grows whenever what can be found changes, in any process; 0 before the first `index`.

        To ask for it takes no time. Raises `LibraryError` where the catalogue is lost or damaged.
        """
        catalog = self._opened.any_catalog()
        return 0 if catalog is None else catalog.fact("generation") or 0

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

    def close(self) -> None:
        """Close the catalogue; the library opens it again where it is used again."""
        self._opened.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
