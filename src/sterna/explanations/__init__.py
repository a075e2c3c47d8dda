"""Which parts of a photograph speak for a sentence, and for each of its words."""

from __future__ import annotations

from sterna.explanations._explain import explain
from sterna.explanations._masks import FILLS, Hiding, hide
from sterna.explanations._types import Explanation, Word

__all__ = ["FILLS", "Explanation", "Hiding", "Word", "explain", "hide"]
