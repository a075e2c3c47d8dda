"""Pictures: answers as one self-contained page or one PNG, and a photograph with its regions or with maps."""

from __future__ import annotations

from sterna.figures._heat import Heat
from sterna.figures._heat_page import heat_html, write_heat_html
from sterna.figures._heat_png import heat_png, write_heat_png
from sterna.figures._page import results_html, write_html
from sterna.figures._png import results_png, write_png
from sterna.figures._regions import Region, regions_png, write_regions
from sterna.figures._section import Answer, Section, Table

__all__ = [
    "Answer",
    "Heat",
    "Region",
    "Section",
    "Table",
    "heat_html",
    "heat_png",
    "regions_png",
    "results_html",
    "results_png",
    "write_heat_html",
    "write_heat_png",
    "write_html",
    "write_png",
    "write_regions",
]
