"""Pictures: answers as one self-contained page or one PNG, and a photograph with its regions."""

from __future__ import annotations

from sterna.figures._page import results_html, write_html
from sterna.figures._png import results_png, write_png
from sterna.figures._regions import Region, regions_png, write_regions
from sterna.figures._section import Answer, Section

__all__ = [
    "Answer",
    "Region",
    "Section",
    "regions_png",
    "results_html",
    "results_png",
    "write_html",
    "write_png",
    "write_regions",
]
