"""What is to be read, and where its parts are to be looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sterna.data._photographs import Photographs, image_folders
from sterna.errors import DataError

__all__ = ["Source", "matching_files"]

TEXT_FOLDERS = ("annotations", "Flickr8k_text", "text", "captions")


@dataclass(frozen=True)
class Source:
    """The arguments of `read`, checked.

    Fields:
        path: the absolute file or folder that was named.
        images: the absolute folder of the photographs, where it was named.
        restval: whether Karpathy's `restval` images count as training images.
        columns: names of a table's columns by what they hold.
        assumed: whether photographs that are not there count as if they were.
    """

    path: Path
    images: Path | None = None
    restval: bool = True
    columns: Mapping[str, str] | None = None
    assumed: bool = False

    @property
    def folder(self) -> Path:
        """The folder in which everything lies."""
        if self.path.is_dir():
            return self.path
        parent = self.path.parent
        return parent.parent if parent.name in TEXT_FOLDERS else parent

    def photographs(self, *, first: tuple[str, ...] = ()) -> Photographs:
        """Where to look for photographs; `first` names folders that are better than the usual ones."""
        if self.images is not None:
            better = [self.images / name for name in first if (self.images / name).is_dir()]
            return Photographs([*better, self.images], inside=self.images, assumed=self.assumed)
        beside = self.path if self.path.is_dir() else self.path.parent
        bases = dict.fromkeys((self.folder, beside))
        return Photographs(image_folders(bases, first=first), inside=self.folder, assumed=self.assumed)


def matching_files(path: Path, matches: Callable[[Path], bool]) -> list[Path]:
    """The file `path` if it matches; of a folder the matching files, or those in its folder of texts."""
    if path.is_file():
        return [path] if matches(path) else []
    for place in (path, *(path / name for name in TEXT_FOLDERS)):
        if place.is_dir():
            files = [file for file in _listed(place) if file.is_file() and not file.name.startswith(".")]
            if found := [file for file in files if matches(file)]:
                return found
    return []


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror or error})") from None
