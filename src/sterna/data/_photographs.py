"""Finding the files that a source names, whatever folder they lie in and however their names are composed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
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
        assumed: a file that is nowhere is taken to be in the first folder, for whoever wants the captions.
    """

    def __init__(self, folders: Sequence[Path], *, inside: Path, assumed: bool = False) -> None:
        self._folders = list(folders)
        self._assumed = assumed
        self._inside = os.fspath(inside / "_")[:-1]  # ends in a separator
        self._listings: dict[str, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """The absolute path of the file called `name` (relative to one of the folders), or `None`."""
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
            for place in self._places(spelling):
                if found := self._listed(place):
                    return found
        assumed = next(self._places(name), None) if self._assumed else None
        return None if assumed is None else Path(assumed)

    def relative(self, name: str) -> str:
        """`name`, or where it is an absolute path, the part of it that finds the same file on any machine."""
        if Path(name).is_absolute() and (found := self.find(name)):
            for folder in self._folders:
                if found.is_relative_to(folder):
                    inside = found.relative_to(folder).as_posix()
                    if self.find(inside) == found:  # and not one of the same name in a better folder
                        return inside
        return name

    def escapes(self, name: str) -> bool:
        """Whether `name` points outside the data's folder from wherever it could be looked up."""
        return next(self._places(name), None) is None

    def _places(self, name: str) -> Iterator[str]:
        for folder in self._folders:
            # `a/../b` is taken as written, whatever links there are: a name is safe or not by itself
            place = os.path.normpath(folder / name)
            if place.startswith(self._inside):
                yield place

    def _listed(self, place: str) -> Path | None:
        folder, name = os.path.split(place)
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._listings[folder] = _list(Path(folder))
        found = listing.get(name) or listing.get(unicodedata.normalize("NFC", name))
        return Path(folder, found) if found else None


def _list(folder: Path) -> dict[str, str]:
    """Names in `folder` by themselves and by their composed form; exact names go first."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (OSError, ValueError):  # not there, or a name that no file can have
        return {}
    listing = {unicodedata.normalize("NFC", name): name for name in names}
    listing.update((name, name) for name in names)
    return listing
