"""What the arrays of HDF5 files of features are called, and texts in them."""

from __future__ import annotations

from typing import Any

import numpy as np

FEATURES = ("features", "image_features", "feat", "feats", "x", "att", "att_feats")
IDS = ("ids", "image_ids", "image_id", "img_ids", "img_id", "names", "id")
BOXES = ("boxes", "image_bb", "bbox", "bboxes")
COUNTS = ("num_boxes", "num_bbox", "num_bboxes", "num_regions")
WIDTHS, HEIGHTS = ("image_w", "img_w", "width", "widths"), ("image_h", "img_h", "height", "heights")
SIZES = ("sizes", "image_sizes", "img_sizes")
SCORES, CLASSES = ("scores", "objects_conf"), ("classes", "objects_id")
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
