"""Every score by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from sterna.scoring._alignment import mravgw, mrsw, mwsr, symm
from sterna.scoring._arrays import Array
from sterna.scoring._cross_attention import scan_i2t, scan_t2i
from sterna.scoring._items import Items
from sterna.scoring._vectors import Score, dot, order

__all__ = ["ALIGNMENTS", "SCORES", "VECTOR_SCORES", "Alignment"]

Alignment = Callable[[Items, Items], Array]

# The sharpness of attention and of its sum are those that SCAN's authors published for Flickr30k.
ALIGNMENTS: Mapping[str, Alignment] = {
    "MrAVGw": mravgw,
    "MrSw": mrsw,
    "MwSr": mwsr,
    "scan-i2t": scan_i2t,
    "scan-i2t-lse": partial(scan_i2t, lse=5.0),
    "scan-t2i": scan_t2i,
    "scan-t2i-lse": partial(scan_t2i, lse=6.0),
    "symm": symm,
}
VECTOR_SCORES: Mapping[str, Score] = {"dot": dot, "order": order}
SCORES: Mapping[str, Score | Alignment] = {**VECTOR_SCORES, **ALIGNMENTS}
