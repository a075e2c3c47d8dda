"""The one place for Sterna's version."""

__version__ = "0.1.0"
