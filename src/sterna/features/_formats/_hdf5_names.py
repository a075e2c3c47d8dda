"""What the arrays of HDF5 files of features are called, and texts in them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["IDS", "UNREADABLE", "WANTED", "first", "one_line", "text", "texts"]

IDS = ("ids", "image_ids", "image_id", "img_ids", "img_id", "names", "id")
WANTED = {
    "features": ("features", "image_features", "feat", "feats", "x", "att", "att_feats"),
    "boxes": ("boxes", "image_bb", "bbox", "bboxes"),
    "count": ("num_boxes", "num_bbox", "num_bboxes", "num_regions"),
    "scores": ("scores", "objects_conf"),
    "classes": ("classes", "objects_id"),
    "sizes": ("sizes", "image_sizes", "img_sizes"),
    "width": ("image_w", "img_w", "width", "widths"),
    "height": ("image_h", "img_h", "height", "heights"),
}
"""what is looked for, and the names that it may have"""
UNREADABLE = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError)
"""what h5py raises where a part of a file cannot be read or is not what it is taken for"""


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def first(file: Any, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in file), None)


def texts(data: Any) -> list[str]:
    values = np.ravel(data[()])
    return [text(one) for one in values.tolist()]


def text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():  # numbers that went through a table of floats
        value = int(value)
    return value.decode("utf-8", errors="surrogateescape") if isinstance(value, bytes) else str(value)
