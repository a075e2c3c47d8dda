"""Rank sentences by how well they fit a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sterna.library._captions import known_sentences, rank_sentences
from sterna.library._opened import Opened
from sterna.library._query import as_photo
from sterna.library._searching import photo_vector
from sterna.library._types import CaptionHit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sterna.encoders import Encoder
    from sterna.images import PhotoSource

__all__ = ["caption_photo"]


def caption_photo(
    opened: Opened,
    photo: PhotoSource | int | NDArray[Any],
    *,
    given: Sequence[str] | None,
    k: int,
    model: str | Path | Encoder | None,
) -> list[CaptionHit]:
    """The best of the `given` sentences, or of those known to the library; see `Library.captions`."""
    catalog = opened.catalog() if given is None else opened.any_catalog()
    encoder, _ = opened.encoder(catalog, model)
    gallery = None if catalog is None else opened.gallery_of(catalog, encoder)
    vector, _ = photo_vector(catalog, gallery, encoder=encoder, photo=as_photo(photo))
    owners = known_sentences(catalog) if given is None and catalog is not None else {}
    sentences = list(owners) if given is None else given
    if not sentences:
        return []
    vectors = opened.sentence_vectors(encoder).get(sentences, keep=given is None)
    return rank_sentences(vector, sentences, vectors=vectors, k=k, owners=owners)
