"""The one way in: which formats there are, and reading a path in the one that it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sterna.data import _coco, _flickr, _folder, _karpathy, _table
from sterna.data._captioned import CaptionedImages
from sterna.data._source import Source
from sterna.errors import DataError

__all__ = ["FORMATS", "Format", "read"]


@dataclass(frozen=True)
class Format:
    """A format of captioned images.

    Fields:
        looks: what it looks like on disk, for people.
        claims: whether a file or folder is in this format, told without reading all of it.
        read: reads it.
    """

    looks: str
    claims: Callable[[Path], bool]
    read: Callable[[Source], CaptionedImages]


FORMATS: Mapping[str, Format] = {
    "flickr": Format(looks="lines NAME.jpg#K<TAB>caption", claims=_flickr.claims, read=_flickr.read),
    "karpathy": Format(looks="dataset_*.json", claims=_karpathy.claims, read=_karpathy.read),
    "coco": Format(looks="captions.json or captions_*.json", claims=_coco.claims, read=_coco.read),
    "table": Format(
        looks="CSV, TSV or Parquet with columns image and caption", claims=_table.claims, read=_table.read
    ),
    "folder": Format(looks="a folder of photographs", claims=_folder.claims, read=_folder.read),
}


def read(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002  the word that people use
    split: str | None = None,
    restval: bool = True,
    images: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    photographs: bool = True,
) -> CaptionedImages:
    """Read captioned images from a folder or file, in whichever of `FORMATS` they are.

    Arguments:
        path: the folder that holds everything, or the file of captions.
        format: a key of `FORMATS`; found out where not given.
        split: only this split; all images where not given.
        restval: whether the `restval` images of Karpathy's files count as training images or are left out.
        images: the folder of the photographs, where it is not found beside the captions. Photographs are only
            ever looked up inside it, or inside the data's folder where it is not given.
        columns: which columns of a table hold what: `{"image": "file_name", "caption": "text"}`; the optional
            ones are `image_id`, `caption_id`, `id` and `split`.
        photographs: whether they have to be there. `False`, for whoever has their features instead, takes
            every image that is named; its path is where the photograph would be.

    Returns what could be read; what could not is told in its `problems`.
    Raises `DataError` where nothing could be read, the format is not known, or the split is not there.
    """
    source = Source(
        path=_existing(path),
        images=None if images is None else _existing(images),
        restval=restval,
        columns=columns,
        assumed=not photographs,
    )
    if source.images is not None and not source.images.is_dir():
        raise DataError(f"{images}: not a folder of photographs")
    kind = "table" if format is None and columns else _format_of(source.path, format)
    return FORMATS[kind].read(source).split(split)


def _existing(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # not there; no such home; no name that a file can have
        raise DataError(f"{path}: no such file or folder") from None


def _format_of(path: Path, name: str | None) -> str:
    if name is not None:
        if name not in FORMATS:
            raise DataError(f"format {name!r} is not known; known: {', '.join(FORMATS)}")
        return name
    claimed = [name for name, kind in FORMATS.items() if name != "folder" and kind.claims(path)]
    if len(claimed) > 1:
        names = ", ".join(claimed)
        raise DataError(f"{path}: can be read in several formats ({names}); name one, or point at the file")
    if claimed:
        return claimed[0]
    if FORMATS["folder"].claims(path):  # any other format's folder is one, too
        return "folder"
    looks = "; ".join(f"{name}: {kind.looks}" for name, kind in FORMATS.items())
    raise DataError(f"{path}: not in a known format ({looks})")
