"""Extraction: captioned images through backbones into two feature stores, to be gone on with at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from sterna._version import versions
from sterna.errors import StoreError, UsageError
from sterna.features._captions import CaptionJob, caption_columns
from sterna.features._engines import text_engine
from sterna.features._images import ImageJob, image_columns, photographs
from sterna.features._kept import KeptMaps
from sterna.features._looks import Look, keep_pixels, look_at_maps, look_of
from sterna.features._part import ColumnSpec
from sterna.features._report import ExtractProgress, ExtractReport
from sterna.features._store import FeatureStore
from sterna.features._views import check_views
from sterna.files import FileLock

if TYPE_CHECKING:
    from sterna.backbones import ImageBackbone, TextBackbone

__all__ = ["Captioned", "extract"]

_PACKAGES = ("torch", "onnxruntime", "transformers", "pillow")
_Tell = Callable[[ExtractProgress], None]


class Captioned(Protocol):
    """What extraction needs of a data set; `sterna.data.CaptionedImages` has it."""

    @property
    def image_ids(self) -> Sequence[str]:
        """Unique ids of the images."""

    @property
    def paths(self) -> Sequence[Path]:
        """Their files, in the same order."""

    @property
    def captions(self) -> Sequence[str]:
        """All captions."""

    @property
    def caption_ids(self) -> Sequence[str]:
        """Unique ids of the captions, in the same order."""


def extract(
    data: Captioned,
    out: str | Path,
    *,
    image_backbone: str | ImageBackbone | None = "efficientnet-lite0+efficientnet-lite1+efficientnet-lite2",
    text_backbone: str | TextBackbone | None = "minilm",
    size: int | None = None,
    cells: int | None = 6,
    fit: str = "squeeze",
    max_tokens: int = 64,
    hidden_layer: int | None = None,
    views: Sequence[str] = ("original",),
    dtype: str = "float16",
    batch_size: int = 8,
    maps: int | None = None,
    pixels: bool = False,
    kept: KeptMaps | None = None,
    top: int | None = None,
    threshold: float | None = None,
    suppress: float | None = None,
    engine: str = "auto",
    threads: int | None = None,
    shard: tuple[int, int] = (0, 1),
    progress: _Tell | None = None,
) -> ExtractReport:
    """Write features of images to `out/images` and of captions to `out/captions`, but for what is there.

    A process killed at any moment loses at most the part in hand (256 images or 2,048 captions, fewer where
    they are large); call it again to go on. Another call adds other views or other images, at the same time
    if need be: what two of them make of one item is kept once. A photograph that cannot be read is named in
    the report and in `out/images/failed.jsonl`, and tried again the next time.

    Arguments:
        data: ids, paths and captions.
        out: folder of the two stores.
        image_backbone: a name for `sterna.backbones.image_backbone`, or a backbone; `None` leaves images out.
        text_backbone: a name for `sterna.backbones.text_backbone`, or a backbone; `None` leaves captions out.
        size: side of the square in pixels; `None` takes the backbone's own.
        cells: regions are `cells` x `cells`; `None` keeps the backbone's grid.
        fit: how photographs become squares: "squeeze", "crop", "letterbox".
        max_tokens: longer captions are cut.
        hidden_layer: whose output the tokens are, 0 the text backbone's embeddings; `None` the last one's.
        views: made one after the other: "original", "flip", "crop0", "crop1", ...; each is a column, and its
            boxes (x1 y1 x2 y2 in 0..1 of the view) are the column "VIEW.boxes".
        dtype: "float16" or "float32", of the values.
        batch_size: images a batch.
        maps: keep the maps below the last `maps` stages of the image backbone as well, for fine-tuning these:
            the column "VIEW.mapsN", float16, whose rows [C, H W] are the backbone's `map_shape`.
        pixels: keep the squares that the image backbone would see, and nothing that it makes of them, for
            training that changes them in every step: the column "VIEW.pixels", uint8 RGB, rows [S, S 3].
        kept: maps that the backbone's stem made before: views of which all are there are made of them, and
            photographs are looked at for the others alone. Not together with `maps` or `pixels`.
        top, threshold, suppress: of a detector, see `sterna.backbones.image_backbone`. Its regions bear the
            columns "VIEW.scores" and "VIEW.classes"; an image has one at least.
        engine: "onnx" (ONNX Runtime), "torch", or "auto": ONNX Runtime where the backbone exports.
        threads: of ONNX Runtime; `None` takes every core that this process may use.
        shard: (i, n) takes every n-th item from the i-th on, for several machines; `FeatureStore.merge` joins
            what they made.
        progress: called after each batch.

    Raises `StoreError` where `out` holds another backbone's features; `ModelError`, `UsageError`,
    `DiskError`.
    """
    check_views(views)
    work = _Work(dtype=dtype, engine=engine, threads=threads, shard=shard, tell=progress or (lambda _: None))
    started = time.monotonic()
    if text_backbone is not None:
        work.captions(data, Path(out) / "captions", _text_backbone(text_backbone, max_tokens, hidden_layer))
    if image_backbone is not None:
        options: _ImageOptions = {
            "size": size,
            "cells": cells,
            "fit": fit,
            "trainable_tail": maps or 0,
            "top": top,
            "threshold": threshold,
            "suppress": suppress,
        }
        images = _image_backbone(image_backbone, options)
        if kept is not None and maps is not None:
            raise UsageError(f"maps={maps}: are not made of maps that were kept; leave one of them out")
        if pixels and (maps is not None or kept is not None):
            raise UsageError("pixels=True: no maps are made or read beside pixels; leave them out")
        if pixels:
            look = keep_pixels(images)
        else:
            look = look_of(images, dtype=dtype, engine=engine, threads=threads, maps=maps)
        work.images(
            data, Path(out) / "images", images, views=views, batch_size=batch_size, look=look, kept=kept
        )
    work.report.seconds = time.monotonic() - started
    return work.report


@dataclass(frozen=True)
class _Work:
    """What is common to both stores; raises `UsageError`."""

    dtype: str
    engine: str
    threads: int | None
    shard: tuple[int, int]
    tell: _Tell
    report: ExtractReport = field(default_factory=ExtractReport)

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32"):
            raise UsageError(f"dtype={self.dtype!r}: features are kept as float16 or float32")
        if not 0 <= self.shard[0] < self.shard[1]:
            raise UsageError(f"shard={self.shard}: (i, n) needs 0 <= i < n")

    def captions(self, data: Captioned, out: Path, backbone: TextBackbone) -> None:
        store = _open(out, caption_columns(backbone, self.dtype), _text_meta(backbone, self.dtype))
        read = text_engine(backbone, kind=self.engine, threads=self.threads)
        sentences = list(zip(data.caption_ids, data.captions, strict=True))
        job = CaptionJob(store, backbone, read, report=self.report, tell=self.tell)
        job.make(sentences[self.shard[0] :: self.shard[1]])

    def images(
        self,
        data: Captioned,
        out: Path,
        backbone: ImageBackbone,
        *,
        views: Sequence[str],
        batch_size: int,
        look: Look,
        kept: KeptMaps | None,
    ) -> None:
        store = _open(out, image_columns(look, views), _image_meta(backbone, self.dtype))
        job = partial(ImageJob, store, batch_size=batch_size, report=self.report, tell=self.tell)
        whole, below = job(photographs(backbone), look), None
        if kept is not None:
            rest = look_at_maps(backbone, dtype=self.dtype, engine=self.engine, threads=self.threads)
            below = job(kept, rest)
        items = list(zip(data.image_ids, data.paths, strict=True))[self.shard[0] :: self.shard[1]]
        for view in views:
            if kept is not None and below is not None and kept.have(view, [name for name, _ in items]):
                below.make(view, items)
                self.report.engine = rest.name
            else:
                whole.make(view, items)
                self.report.engine = look.name


class _ImageOptions(TypedDict):
    size: int | None
    cells: int | None
    fit: str
    trainable_tail: int
    top: int | None
    threshold: float | None
    suppress: float | None


def _image_backbone(asked: str | ImageBackbone, options: _ImageOptions) -> ImageBackbone:
    from sterna.backbones import image_backbone

    return image_backbone(asked, **options) if isinstance(asked, str) else asked


def _text_backbone(asked: str | TextBackbone, max_tokens: int, hidden_layer: int | None) -> TextBackbone:
    from sterna.backbones import text_backbone

    if not isinstance(asked, str):
        return asked
    return text_backbone(asked, max_tokens=max_tokens, hidden_layer=hidden_layer)


def _image_meta(backbone: ImageBackbone, dtype: str) -> dict[str, Any]:
    return {
        "kind": "images",
        "backbone": backbone.name,
        "fingerprint": backbone.fingerprint,
        "size": backbone.size,
        "fit": backbone.fit,
        "regions": backbone.regions,
        "dim": backbone.dim,
        "sources": list(backbone.sources),
        "dtype": dtype,
        **backbone.described,
        "versions": versions(_PACKAGES),
    }


def _text_meta(backbone: TextBackbone, dtype: str) -> dict[str, Any]:
    return {
        "kind": "captions",
        "backbone": backbone.name,
        "fingerprint": backbone.fingerprint,
        "max_tokens": backbone.max_tokens,
        **({} if backbone.hidden_layer is None else {"hidden_layer": backbone.hidden_layer}),
        "dim": backbone.dim,
        "dtype": dtype,
        "versions": versions(_PACKAGES),
    }


def _open(path: Path, columns: Mapping[str, ColumnSpec], meta: Mapping[str, Any]) -> FeatureStore:
    with FileLock(path / ".lock", what=f"the feature store {path}", wait=60):  # shards may begin together
        if not (path / "manifest.json").is_file():
            return FeatureStore.create(path, columns, meta=meta)
    store = FeatureStore.open(path)
    unlike = [key for key in meta if key not in ("versions", "backbone") and store.meta.get(key) != meta[key]]
    if unlike:
        was = ", ".join(f"{key} {store.meta.get(key)!r}" for key in unlike)
        now = ", ".join(f"{key} {meta[key]!r}" for key in unlike)
        raise StoreError(f"{path}: holds features of {was}; asked for are {now}: name another folder")
    store.add_columns(columns)
    return store
