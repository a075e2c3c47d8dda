"""The one place for Sterna's version."""

from __future__ import annotations

TYPE_CHECKING = False  # as in `sterna` itself
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["__version__", "versions"]

__version__ = "0.1.0"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Sterna's version, and those of `packages` that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"sterna": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
