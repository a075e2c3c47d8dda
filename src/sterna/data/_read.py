"""The one way in: which formats there are, and reading a path in the one that it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sterna.data import _flickr
from sterna.data._captioned import CaptionedImages
from sterna.data._collect import Source
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
    "flickr": Format(
        "lines NAME.jpg#K<TAB>caption, and lists of names for the splits", _flickr.claims, _flickr.read
    ),
}


def read(
    path: str | Path,
    *,
    format: str | None = None,
    split: str | None = None,
    restval: bool = True,
    images: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> CaptionedImages:
    """Read captioned images from a folder or file, in whichever of `FORMATS` they are.

    Arguments:
        path: the folder that holds everything, or the file of captions.
        format: a key of `FORMATS`; found out where not given.
        split: only this split; all images where not given.
        restval: whether the `restval` images of Karpathy's files count as training images or are left out.
        images: the folder of the photographs, where it is not found beside the captions. Photographs are only ever
            looked up inside it, or inside the data's folder where it is not given.
        columns: which columns of a table hold what: `{"image": "file_name", "caption": "text"}`; the optional ones
            are `image_id`, `caption_id` and `split`.

    Returns what could be read; what could not is told in its `problems`.
    Raises `DataError` where nothing could be read, the format is not known, or the split is not there.
    """
    target = Path(path).expanduser().absolute()
    if not target.exists():
        raise DataError(f"{path}: no such file or folder")
    photographs = None if images is None else Path(images).expanduser().absolute()
    if photographs is not None and not photographs.is_dir():
        raise DataError(f"{images}: no such folder of photographs")
    source = Source(
        path=target.resolve(), images=photographs and photographs.resolve(), restval=restval, columns=columns
    )
    return FORMATS[_format_of(source.path, format)].read(source).split(split)


def _format_of(path: Path, format: str | None) -> str:
    if format is not None:
        if format not in FORMATS:
            raise DataError(f"format {format!r} is not known; known: {', '.join(FORMATS)}")
        return format
    claimed = [name for name, kind in FORMATS.items() if kind.claims(path)]
    if len(claimed) == 1:
        return claimed[0]
    if claimed:
        raise DataError(
            f"{path}: can be read in several formats ({', '.join(claimed)}); name one, or point at a file"
        )
    looks = "; ".join(f"{name}: {kind.looks}" for name, kind in FORMATS.items())
    raise DataError(f"{path}: not in a known format ({looks})")
