"""A library that is shown by a service, asked as one that is here.

Longer than other modules, because it is what a user calls: nearly all of it is what the methods promise.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from sterna.client._asked import (
    address,
    as_id,
    content,
    filters,
    least_score,
    operand,
    photo_of,
    weighed,
    with_query,
)
from sterna.client._http import Connection
from sterna.client._types import (
    Page,
    RemoteCaption,
    RemoteExplanation,
    RemoteFolder,
    RemoteForgotten,
    RemoteHit,
    RemoteJob,
    RemotePhoto,
    read_captions,
    read_explanation,
    read_folders,
    read_forgotten,
    read_groups,
    read_job,
    read_page,
    read_photo,
    read_photos,
)
from sterna.errors import UsageError, check_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sterna.client._asked import Operand

__all__ = ["Client"]

_PAGE = 100  # hits that are asked for at a time
_FOLDERS = 1000  # folders
_IDS = 10_000  # ids that are asked about at one time
_GROUPS = 50  # groups of photographs that look the same
_BETWEEN = 0.3  # seconds between two looks at a job


class Client:
    """Asks a service; a context manager. Threads may share it, and take turns.

    Arguments:
        url: where the service listens, such as "http://127.0.0.1:8265".
        token: the service's token, `None` where it wants none.
        timeout: seconds to wait for an answer.

    Every method raises `UsageError` for what is asked wrongly, `UnknownPhotoError` for an id that the library
    does not have, and `ServerError` where the service cannot be reached or does not answer that.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout: float = 60.0) -> None:
        self._connection = Connection(url, token=token, timeout=timeout)

    def search(
        self,
        query: Operand | None = None,
        *,
        image: str | Path | bytes | int | None = None,
        image_url: str | None = None,
        k: int = 10,
        offset: int = 0,
        plus: Sequence[tuple[float, Operand]] = (),
        minus: Sequence[tuple[float, Operand]] = (),
        min_score: float | Literal["model"] | None = "model",
        folder: str | Path | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        orientation: Literal["landscape", "portrait", "square"] | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        name: str | None = None,
        caption: str | None = None,
        exclude_self: bool = False,
        rerank: int = 0,
        fold: bool = False,
        model: str | None = None,
    ) -> list[RemoteHit]:
        """Find photographs; the arguments are those of `Library.search`.

        Text is always a sentence; a photograph of this machine is given as `image`, a path or its bytes, and
        sent; `image_url` is the address of one on the public Internet, which the service fetches if it
        was started with `--fetch-images`. Many hits, and an `offset`, are reached page by page.
        """
        given = filters(
            folder=folder,
            after=after,
            before=before,
            orientation=orientation,
            min_size=min_size,
            max_size=max_size,
            name=name,
            caption=caption,
        )
        most = check_whole("k", k, least=1)
        first = check_whole("offset", offset, least=0, hint=", 0 for the first hits")
        own, images = (None, []) if image is None else photo_of(image)
        added, taken = weighed(plus=plus, minus=minus)
        asked = {
            **operand(query),
            "image_url": address("image_url", image_url),
            "plus": ([] if own is None else [{"photo": own, "weight": 1.0}]) + added,
            "minus": taken,
            "k": min(first + most, _PAGE),
            "min_score": least_score(min_score),
            "filters": given,
            "exclude_self": bool(exclude_self),
            "rerank": check_whole("rerank", rerank, least=0, hint=", 0 for none"),
            "fold": bool(fold),
            "model": model,
        }

        def page(cursor: str | None) -> Page:
            return self._connection.post(
                "/api/search", read_page, asked={**asked, "cursor": cursor}, images=images
            )

        return _collected(page, first=first, last=first + most)

    def similar(
        self, photo_id: int, *, k: int = 10, offset: int = 0, model: str | None = None
    ) -> list[RemoteHit]:
        """Photographs like one of the library, which is left out; the arguments are those of `search`."""
        most = check_whole("k", k, least=1)
        first = check_whole("offset", offset, least=0, hint=", 0 for the first hits")
        asked = {"k": min(first + most, _PAGE), "model": model}
        path = f"{_photo(photo_id)}/similar"

        def page(cursor: str | None) -> Page:
            return self._connection.get(with_query(path, {**asked, "cursor": cursor}), read_page)

        return _collected(page, first=first, last=first + most)

    def photos(
        self,
        *,
        k: int = 100,
        offset: int = 0,
        folder: str | Path | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        orientation: Literal["landscape", "portrait", "square"] | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        name: str | None = None,
        caption: str | None = None,
    ) -> list[RemotePhoto]:
        """List photographs without searching, the newest first; the arguments are those of `Library.photos`.

        Raises `UsageError` for those that the service does not tell of, beyond its last page.
        """
        most = check_whole("k", k, least=1)
        first = check_whole("offset", offset, least=0, hint=", 0 for the newest")
        given = filters(
            folder=folder,
            after=after,
            before=before,
            orientation=orientation,
            min_size=min_size,
            max_size=max_size,
            name=name,
            caption=caption,
        )
        found: list[RemotePhoto] = []
        while len(found) < most:
            count = min(most - len(found), _PAGE)
            asked = {"k": count, "offset": first + len(found), **given}
            page = self._connection.get(with_query("/api/photos", asked), read_photos)
            found += page
            if len(page) < count:
                break
        return found

    def folders(self, *, k: int = 10_000, offset: int = 0) -> list[RemoteFolder]:
        """List the folders that photographs lie in, and how many each holds; see `Library.folders`."""
        most = check_whole("k", k, least=1)
        first = check_whole("offset", offset, least=0, hint=", 0 for the first")
        found: list[RemoteFolder] = []
        while len(found) < most:
            asked = {"k": min(most - len(found), _FOLDERS), "offset": first + len(found)}
            page, more = self._connection.get(with_query("/api/folders", asked), read_folders)
            found += page
            if not more:
                break
        return found

    def gone(self, photo_ids: Sequence[int]) -> list[int]:
        """Those of some ids that are no photograph's any more; see `Library.gone`."""
        ids = [as_id("photo_ids", one) for one in photo_ids]
        gone: list[int] = []
        for start in range(0, len(ids), _IDS):
            part = {"ids": ids[start : start + _IDS]}
            gone += self._connection.post(
                "/api/photos/gone", lambda said: [int(one) for one in said["gone"]], asked=part
            )
        return gone

    @property
    def generation(self) -> int:
        """A number that is another one whenever what can be found has changed; see `Library.generation`."""
        return self._connection.get("/api/generation", lambda said: int(said["generation"]))

    def archive(self, photo_ids: Sequence[int]) -> bytes:
        """The files of several photographs as the bytes of one ZIP; a text in it names those not there.

        Arguments:
            photo_ids: 1 to 500 ids.

        Raises `ServerError` for files of more than 1 GiB together: ask for fewer at a time.
        """
        ids = [("ids", as_id("photo_ids", one)) for one in photo_ids]
        return self._connection.file(f"/api/photos/zip?{urlencode(ids)}", kind="application/zip")

    def duplicates(
        self, *, min_score: float | None = None, copies: bool = False, model: str | None = None
    ) -> list[tuple[RemoteHit, ...]]:
        """Group photographs that look the same, the best of each first; see `Library.duplicates`.

        Arguments:
            min_score: the least cosine to the best of the group; `None` for the service's own.
            copies: also tell of photographs with equal copies alone, as groups of one (`RemoteHit.also`).
            model: compare this model's vectors; `None` for the library's model.
        """
        asked = {
            "min_score": None if min_score is None else least_score(min_score),
            "copies": bool(copies),
            "model": model,
        }
        groups: list[tuple[RemoteHit, ...]] = []
        offset: int | None = 0
        while offset is not None:
            part = {**asked, "offset": offset, "limit": _GROUPS}
            page = self._connection.get(with_query("/api/duplicates", part), read_groups)
            for place, (size, group) in enumerate(page.groups, start=offset):
                groups.append(self._whole(group, size, asked={**asked, "offset": place, "limit": 1}))
            offset = page.next
        return groups

    def _whole(
        self, group: tuple[RemoteHit, ...], size: int, *, asked: dict[str, object]
    ) -> tuple[RemoteHit, ...]:
        """All of a group, of which an answer tells so many photographs at one time."""
        while len(group) < size:
            path = with_query("/api/duplicates", {**asked, "skip": len(group)})
            more = [one for _, part in self._connection.get(path, read_groups).groups for one in part]
            if not more:  # it has become smaller meanwhile
                break
            group += tuple(more)
        return group

    def explain(
        self, photo_id: int, sentence: str, *, grid: int = 8, model: str | None = None
    ) -> RemoteExplanation:
        """Tell which parts of a photograph speak for a sentence, and for each of its words; takes seconds.

        Arguments:
            photo_id: a photograph of the library.
            sentence: what it may show.
            grid: cells of a side, 2 to 12.
            model: the model that looks; `None` for the library's.

        Returns what `sterna.explain` returns, under the same names.
        """
        asked = {"text": sentence, "grid": check_whole("grid", grid, least=2), "model": model}
        return self._connection.post(f"{_photo(photo_id)}/explain", read_explanation, asked=asked)

    def photo(self, photo_id: int) -> RemotePhoto:
        """What the library knows of a photograph."""
        return self._connection.get(_photo(photo_id), read_photo)

    def thumbnail(self, photo_id: int, *, size: int = 256) -> bytes:
        """A JPEG of a photograph whose longer side has 128, 256, 512 or 1024 pixels."""
        side = check_whole("size", size, least=1)
        return self._connection.file(f"{_photo(photo_id)}/thumbnail?size={side}", kind="image/")

    def original(self, photo_id: int) -> bytes:
        """The bytes of a photograph's file."""
        return self._connection.file(f"{_photo(photo_id)}/original", kind="image/")

    def captions(
        self,
        photo: int | str | Path | bytes | None = None,
        *,
        image_url: str | None = None,
        captions: Sequence[str] | None = None,
        k: int = 10,
        model: str | None = None,
    ) -> list[RemoteCaption]:
        """Rank sentences by how well they fit a photograph; see `Library.captions`.

        A photograph of this machine, a path or its bytes, is sent; in place of it, `image_url` is the address
        of one that the service fetches. Both need given `captions`.
        """
        url = address("image_url", image_url)
        if (photo is None) == (url is None):
            raise UsageError("captions: one photograph is needed: an id, a path, bytes, or an image_url")
        own, images = (None, []) if photo is None else photo_of(photo)
        most = check_whole("k", k, least=1)
        if captions is None:
            if own is None:
                raise UsageError("captions: sentences are needed for a photograph that is not the library's")
            asked_of = {"k": most, "model": model}
            return self._connection.get(with_query(f"{_photo(own)}/captions", asked_of), read_captions)
        asked = {"texts": list(captions), "k": most, "model": model, "image_url": url, "photo": own}
        return self._connection.post("/api/rank", read_captions, asked=asked, images=images)

    def embed_texts(self, texts: Sequence[str], *, model: str | None = None) -> NDArray[np.float32]:
        """Unit vectors float32 [M, E] of sentences."""
        return self._vectors({"texts": list(texts), "model": model}, images=())

    def embed_images(
        self,
        images: Sequence[str | Path | bytes] = (),
        *,
        image_url: str | None = None,
        model: str | None = None,
    ) -> NDArray[np.float32]:
        """Unit vectors float32 [N, E] of images: paths or bytes, which are sent.

        The last is of the image at `image_url`, an address that the service fetches, where one is given.
        """
        asked = {"model": model, "image_url": address("image_url", image_url)}
        return self._vectors(asked, images=[content(image) for image in images])

    def _vectors(self, asked: dict[str, Any], *, images: Sequence[bytes]) -> NDArray[np.float32]:
        import numpy as np

        def read(said: Any) -> NDArray[np.float32]:
            data = b"".join(base64.b64decode(text) for text in said["vectors"])
            return np.frombuffer(data, "<f4").reshape(-1, said["dim"]).astype(np.float32)

        return self._connection.post("/api/embed", read, asked={**asked, "encoding": "base64"}, images=images)

    def status(self) -> dict[str, Any]:
        """What the library holds, as the service tells it."""
        return self._connection.get("/api/status", lambda said: {**said, "indexed": int(said["indexed"])})

    def failures(self, *, offset: int = 0, limit: int = 100) -> list[tuple[str, str]]:
        """Files and folders that cannot be read, and why."""
        first, most = check_whole("offset", offset, least=0), check_whole("limit", limit, least=1)
        return self._connection.get(
            with_query("/api/failures", {"offset": first, "limit": most}),
            lambda said: [(one["path"], one["reason"]) for one in said["failures"]],
        )

    def models(self) -> list[dict[str, Any]]:
        """The models that a search may name."""
        return self._connection.get("/api/models", lambda said: [dict(one) for one in said["models"]])

    def index(
        self,
        *roots: str | PurePath | int,
        wait: bool = True,
        progress: Callable[[RemoteJob], None] | None = None,
    ) -> RemoteJob:
        """Bring the library up to date, all of it or these folders of it (paths there, or ids of roots).

        Arguments:
            wait: come back when it has ended, and not as soon as it has begun.
            progress: called with the job now and then.
        """
        asked = {"roots": [root.as_posix() if isinstance(root, PurePath) else root for root in roots]}
        job = self._connection.post("/api/jobs", read_job, asked=asked)
        while wait and job.state == "running":
            time.sleep(_BETWEEN)
            job = self.job(job.job_id)
            if progress is not None:
                progress(job)
        return job

    def jobs(self) -> list[RemoteJob]:
        """The jobs that the service remembers, the last first."""
        return self._connection.get("/api/jobs", lambda said: [read_job(one) for one in said["jobs"]])

    def follow(self, job_id: int) -> Iterator[RemoteJob]:
        """A job each time that something is new of it, to its end; other requests go on meanwhile."""
        return self._connection.events(f"/api/jobs/{as_id('job_id', job_id)}/events", read_job)

    def job(self, job_id: int) -> RemoteJob:
        """How far a job is."""
        return self._connection.get(f"/api/jobs/{as_id('job_id', job_id)}", read_job)

    def cancel(self, job_id: int) -> RemoteJob:
        """Stop a job; what it has committed is kept."""
        return self._connection.ask("DELETE", f"/api/jobs/{as_id('job_id', job_id)}", read_job)

    def forget(self, root: str | PurePath | int) -> RemoteForgotten:
        """Take a folder out of the library; nothing in it is touched.

        Arguments:
            root: one of the library's folders: its path there, as `status` tells it, or its id.

        Raises `UsageError` for any other folder, `ServerError` (status 403) where the service was not told to
        let this folder be added and removed, or could not add it as it is, and (409) where the library is
        being written to.
        """
        number, path = self._root(root)
        return self._connection.ask(
            "DELETE", with_query(f"/api/roots/{number}", {"path": path}), read_forgotten
        )

    def _root(self, root: str | PurePath | int) -> tuple[int, str]:
        """The id and the path of a folder, which the service compares again."""
        roots = self._connection.get(
            "/api/status", lambda said: {int(one["id"]): str(one["path"]) for one in said["roots"]}
        )
        if isinstance(root, str | PurePath):
            named = (root if isinstance(root, str) else root.as_posix()).rstrip("/") or "/"
            found = next((number for number, path in roots.items() if path == named), None)
        else:
            found = as_id("root", root)
        if found is None or found not in roots:
            known = ", ".join(roots.values()) or "none"
            raise UsageError(f"{root}: not a folder of this library; its folders: {known}")
        return found, roots[found]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _photo(photo_id: int) -> str:
    return f"/api/photos/{as_id('photo_id', photo_id)}"


def _collected(page: Callable[[str | None], Page], *, first: int, last: int) -> list[RemoteHit]:
    """The hits from `first` to `last`, of one page after the other; `page` gives the one of a cursor."""
    hits: list[RemoteHit] = []
    cursor: str | None = None
    while True:
        came = page(cursor)
        hits += came.hits
        cursor = came.next
        if len(hits) >= last or not came.more:
            return hits[first:last]
        if cursor is None:
            raise UsageError(
                f"the service tells of the first {len(hits):,} hits alone, and {last:,} are asked for; "
                "ask for fewer, or narrow the search"
            )
