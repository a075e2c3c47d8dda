"""Pictures of answers: photographs with their scores as one self-contained page, or as one PNG."""

from __future__ import annotations

from sterna.figures._page import results_html, write_html
from sterna.figures._png import results_png, write_png
from sterna.figures._section import Answer, Section

__all__ = ["Answer", "Section", "results_html", "results_png", "write_html", "write_png"]
