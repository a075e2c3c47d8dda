"""What a photograph's file says about it: which way is up, when it was taken, what it shows.

Read here rather than by Pillow, which copies every entry of an EXIF block, however many and large they claim
to be, and would have a damaged block fail the whole photograph. Only what is wanted is read, within bounds.
Sources: EXIF 2.32 (CIPA DC-008), IPTC-IIM 4.2 (2:120 caption), XMP (`dc:description`, `tiff:Orientation`).
"""

from __future__ import annotations

import html
import io
import re
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from PIL import Image

__all__ = ["Notes", "read_notes"]

_ORIENTATION, _DESCRIPTION, _EXIF, _TAKEN, _DIGITIZED = 0x0112, 0x010E, 0x8769, 0x9003, 0x9004
_ASCII, _SHORT, _LONG, _IFD = 2, 3, 4, 13
_MAX_ENTRIES, _MAX_TEXT, _MAX_XMP = 1000, 16_384, 1 << 20
_LONGEST = 2_000
_WHEN = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
# What cameras and programs write where a description belongs: cameras shout, people seldom do.
_CAMERA = re.compile(r"(?:[A-Z]+ ){0,2}DIGITAL CAMERA|(?:[A-Z]+ )?DSC[\W\d_]*")
_PROGRAM = re.compile(
    r"created with (?:the )?"
    r"(?:gimp|adobe .*|canva|darktable|imagemagick|inkscape|krita|paint\.net|sketch)\W*|"
    r"exif_jpeg_picture|untitled|default|dcim|screenshot|<\w*>|charset=.*|[\W\d_]*",
    re.IGNORECASE,
)
_XMP_DESCRIPTION = re.compile(r"<dc:description\b[^>]*>(.{0,40000}?)</dc:description>", re.DOTALL)
_XMP_ITEM = re.compile(r"<rdf:li\b[^>]*>([^<]*)</rdf:li>")
_XMP_ORIENTATION = re.compile(r"tiff:Orientation(?:=\"|>)([1-8])")


@dataclass(frozen=True)
class Notes:
    """Orientation as in EXIF (1 to 8), when it was taken (camera's local time), and its descriptions."""

    orientation: int = 1
    taken_at: datetime | None = None
    descriptions: tuple[str, ...] = ()


def read_notes(image: Image.Image, *, file: IO[bytes] | None = None) -> Notes:
    """Collect the notes of an opened image; whatever is damaged or missing is left out.

    Arguments:
        image: an image whose header has been read by Pillow.
        file: the open file, needed for a TIFF only, which is itself laid out like an EXIF block.
    """
    exif: dict[int, Any] = {}
    block = image.info.get("exif")
    if image.format == "TIFF":
        exif = _read_exif(file) if file is not None else {}
    elif isinstance(block, bytes):
        exif = _read_exif(io.BytesIO(block.removeprefix(b"Exif\0\0")))
    xmp = _xmp_text(image)
    texts = [exif.get(_DESCRIPTION, ""), *_xmp_descriptions(xmp), _iptc_caption(image)]
    descriptions = dict.fromkeys(text for text in map(_clean, texts) if text)
    return Notes(_orientation(image, exif, xmp), _moment(exif), tuple(descriptions))


def _orientation(image: Image.Image, exif: dict[int, Any], xmp: str) -> int:
    if image.format == "TIFF":  # Pillow turns it by itself
        return 1
    value = exif.get(_ORIENTATION, 0)
    if 1 <= value <= 8:
        return int(value)
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 1


def _read_exif(file: IO[bytes]) -> dict[int, Any]:
    try:
        file.seek(0)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(file.read(4))
        if order is None:
            return {}
        tags = _read_directory(file, _number(file.read(4), order), order)
        inner = tags.get(_EXIF)
        return {**_read_directory(file, inner, order), **tags} if isinstance(inner, int) else tags
    except (OSError, ValueError, struct.error):
        return {}


def _number(data: bytes, order: str) -> int:
    return int(struct.unpack(order + "I", data)[0])


def _read_directory(file: IO[bytes], offset: int, order: str) -> dict[int, Any]:
    """Read the wanted entries of the image file directory at `offset`."""
    file.seek(offset)
    count = min(int(struct.unpack(order + "H", file.read(2))[0]), _MAX_ENTRIES)
    entries = file.read(12 * count)
    tags: dict[int, Any] = {}
    for start in range(0, len(entries) - 11, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", entries, start)
        value = entries[start + 8 : start + 12]
        if tag in {_ORIENTATION, _EXIF} and kind in {_SHORT, _LONG, _IFD}:
            tags[tag] = struct.unpack(order + "H", value[:2])[0] if kind == _SHORT else _number(value, order)
        elif tag in {_DESCRIPTION, _TAKEN, _DIGITIZED} and kind == _ASCII:
            if length > 4:
                file.seek(_number(value, order))
                value = file.read(min(length, _MAX_TEXT))
            tags[tag] = _decode(value[:length])
    return tags


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _moment(exif: dict[int, Any]) -> datetime | None:
    for tag in (_TAKEN, _DIGITIZED):
        found = _WHEN.match(exif.get(tag, ""))
        if found:
            try:
                return datetime(*map(int, found.groups()))  # type: ignore[arg-type]
            except ValueError:  # 0000:00:00, what a camera without a clock writes
                continue
    return None


def _xmp_text(image: Image.Image) -> str:
    block = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    if isinstance(block, str):
        return block[:_MAX_XMP]
    return block[:_MAX_XMP].decode("utf-8", "replace") if isinstance(block, bytes) else ""


def _xmp_descriptions(xmp: str) -> list[str]:
    found = _XMP_DESCRIPTION.search(xmp)
    return [html.unescape(text) for text in _XMP_ITEM.findall(found[1])] if found else []


def _iptc_caption(image: Image.Image) -> str:
    blocks = image.info.get("photoshop")
    data = blocks.get(0x0404) if isinstance(blocks, dict) else None
    if not isinstance(data, bytes):
        return ""
    position = 0
    while position + 5 <= len(data) and data[position] == 0x1C:
        record, number, length = struct.unpack_from(">BBH", data, position + 1)
        position += 5
        if (record, number) == (2, 120):
            return _decode(data[position : position + length])
        position += length
    return ""


def _clean(text: str) -> str:
    """One line without control characters, or nothing where a camera and not a person wrote it."""
    text = text.split("\0", 1)[0]
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:_LONGEST]
    return "" if _CAMERA.fullmatch(text) or _PROGRAM.fullmatch(text) else text
