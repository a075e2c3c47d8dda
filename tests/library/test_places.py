"""Where a library may lie, and what names a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sterna.errors import LibraryError, UsageError
from sterna.library import Library
from tests.library.fake import ColourEncoder


def test_an_empty_path_is_not_the_working_folder(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(colours)
    for action in (lambda: Library.open(""), lambda: library.index(""), lambda: library.index(colours, "")):
        with pytest.raises(UsageError, match=r"^an empty path; name a folder \(\. for this one\)$"):
            action()
    assert library.index(".").new == 3


def test_what_is_no_path_is_refused_in_a_sentence(library: Library, colours: Path) -> None:
    for action in (
        lambda: Library.open(5),  # type: ignore[arg-type]
        lambda: library.index(5),  # type: ignore[arg-type]
        lambda: library.index([colours]),  # type: ignore[arg-type]
        lambda: library.index(bytes(colours)),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match="not a path; name a folder, each as an argument of its own"):
            action()
    with pytest.raises(UsageError, match=r"exclude='\*.gif': a list of patterns is needed"):
        library.index(colours, exclude="*.gif")
    with pytest.raises(UsageError, match="exclude: 5 is no text"):
        library.index(colours, exclude=[5])  # type: ignore[list-item]
    assert not library.path.exists()


def test_a_library_cannot_lie_below_a_file(tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.touch()
    for path in (file, file / "sub", file / "sub" / "sub"):
        with pytest.raises(LibraryError, match=f"^{file}: a file, not the folder of a library$"):
            Library.open(path)


def test_a_path_that_the_system_refuses_is_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="its name is too long"):
        Library.open(tmp_path / ("x" * 5000))
    with pytest.raises(LibraryError, match="no folder for a library"):
        Library.open(tmp_path / "a\0b")


def test_a_library_without_permission_to_read_it_is_a_library_error(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(colours)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: not mode & os.R_OK)
        with pytest.raises(LibraryError, match="you have no permission to read this library"):
            Library.open(library.path)
    plain = Path.stat

    def stat(self: Path, **options: bool) -> os.stat_result:
        if library.path in self.parents:
            raise PermissionError(13, "Permission denied")
        return plain(self, **options)

    monkeypatch.setattr(Path, "stat", stat)
    closed = Library.open(library.path, model=ColourEncoder())
    for action in (closed.status, closed.index, lambda: closed.search("red")):
        with pytest.raises(LibraryError, match="you have no permission to read it"):
            action()
