"""A library that is shown by a service, asked as one that is here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote

from sterna.client._http import Connection
from sterna.client._types import (
    RemoteCaption,
    RemoteHit,
    RemoteJob,
    RemotePhoto,
    read_hit,
    read_job,
    read_photo,
)
from sterna.errors import PhotoError, UsageError
from sterna.files import system_reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Operand: TypeAlias = str | int | NDArray[Any]

__all__ = ["Client"]

_PAGE = 100  # hits that are asked for at a time
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
        model: str | None = None,
    ) -> list[RemoteHit]:
        """Find photographs; the arguments are those of `Library.search`.

        Text is always a sentence; a photograph of this machine is given as `image`, a path or its bytes, and
        sent. Many hits, and an `offset`, are reached page by page.
        """
        filters = {
            "folder": None if folder is None else str(folder),
            "after": None if after is None else str(after),
            "before": None if before is None else str(before),
            "orientation": orientation,
            "min_size": min_size,
            "max_size": max_size,
            "name": name,
            "caption": caption,
        }
        asked = {
            **_operand(query),
            "plus": [_weighed(weight, what) for weight, what in plus],
            "minus": [_weighed(weight, what) for weight, what in minus],
            "k": min(k, _PAGE),
            "min_score": min_score,
            "filters": {key: value for key, value in filters.items() if value is not None},
            "exclude_self": exclude_self,
            "model": model,
        }
        images = [] if image is None or isinstance(image, int) else [_content(image)]
        if isinstance(image, int):
            asked["plus"] = [{"photo": image, "weight": 1.0}, *asked["plus"]]
        return self._pages(asked, images, first=offset, k=k)

    def _pages(
        self, asked: dict[str, Any], images: Sequence[bytes], *, first: int, k: int
    ) -> list[RemoteHit]:
        hits: list[RemoteHit] = []
        while True:
            said = self._connection.post("/api/search", asked, images=images)
            hits += [read_hit(hit) for hit in said["hits"]]
            if len(hits) >= first + k or said["next"] is None:
                return hits[first : first + k]
            asked = {**asked, "cursor": said["next"]}

    def similar(self, photo_id: int, *, k: int = 10) -> list[RemoteHit]:
        """Photographs like one of the library, which is left out."""
        said = self._connection.get(f"/api/photos/{int(photo_id)}/similar?k={int(k)}")
        return [read_hit(hit) for hit in said["hits"]]

    def photo(self, photo_id: int) -> RemotePhoto:
        """What the library knows of a photograph."""
        return read_photo(self._connection.get(f"/api/photos/{int(photo_id)}"))

    def thumbnail(self, photo_id: int, *, size: int = 256) -> bytes:
        """A JPEG of a photograph whose longer side has 128, 256, 512 or 1024 pixels."""
        return self._connection.fetch("GET", f"/api/photos/{int(photo_id)}/thumbnail?size={int(size)}")

    def original(self, photo_id: int) -> bytes:
        """The bytes of a photograph's file."""
        return self._connection.fetch("GET", f"/api/photos/{int(photo_id)}/original")

    def captions(
        self,
        photo: int | str | Path | bytes,
        *,
        captions: Sequence[str] | None = None,
        k: int = 10,
        model: str | None = None,
    ) -> list[RemoteCaption]:
        """Rank sentences by how well they fit a photograph; see `Library.captions`.

        A photograph of this machine, a path or its bytes, is sent, and needs given `captions`.
        """
        if captions is None:
            if not isinstance(photo, int):
                raise UsageError("captions: sentences are needed for a photograph that is not the library's")
            named = "" if model is None else f"&model={quote(model, safe='')}"
            said = self._connection.get(f"/api/photos/{photo}/captions?k={int(k)}{named}")
        else:
            asked = {"texts": list(captions), "k": k, "model": model}
            images = [] if isinstance(photo, int) else [_content(photo)]
            own = {"photo": photo} if isinstance(photo, int) else {}
            said = self._connection.post("/api/rank", {**asked, **own}, images=images)
        return [RemoteCaption(one["rank"], one["score"], one["caption"]) for one in said["captions"]]

    def embed_texts(self, texts: Sequence[str], *, model: str | None = None) -> NDArray[np.float32]:
        """Unit vectors float32 [M, E] of sentences."""
        return self._vectors({"texts": list(texts), "model": model}, images=())

    def embed_images(
        self, images: Sequence[str | Path | bytes], *, model: str | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors float32 [N, E] of images: paths or bytes, which are sent."""
        return self._vectors({"model": model}, images=[_content(image) for image in images])

    def _vectors(self, asked: dict[str, Any], *, images: Sequence[bytes]) -> NDArray[np.float32]:
        import base64

        import numpy as np

        said = self._connection.post("/api/embed", {**asked, "encoding": "base64"}, images=images)
        data = b"".join(base64.b64decode(text) for text in said["vectors"])
        return np.frombuffer(data, "<f4").reshape(-1, said["dim"]).astype(np.float32)

    def status(self) -> dict[str, Any]:
        """What the library holds, as the service tells it."""
        return dict(self._connection.get("/api/status"))

    def failures(self, *, offset: int = 0, limit: int = 100) -> list[tuple[str, str]]:
        """Files and folders that cannot be read, and why."""
        said = self._connection.get(f"/api/failures?offset={int(offset)}&limit={int(limit)}")
        return [(one["path"], one["reason"]) for one in said["failures"]]

    def models(self) -> list[dict[str, Any]]:
        """The models that a search may name."""
        return list(self._connection.get("/api/models")["models"])

    def index(
        self,
        *roots: str | int,
        wait: bool = True,
        progress: Callable[[RemoteJob], None] | None = None,
    ) -> RemoteJob:
        """Bring the library up to date, all of it or these folders of it (paths there, or ids of roots).

        Arguments:
            wait: come back when it has ended, and not as soon as it has begun.
            progress: called with the job now and then.
        """
        job = read_job(self._connection.post("/api/jobs", {"roots": list(roots)}))
        while wait and job.state == "running":
            time.sleep(_BETWEEN)
            job = self.job(job.job_id)
            if progress is not None:
                progress(job)
        return job

    def job(self, job_id: int) -> RemoteJob:
        """How far a job is."""
        return read_job(self._connection.get(f"/api/jobs/{int(job_id)}"))

    def cancel(self, job_id: int) -> RemoteJob:
        """Stop a job; what it has committed is kept."""
        return read_job(json.loads(self._connection.fetch("DELETE", f"/api/jobs/{int(job_id)}")))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _operand(what: Operand | None) -> dict[str, Any]:
    """What is asked for, as a service takes it."""
    if what is None:
        return {}
    if isinstance(what, str):
        return {"text": what}
    if isinstance(what, int) and not isinstance(what, bool):
        return {"photo": what}
    if hasattr(what, "tolist") and getattr(what, "ndim", 0) == 1:
        return {"vector": [float(number) for number in what.tolist()]}
    raise UsageError(f"{what!r}: a sentence, the id of a photograph or a vector is needed")


def _weighed(weight: float, what: Operand) -> dict[str, Any]:
    return {"weight": float(weight), **_operand(what)}


def _content(image: str | Path | bytes) -> bytes:
    if isinstance(image, bytes):
        return image
    try:
        return Path(image).read_bytes()
    except (OSError, ValueError) as error:
        reason = system_reason(error) if isinstance(error, OSError) else "no such file"
        raise PhotoError(reason, path=str(image)) from error
