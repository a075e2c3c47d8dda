"""Finding the files that a source names, whatever folder they lie in and however their names are composed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["IMAGE_FOLDERS", "Photographs", "image_folders", "stable_name"]

IMAGE_FOLDERS = (
    "images",
    "Images",
    "imgs",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "Flicker8k_Dataset/Flicker8k_Dataset",
    "flickr30k-images",
    "flickr30k_images",
    "flickr30k_images/flickr30k_images",
    "photos",
)


def stable_name(name: str) -> str:
    """`name` as an id: composed Unicode (NFC) and forward slashes, so that it is the same on every system."""
    return unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")


def image_folders(bases: Iterable[Path], *, first: Sequence[str] = ()) -> list[Path]:
    """The folders in which photographs usually lie: `first`, then the known names, then `bases` themselves."""
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
        self.folders = list(folders)
        self.inside = inside
        self._listings: dict[str, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """The absolute path of the file called `name` (relative to one of the folders), or `None`."""
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
            for folder in self.folders:
                path = os.path.normpath(folder / spelling)  # `a/../b` is looked at as written, links or not
                if self._is_inside(path) and (found := self._listed(path)):
                    return Path(found)
        return None

    def escapes(self, name: str) -> bool:
        """Whether `name` points outside the data's folder from wherever it could be looked up."""
        return not any(self._is_inside(os.path.normpath(folder / name)) for folder in self.folders)

    def _is_inside(self, path: str) -> bool:
        return path.startswith(os.path.join(self.inside, ""))

    def _listed(self, path: str) -> str | None:
        folder, name = os.path.split(path)
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._listings[folder] = _list(folder)
        found = name if listing.get(name) == name else listing.get(unicodedata.normalize("NFC", name))
        return None if found is None else os.path.join(folder, found)


def _list(folder: str) -> dict[str, str]:
    """Names in `folder` by themselves and by their composed form; an exact name goes before a composed one."""
    try:
        names = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return {}
    listing = {unicodedata.normalize("NFC", name): name for name in names}
    listing.update((name, name) for name in names)
    return listing
