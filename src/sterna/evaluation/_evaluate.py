"""Measuring a model on captioned images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from sterna.errors import DataError, UsageError
from sterna.evaluation._aligned import first_of_source, reranking_of, told
from sterna.evaluation._hubs import Bank
from sterna.evaluation._judged import read_relevance
from sterna.evaluation._measure import SCORES, measure
from sterna.evaluation._protocol import Protocol
from sterna.evaluation._report import Report
from sterna.evaluation._rerank import rerank as adjust_by
from sterna.evaluation._sources import Captioned, Encodes, Progress, Source, Tell, source_of
from sterna.evaluation._threshold import check_recall, choose_threshold

__all__ = ["evaluate"]

_DOT_ALONE = "a least score can be chosen for dot products of vectors alone"


def evaluate(
    encoder: Encodes | Source | Sequence[Encodes | Source],
    data: Captioned,
    *,
    split: str | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    protocol: Protocol = Protocol(),  # noqa: B008  it is frozen
    relevance: Sequence[str | Path] = (),
    bank: str | Bank | None = None,
    rerank: int | None = None,
    calibrate: float | None = None,
) -> Report:
    """Encode the images and captions of a split and report how well each finds the other.

    Photographs that cannot be read are named in the report and count as not found.

    Arguments:
        encoder: what is measured; several are a committee, whose similarities are averaged.
        data: what it is measured on.
        split: needed where the data has several.
        bootstrap: draws of images for the intervals; 0 for none.
        seed: decides the draws.
        progress: is told how far it is.
        protocol: what is measured, and how.
        relevance: files that say what is right, as `read_relevance` takes them.
        bank: what `protocol.hubs` are known by: the name of another split, or vectors.
        rerank: how many of a query's first answers are ordered by alignment of regions and words, 0 for none;
            left out: all, where the model is measured by an alignment, and else none.
        calibrate: the recall at which a least score to search with is chosen; see `choose_threshold`.

    What cannot be is refused before anything is encoded, where that can be known.

    Raises `DataError` where the split is not there, not named though there are several, without captions, or
    too small for the protocol's folds, or where the bank holds images that are measured; `UsageError` where
    the model cannot align, or is to be calibrated though it is compared otherwise than by dot products.
    """
    tell = progress or (lambda _: None)
    source = source_of(encoder)
    first = first_of_source(source, rerank, protocol=protocol)
    _check_score(getattr(source, "score", "dot"), protocol, calibrate)
    part = data.one_split(split)
    if not len(part.captions):
        raise DataError(f"{data.name}: there are no captions, which are needed to measure anything")
    for _ in protocol.parts(part.owners, images=len(part.image_ids)):
        pass  # it raises where there are too few images
    if protocol.hubs is not None and bank is None:
        raise UsageError(f"hubs={protocol.hubs.name!r} needs a bank, such as the split train")
    if protocol.hubs is None and bank is not None:
        raise UsageError("a bank is for a correction of hubs, and none is named: csls or inverted-softmax")
    other = _bank_part(data, part, bank) if isinstance(bank, str) else None
    judged = read_relevance(relevance, image_ids=part.image_ids, caption_ids=part.caption_ids)
    found = source.vectors(part, tell)
    if calibrate is not None and found.score != "dot":
        raise UsageError(_DOT_ALONE)
    threshold = (
        None
        if calibrate is None
        else choose_threshold(found.images, found.captions, part.owners, recall=calibrate)
    )
    names = set(part.splits)
    reranking = reranking_of(source, part, first=first, tell=tell)
    report = measure(
        found.images,
        found.captions,
        part.owners,
        protocol=protocol,
        score=found.score,
        relevance=judged.relevance,
        grades=judged.grades,
        adjust=None if reranking is None else adjust_by(reranking),
        bank=_encoded(source, other, str(bank), tell) if other is not None else _vectors(bank),
        image_ids=part.image_ids,
        caption_ids=part.caption_ids,
        model=source.name,
        data=data.name,
        split=split or (part.splits[0] if len(names) == 1 else None),
        bootstrap=bootstrap,
        seed=seed,
        unreadable=found.unreadable,
        problems=data.problems,
    )
    return dataclasses.replace(told(report, reranking), threshold=threshold)


def _check_score(score: str, protocol: Protocol, calibrate: float | None) -> None:
    """Raise `UsageError` where what is asked for cannot be had of a model that is measured by `score`."""
    compared = score if score in SCORES else "dot"  # of a model that aligns the vectors' products
    protocol.lowest_score(compared)
    if calibrate is not None:
        check_recall(calibrate, "calibrate")
        if compared != "dot":
            raise UsageError(_DOT_ALONE)


def _vectors(bank: str | Bank | None) -> Bank | None:
    return bank if isinstance(bank, Bank) else None


def _bank_part(data: Captioned, part: Captioned, name: str) -> Captioned:
    """The images of the bank; none of them may be measured, or hubs would be known by the answers."""
    bank = data.one_split(name)
    shared = set(bank.image_ids) & set(part.image_ids)
    if shared:
        what = f"{len(shared):,} images that are measured, such as {min(shared)!r}"
        raise DataError(f"{data.name}: the bank {name!r} holds {what}; name another split")
    return bank


def _encoded(source: Source, part: Captioned, name: str, tell: Tell) -> Bank:
    found = source.vectors(part, tell)
    return Bank(images=found.images, captions=found.captions, name=name)
