"""Finding the files that a source names, whatever folder they lie in and however their names are composed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["Photographs", "image_folders", "stable_name"]

IMAGE_FOLDERS = (
    "images",
    "Images",
    "imgs",
    "photos",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "Flicker8k_Dataset/Flicker8k_Dataset",
    "flickr30k-images",
    "flickr30k_images",
    "flickr30k_images/flickr30k_images",
)


def stable_name(name: str) -> str:
    """`name` as an id: in composed Unicode (NFC), so that it is the same on every system."""
    return unicodedata.normalize("NFC", name).removeprefix("./")


def image_folders(bases: Iterable[Path], *, first: Sequence[str] = ()) -> list[Path]:
    """Where photographs usually lie: `first`, then the folders of known names, then `bases` themselves."""
    bases = list(bases)
    inner = [base / name for name in (*first, *IMAGE_FOLDERS) for base in bases]
    return [folder for folder in inner if folder.is_dir()] + bases


class Photographs:
    """Looks names up in folders, each of which is listed only once.

    Arguments:
        folders: where to look, best first.
        inside: nothing outside this folder is ever found.
    """

    def __init__(self, folders: Sequence[Path], *, inside: Path) -> None:
        self._folders = list(folders)
        self._inside = inside
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """The absolute path of the file called `name` (relative to one of the folders), or `None`."""
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
            for path in self._places(spelling):
                if found := self._listed(path):
                    return found
        return None

    def escapes(self, name: str) -> bool:
        """Whether `name` points outside the data's folder from wherever it could be looked up."""
        return not self._places(name)

    def _places(self, name: str) -> list[Path]:
        # `a/../b` is taken as written, whatever links there are: a name is safe or not by itself
        paths = [Path(os.path.normpath(folder / name)) for folder in self._folders]
        return [path for path in paths if path.is_relative_to(self._inside) and path != self._inside]

    def _listed(self, path: Path) -> Path | None:
        listing = self._listings.get(path.parent)
        if listing is None:
            listing = self._listings[path.parent] = _list(path.parent)
        name = listing.get(path.name) or listing.get(unicodedata.normalize("NFC", path.name))
        return path.parent / name if name else None


def _list(folder: Path) -> dict[str, str]:
    """Names in `folder` by themselves and by their composed form; exact names go first."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (OSError, ValueError):  # not there, or a name that no file can have
        return {}
    listing = {unicodedata.normalize("NFC", name): name for name in names}
    listing.update((name, name) for name in names)
    return listing
