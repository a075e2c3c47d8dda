"""Sterna: image-text retrieval with Transformer Encoder Reasoning Networks."""

from sterna._version import __version__

__all__ = ["__version__"]
