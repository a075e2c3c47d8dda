"""`explain`: hide parts of a photograph, and see how much its score falls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sterna.encoders import Aligns, Encoder, alignments, load
from sterna.errors import UsageError, check_known
from sterna.explanations._masks import FILLS, Hiding, hide, small, spread, windows
from sterna.explanations._place import cell_boxes, seen
from sterna.explanations._regions import RegionGrid, region_grid, region_scores
from sterna.explanations._types import Area, Explanation, Method, Word
from sterna.explanations._words import left_out, spans
from sterna.images import Photo, PhotoSource, open_photo

__all__ = ["explain"]

Progress = Callable[[int, int], None]

_FEWEST, _MOST = 2, 20  # cells of a side
_AT_ONCE = 8  # masked photographs, between two calls of `progress`
_PIXELS = 1024  # of the shorter side: more than masks are drawn on


def explain(
    photo: PhotoSource,
    sentence: str,
    *,
    model: str | Path | Encoder | None = None,
    grid: int = 8,
    fill: Hiding = "blur",
    progress: Progress | None = None,
) -> Explanation:
    """Tell which parts of a photograph speak for a sentence, and for each of its words.

    Windows over a grid of cells are hidden, one after the other, and a cell contributes what the score falls
    by when it is hidden with its neighbours (occlusion). A model that tells regions and words apart, and
    whose regions are a grid, looks once: windows of its regions are left out of the alignment.

    Arguments:
        photo: a path, a file's bytes, or a Pillow image.
        sentence: what the photograph may show.
        model: as `sterna.load` takes it, or an encoder; `None` for the one that ships.
        grid: cells of a side, 2 to 20. The model looks about `grid * grid / 2` times, and the one that ships
            looks at about ten photographs a second. A model's own regions are as many as they are.
        fill: what hides: "blur", the photograph blurred beyond recognition, or "mean", its mean colour.
        progress: called with how many looks are done, 0 when the model is ready, and of how many.

    Raises `UsageError` for arguments that cannot be used, `PhotoError` where the photograph cannot be read,
    `ModelError` where the model cannot be used.
    """
    if isinstance(grid, bool) or not isinstance(grid, int) or not _FEWEST <= grid <= _MOST:
        raise UsageError(f"grid={grid!r}: a whole number from {_FEWEST} to {_MOST} is needed")
    check_known("fill", fill, FILLS)
    words = spans(sentence)
    encoder = load(model) if model is None or isinstance(model, str | Path) else model
    opened = open_photo(photo, at_least=_PIXELS)
    texts = [
        sentence,
        *(left_out(sentence, span) for span in words),
        *(sentence[start:end] for start, end in words),
    ]
    regions = region_grid(encoder, photo, (opened.width, opened.height))
    if regions is None:
        found = _occlude(encoder, photo, opened, texts, grid=grid, fill=fill, progress=progress)
    else:
        found = _leave_out(cast("Aligns", encoder), regions, texts, progress=progress)
    whole, maps, area, method = found
    return Explanation(
        model=encoder.name,
        sentence=sentence,
        method=method,
        score=float(whole[0]),
        cells=maps[0],
        words=_words(sentence, words, whole, maps),
        area=area,
        boxes=cell_boxes(maps[0].shape, area),
    )


_Found = tuple[NDArray[np.float32], NDArray[np.float32], Area, Method]
"""Scores [K] of all texts, their maps [K, rows, cols], where the grid lies, and how it was found."""


def _occlude(
    encoder: Encoder,
    photo: PhotoSource,
    opened: Photo,
    texts: list[str],
    *,
    grid: int,
    fill: Hiding,
    progress: Progress | None,
) -> _Found:
    size = (opened.width, opened.height)
    area = seen(getattr(encoder, "fit", ""), size)
    masks = windows((grid, grid))
    if progress is not None:
        progress(0, len(masks))
    compare = _comparison(encoder, texts)
    image = small(opened.image)
    whole = compare([photo])[0]
    # what masks are drawn on may be smaller than the photograph, and falls are from its own score
    plain = whole if image.size == size else compare([image])[0]
    scores: list[NDArray[np.float32]] = []
    pictures = hide(image, masks, area=area, fill=fill)
    done = 0
    while some := list(islice(pictures, _AT_ONCE)):
        scores.append(compare(some))
        done += len(some)
        if progress is not None:
            progress(done, len(masks))
    return whole, spread(plain - np.concatenate(scores), masks), area, "occlusion"


def _comparison(encoder: Encoder, texts: list[str]) -> Callable[[Sequence[PhotoSource]], NDArray[np.float32]]:
    """What gives the scores [N, K] of photographs with all texts, as the model is meant to compare."""
    if getattr(encoder, "alignment", None) is not None:
        return lambda photos: _readable(alignments(encoder, photos, texts), encoder, photos)
    vectors = encoder.encode_texts(texts)
    return lambda photos: encoder.encode_images(photos) @ vectors.T


def _readable(
    scores: NDArray[np.float32], encoder: Encoder, photos: Sequence[PhotoSource]
) -> NDArray[np.float32]:
    if np.isnan(scores).any():
        encoder.encode_images(photos)  # raises what is wrong with it
    return scores


def _leave_out(encoder: Aligns, found: RegionGrid, texts: list[str], *, progress: Progress | None) -> _Found:
    masks = windows(found.shape)
    if progress is not None:
        progress(0, len(masks))
    nothing = np.zeros((1, *found.shape), dtype=bool)
    scores = region_scores(encoder, found, np.concatenate([nothing, masks]), texts)
    if progress is not None:
        progress(len(masks), len(masks))
    return scores[0], spread(scores[0] - scores[1:], masks), found.area, "alignment"


def _words(
    sentence: str, places: list[tuple[int, int]], whole: NDArray[np.float32], maps: NDArray[np.float32]
) -> tuple[Word, ...]:
    """The words, of scores and maps of the sentence, of it without each word, and of each word alone."""
    count = len(places)
    contributions = [float(whole[0]) - float(without) for without in whole[1 : count + 1]]
    positive = sum(max(one, 0.0) for one in contributions)
    return tuple(
        Word(
            text=sentence[span[0] : span[1]],
            span=span,
            contribution=contribution,
            share=max(contribution, 0.0) / positive if positive > 0 else 0.0,
            score=float(whole[1 + count + place]),
            cells=_blend(maps[0] - maps[1 + place], maps[1 + count + place]),
        )
        for place, (span, contribution) in enumerate(zip(places, contributions, strict=True))
    )


def _blend(within: NDArray[np.float32], alone: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map of a word within its sentence and the one of the word alone, of the first one's size.

    Together they find the word's place more often than either: the first knows what the others say already,
    the second what the word looks like.
    """
    size = float(np.linalg.norm(alone))
    if size == 0:
        return within
    scale = np.float32(np.linalg.norm(within) / size)
    return np.asarray((within + scale * alone) / 2, dtype=np.float32)
