"""Views of a photograph: as it is, mirrored, and crops that its id alone decides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sterna.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_views", "least_side", "view_of"]

_VIEW = re.compile(r"original|flip|crop\d{1,3}")
_LEAST_AREA = 0.5
_ASPECT = 4 / 3


def check_views(views: Sequence[str]) -> None:
    """Raise `UsageError` for a view that there is not, or one that came twice."""
    for view in views:
        if not _VIEW.fullmatch(view):
            raise UsageError(f"view {view!r}: must be original, flip, or crop0, crop1, ...")
    if not views or len(set(views)) < len(views):
        raise UsageError(f"views={list(views)}: at least one is needed, and each once")


def least_side(view: str, size: int) -> int:
    """The shorter side in pixels that a photograph needs, so that this view is not blown up."""
    return 2 * size if view.startswith("crop") else size


def view_of(image: Image.Image, view: str, *, identity: str) -> Image.Image:
    """One view of an image.

    Arguments:
        image: upright, RGB.
        view: "original"; "flip", mirrored; "cropK": a rectangle of half the area or more at a random place,
            its shape within 4:3 of the image's, mirrored half of the time.
        identity: the image's id; together with K it seeds the crop, which is thus the same everywhere.
    """
    from PIL import ImageOps

    if view == "original":
        return image
    if view == "flip":
        return ImageOps.mirror(image)
    named = f"{view}\n{identity}".encode(errors="surrogateescape")  # a file's name may be no UTF-8
    seed = int.from_bytes(hashlib.sha256(named).digest()[:8], "little")
    rng = np.random.default_rng(seed)
    area = rng.uniform(_LEAST_AREA, 1.0)
    # width / sqrt(area) is at most 1 / sqrt(area): beyond, the rectangle would leave the image
    bound = min(np.log(_ASPECT) / 2, -np.log(area) / 2)
    stretch = np.exp(rng.uniform(-bound, bound))
    width = round(image.width * min(1.0, float(np.sqrt(area) * stretch)))
    height = round(image.height * min(1.0, float(np.sqrt(area) / stretch)))
    left = round(float(rng.uniform(0, 1)) * (image.width - width))
    top = round(float(rng.uniform(0, 1)) * (image.height - height))
    piece = image.crop((left, top, left + max(1, width), top + max(1, height)))
    return ImageOps.mirror(piece) if rng.random() < 0.5 else piece
