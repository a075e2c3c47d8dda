"""Similarities of images and captions, written once for NumPy and torch: vectors, or their regions and words.

`SCORES` has them all by name. Those in `VECTOR_SCORES` compare two vectors; those in `ALIGNMENTS` compare
every region of an image with every word of a caption, and take `Items`. Training, validation, evaluation and
re-ranking share this code.

Letters: N images, C captions, R regions, T words, E embedding, Q queries, G gallery.
"""

from sterna.scoring._alignment import mravgw, mrsw, mwsr, symm
from sterna.scoring._blocks import align, align_blocks, blocks
from sterna.scoring._cross_attention import scan_i2t, scan_t2i
from sterna.scoring._items import Items, pad
from sterna.scoring._scores import ALIGNMENTS, SCORES, VECTOR_SCORES, Alignment
from sterna.scoring._vectors import Score, Vectors, dot, order

__all__ = [
    "ALIGNMENTS",
    "SCORES",
    "VECTOR_SCORES",
    "Alignment",
    "Items",
    "Score",
    "Vectors",
    "align",
    "align_blocks",
    "blocks",
    "dot",
    "mravgw",
    "mrsw",
    "mwsr",
    "order",
    "pad",
    "scan_i2t",
    "scan_t2i",
    "symm",
]
