"""Answer a query: weigh its operands into one vector, find neighbours, and tell what is known of them."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sterna.errors import UnknownPhotoError, UsageError
from sterna.files import hash_bytes, hash_file
from sterna.library._arguments import check_k, check_min_score, check_offset, check_rerank
from sterna.library._catalog import Catalog
from sterna.library._drives import exists
from sterna.library._folding import FOLDED, fold_hits
from sterna.library._gallery import Gallery
from sterna.library._paths import full_path, sidecar_names
from sterna.library._query import Filters, Weighed
from sterna.library._reranking import rerank_hits, sentences_of
from sterna.library._roots import Drives, known_roots
from sterna.library._types import Hit, PhotoRecord

if TYPE_CHECKING:
    from sterna.encoders import Encoder
    from sterna.images import PhotoSource

__all__ = ["FILES", "Wanted", "hits_of", "indexed_id", "photo_vector", "search_gallery", "tell_photo"]

_NOTHING = 1e-6  # a sum of unit vectors this short points nowhere
FILES = "FROM files JOIN photos ON photos.id = files.photo JOIN roots ON roots.id = files.root "


@dataclass(frozen=True)
class Wanted:
    """How many hits a search wants, which, and after how many; `UsageError` for what is no number."""

    k: int
    min_score: float | Literal["model"] | None
    filters: Filters
    exclude_self: bool
    rerank: int = 0
    offset: int = 0
    fold: bool = False

    def __post_init__(self) -> None:
        check_k(self.k)
        check_min_score(self.min_score)
        check_rerank(self.rerank)
        check_offset(self.offset)


def search_gallery(
    catalog: Catalog, gallery: Gallery, *, encoder: Encoder, parts: Sequence[Weighed], wanted: Wanted
) -> list[Hit]:
    """The best photographs of a gallery for a weighted sum of operands; see `Library.search`."""
    asked = None if not wanted.rerank else sentences_of(parts, encoder=encoder)
    vector, selves = _sum(catalog, gallery, encoder=encoder, parts=parts)
    most = FOLDED if wanted.fold else max(wanted.offset + wanted.k, wanted.rerank)
    condition, values = wanted.filters.condition([(root.number, root.path) for root in known_roots(catalog)])
    allow = None
    if not wanted.filters.empty:
        query = f"SELECT DISTINCT files.photo AS a {FILES} WHERE {condition}"
        allow = catalog.numbers(query, values)[0]
    alone = selves[0] if len(parts) == 1 and len(selves) == 1 and parts[0].weight > 0 else None
    if wanted.exclude_self:
        found = _neighbours(gallery, vector, k=most, allow=allow, without=selves)
    elif alone is not None and (allow is None or alone in allow) and gallery.vector(alone) is not None:
        found = [(1.0, alone)]  # it is the same content, whatever rounding says
        if most > 1:
            found += _neighbours(gallery, vector, k=most - 1, allow=allow, without=selves)
    else:
        found = _neighbours(gallery, vector, k=most, allow=allow, without=[])
    least = _least_score(wanted, encoder=encoder, parts=parts)
    if least is not None:
        found = [(score, photo) for score, photo in found if score >= least]
    stands: dict[int, int] = {}
    if wanted.fold:
        found, stands = fold_hits(catalog, gallery, found=found)
    last = wanted.offset + wanted.k
    if asked is None:
        hits = hits_of(catalog, found[:last], condition=condition, values=values, offset=wanted.offset)
    else:
        every = hits_of(catalog, found[: max(last, wanted.rerank)], condition=condition, values=values)
        hits = rerank_hits(every, asked, first=wanted.rerank)[wanted.offset : last]
    return [replace(hit, folded=stands.get(hit.photo_id, 0)) for hit in hits] if stands else hits


def _least_score(wanted: Wanted, *, encoder: Encoder, parts: Sequence[Weighed]) -> float | None:
    """What hits must score; the model's own least score is of a sentence alone."""
    if wanted.min_score != "model":
        return wanted.min_score
    if len(parts) > 1 or parts[0].text is None or parts[0].weight < 0:
        return None
    return getattr(encoder, "min_score", None)


def photo_vector(
    catalog: Catalog | None,
    gallery: Gallery | None,
    *,
    encoder: Encoder,
    photo: PhotoSource | int | NDArray[np.float32],
) -> tuple[NDArray[np.float32], int | None]:
    """The vector [E] of a photograph, of an id or of itself; and its id where its content is indexed.

    Nothing is decoded then. Raises `UnknownPhotoError` for an id without a vector, `UsageError` for a vector
    of another width.
    """
    if isinstance(photo, np.ndarray):
        if len(photo) != encoder.dim:
            raise UsageError(
                f"a vector of {encoder.name} has {encoder.dim} numbers; one of {len(photo)} came"
            )
        return photo, None
    if isinstance(photo, int):
        own = None if gallery is None or photo < 0 else gallery.vector(photo)
        if own is None:
            raise UnknownPhotoError(f"photograph {photo}: the library has none with this id")
        return own, photo
    known = None if catalog is None or gallery is None else indexed_id(catalog, photo)
    stored = None if known is None or gallery is None else gallery.vector(known)
    if stored is not None:
        return stored, known
    return encoder.encode_images([photo])[0], None


def indexed_id(catalog: Catalog, photo: PhotoSource) -> int | None:
    """The id of a photograph whose content is known."""
    digest = _digest(photo)
    if digest is None:
        return None
    known = catalog.value("SELECT id FROM photos WHERE hash = ?", (bytes.fromhex(digest),))
    return None if known is None else int(known)


def _digest(photo: PhotoSource) -> str | None:
    """The hash of a photograph's content; `None` where reading it as a photograph will say what is wrong."""
    from sterna.images import MAX_BYTES  # brings Pillow, which searching for a sentence does without

    if isinstance(photo, bytes):
        return hash_bytes(photo) if len(photo) <= MAX_BYTES else None
    if not isinstance(photo, str | Path):
        return None
    path = Path(photo)
    try:
        return hash_file(path) if path.is_file() and path.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError):  # it may not be looked at; its name is too long or holds a NUL
        return None


def _sum(
    catalog: Catalog, gallery: Gallery, *, encoder: Encoder, parts: Sequence[Weighed]
) -> tuple[NDArray[np.float32], list[int]]:
    """The unit vector [E] of a weighted sum, and the ids of the photographs in it that are indexed."""
    texts = [part.text for part in parts if part.text is not None]
    sentences: Iterator[NDArray[np.float32]] = iter(encoder.encode_texts(texts) if texts else ())
    total = np.zeros(encoder.dim, np.float64)
    selves: list[int] = []
    for part in parts:
        if part.photo is None:
            vector: NDArray[np.float32] = next(sentences)
        else:
            vector, photo = photo_vector(catalog, gallery, encoder=encoder, photo=part.photo)
            selves += [] if photo is None else [photo]
        total += part.weight * (vector / max(float(np.linalg.norm(vector)), 1e-12))
    length = float(np.linalg.norm(total))
    if length < _NOTHING:
        raise UsageError(
            "the weighted parts of the query cancel each other out; nothing is left to search for"
        )
    return (total / length).astype(np.float32), selves


def _neighbours(
    gallery: Gallery,
    vector: NDArray[np.float32],
    *,
    k: int,
    allow: NDArray[np.int64] | None,
    without: list[int],
) -> list[tuple[float, int]]:
    found = gallery.search(vector, k + len(without), allow=allow)
    return [(score, photo) for score, photo in found if photo not in without][:k]


@dataclass(frozen=True)
class _File:
    """One path of a photograph; `fits` where it passes the filters."""

    fits: bool
    root: bytes
    path: bytes
    number: int  # of the root
    changed: int  # nanoseconds

    @property
    def full(self) -> str:
        return full_path(self.root, self.path)

    @property
    def date(self) -> datetime | None:
        try:
            return datetime.fromtimestamp(self.changed // 10**9)
        except (OverflowError, OSError, ValueError):
            return None  # no year that a calendar has


def hits_of(
    catalog: Catalog,
    found: Sequence[tuple[float, int]],
    *,
    condition: str = "1",
    values: Sequence[Any] = (),
    offset: int = 0,
) -> list[Hit]:
    """What is told of photographs (score, id) behind the first `offset` of them.

    Those whose last path has just gone are left out.
    """
    found = found[offset:]
    query = (
        f"SELECT photos.id, {condition}, roots.path, files.path, roots.id, mtime_ns, "
        f"width, height, taken_at, captions "
        f"{FILES} WHERE photos.id IN ({{keys}}) ORDER BY roots.path, files.path"
    )
    files: dict[int, list[_File]] = defaultdict(list)
    facts: dict[int, tuple[int, int, str | None, str]] = {}
    with catalog.reading():
        for photo, fits, root, path, number, changed, *rest in catalog.rows_for(
            query, [p for _, p in found], values=values
        ):
            files[photo].append(_File(bool(fits), root, path, number, changed))
            facts[photo] = (rest[0], rest[1], rest[2], rest[3])
        beside = _sentences_beside(catalog, files)
    drives = Drives(catalog)
    hits: list[Hit] = []
    for score, photo in found:
        paths = files[photo]
        if len(paths) > 1:
            paths = sorted(paths, key=lambda file: (not file.fits, not exists(file.full)))
        if not paths or not paths[0].fits:
            continue
        width, height, taken_at, captions = facts[photo]
        root = Path(os.fsdecode(paths[0].root))
        away = drives.away(paths[0].full, root=root)
        hits.append(
            Hit(
                rank=offset + len(hits) + 1,
                score=score,
                path=Path(paths[0].full),
                root=root,
                root_id=paths[0].number,
                photo_id=photo,
                width=width,
                height=height,
                taken_at=None if taken_at is None else datetime.fromisoformat(taken_at),
                captions=tuple(dict.fromkeys([*json.loads(captions), *beside.get(photo, ())])),
                also=tuple(Path(file.full) for file in paths[1:]),
                online=away is None,
                away=away,
                file_date=paths[0].date,
            )
        )
    return hits


def tell_photo(catalog: Catalog, photo: int) -> PhotoRecord:
    """What is known of a photograph; `UnknownPhotoError` where none that can be read has this id."""
    readable = catalog.value("SELECT 1 FROM photos WHERE id = ? AND reason IS NULL", (photo,))
    hits = hits_of(catalog, [(1.0, photo)] if readable else [])
    if not hits:
        raise UnknownPhotoError(f"photograph {photo}: the library has none with this id")
    return PhotoRecord(**{field.name: getattr(hits[0], field.name) for field in fields(PhotoRecord)})


def _sentences_beside(catalog: Catalog, files: Mapping[int, Sequence[_File]]) -> dict[int, list[str]]:
    """For each photograph the sentences in text files beside its paths."""
    if catalog.value("SELECT 1 FROM sidecars LIMIT 1") is None:
        return {}
    beside: dict[int, list[str]] = defaultdict(list)
    for photo, paths in files.items():
        for file in paths:
            for name in sidecar_names(file.path):
                text = catalog.value(
                    "SELECT captions FROM sidecars WHERE root = ? AND path = ?", (file.number, name)
                )
                beside[photo] += json.loads(text or "[]")
    return beside
