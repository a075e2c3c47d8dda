"""Nearest neighbours of unit vectors, exact, restricted to allowed ids where asked.

One protocol, `Index`; `build_index` makes one that scans with NumPy (small collections) or FAISS (large
ones), both over memory-mapped float16 or float32 vectors without a copy of their own. `near_groups` finds
which of many vectors are near each other.
Letters: N vectors, E embedding width, Q queries, K cut-off.
"""

from __future__ import annotations

from sterna.index._build import FAISS_FROM, KINDS, build_index
from sterna.index._groups import near_groups
from sterna.index._protocol import Index

__all__ = ["FAISS_FROM", "KINDS", "Index", "build_index", "near_groups"]
