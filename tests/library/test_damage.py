"""Vectors and catalogues that somebody damaged: one sentence with its cure, and never a quiet wrong answer."""

from __future__ import annotations

import os
import shutil
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sterna.errors import LibraryError
from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.library.test_indexing import counts, names

ROW = 2 * ColourEncoder.dim  # bytes


@pytest.fixture(autouse=True)
def _no_warnings() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def segment(library: Library) -> Path:
    (path,) = (library.path / "vectors").rglob("*.f16")
    return path


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(path.stat().st_size))


def no_numbers(path: Path) -> None:
    path.write_bytes(b"\xff\x7f" * (path.stat().st_size // 2))


def folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


DAMAGE: dict[str, tuple[Callable[[Path], object], str, int]] = {  # what, the words, vectors left
    "missing": (lambda path: path.unlink(), "the file is missing", 0),
    "no vectors": (lambda path: shutil.rmtree(path.parents[1]), "the file is missing", 0),
    "empty": (lambda path: path.write_bytes(b""), r"the file is cut short \(0 of 3 vectors are left\)", 0),
    "short": (lambda path: os.truncate(path, ROW + 9), r"cut short \(1 of 3 vectors is left\)", 0),
    "folder": (folder, r"cannot be read \(a folder, not a file\)", 0),
    "noise": (noise, "damaged", 3),
    "zeros": (lambda path: path.write_bytes(bytes(3 * ROW)), "damaged", 3),
    "no numbers": (no_numbers, "damaged", 3),
}


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_vectors_are_named_with_their_cure_and_made_anew(
    library: Library, colours: Path, kind: str, warm: bool
) -> None:
    library.index(colours)
    path = segment(library)
    damage, words, left = DAMAGE[kind]
    if warm:
        assert names(library)
    else:
        library.close()
    damage(path)
    cure = f"{path}: .*{words}.*; run `sterna index` to make its vectors anew$"
    with pytest.raises(LibraryError, match=cure):
        library.search("red")
    with pytest.raises(LibraryError, match=cure):
        library.search(image=colours / "red.png", k=1)
    with pytest.raises(LibraryError, match=cure):
        library.captions(colours / "red.png", captions=["all red"])
    status = library.status()
    (problem,) = status.problems
    assert problem.path == path
    assert "run `sterna index` to make its vectors anew" in problem.reason
    assert (status.indexed, status.stale) == (left, 3 - left)
    assert (status.models[0].photos, status.models[0].stale) == (left, 3 - left)
    assert status.roots[0].photos == left
    assert list(status.as_json()) == ["schema", "roots", "indexed", "stale", "failed", "models", "bytes"]
    (sentence,) = library.check()
    assert sentence.startswith(f"{path}: ")
    assert sentence.endswith("; run `sterna index` to make its vectors anew")
    assert counts(library.index()) == {"new": 3}
    assert (library.check(), library.status().problems) == ([], ())
    assert library.search("red")[0].path.name == "red.png"
    assert counts(library.index()) == {}


def batches(library: Library, colours: Path) -> Path:
    """A segment of one row for each of four runs."""
    for name in ("red", "lime", "blue", "white"):
        save(colours / f"{name}.png", name)
        library.index(colours, exclude=["trips"])
    return segment(library)


def test_only_what_is_damaged_is_embedded_again(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    path = batches(library, colours)
    data = bytearray(path.read_bytes())
    data[ROW : 2 * ROW] = bytes(ROW)
    path.write_bytes(data)
    encoder.embedded.clear()
    (sentence,) = library.check()
    assert f"{path}: the file is damaged (1 of 4 vectors is not what was written)" in sentence
    assert counts(library.index()) == {"new": 1}
    assert encoder.embedded == ["lime.png"]
    assert names(library) == ["blue.png", "lime.png", "red.png", "white.png"]
    assert not path.exists()
    assert library.search("lime", k=1)[0].path.name == "lime.png"
    assert library.check() == []


def test_vectors_that_changed_places_are_found_by_their_sums(library: Library, colours: Path) -> None:
    path = batches(library, colours)
    data = path.read_bytes()
    path.write_bytes(data[ROW : 2 * ROW] + data[:ROW] + data[2 * ROW :])
    assert "2 of 4 vectors are not what was written" in library.check()[0]
    assert counts(library.index()) == {"new": 2}
    assert library.search("red", k=1)[0].path.name == "red.png"


def test_what_is_left_of_a_cut_file_stays_found(
    library: Library, colours: Path, encoder: ColourEncoder
) -> None:
    path = batches(library, colours)
    os.truncate(path, 3 * ROW - 1)
    assert (library.status().indexed, library.status().stale) == (2, 2)
    encoder.embedded.clear()
    assert counts(library.index()) == {"new": 2}
    assert sorted(encoder.embedded) == ["blue.png", "white.png"]
    assert names(library) == ["blue.png", "lime.png", "red.png", "white.png"]


def test_damage_in_several_segments_is_mended_together(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._segments.ROWS", 2)
    for name in ("red", "lime", "blue", "white", "gold"):
        save(colours / f"{name}.png", name)
        library.index(colours, exclude=["trips"])
    one, two, three = sorted((library.path / "vectors").rglob("*.f16"))
    one.write_bytes(bytes(ROW) + one.read_bytes()[ROW:])
    two.write_bytes(two.read_bytes()[:ROW])
    three.unlink()
    assert [sentence.split(": ")[0] for sentence in library.check()] == [str(one), str(two), str(three)]
    assert counts(library.index()) == {"new": 3}
    assert library.check() == []
    for name in ("red", "lime", "blue", "white", "gold"):
        assert library.search(name, k=1)[0].path.name == f"{name}.png"


def test_a_damaged_row_that_a_glance_misses_is_no_hit(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = batches(library, colours)
    monkeypatch.setattr("sterna.library._sound._GLANCE", 2)  # the first and the last row
    data = bytearray(path.read_bytes())
    data[ROW : 2 * ROW] = b"\x00\x40" * (ROW // 2)  # twos
    path.write_bytes(data)
    with pytest.raises(LibraryError, match="not of unit length"):
        library.search("white", k=4)
    with pytest.raises(LibraryError, match="not of unit length"):
        library.search(image=colours / "lime.png", k=1)


def test_vectors_written_before_there_were_sums_are_checked_by_their_length(
    library: Library, colours: Path
) -> None:
    path = batches(library, colours)
    library._opened.catalog().run("DROP TABLE sums")
    assert library.check() == []
    assert counts(library.index()) == {}  # and noted
    assert library._opened.catalog().value("SELECT SUM(rows) FROM sums") == 4
    library._opened.catalog().run("DELETE FROM sums")
    data = path.read_bytes()
    path.write_bytes(data[:ROW] + bytes(ROW) + data[2 * ROW :])
    assert "1 of 4 vectors" in library.check()[0]
    assert counts(library.index()) == {"new": 1}
    assert library.check() == []
    assert library.search("lime", k=1)[0].path.name == "lime.png"


def test_rows_that_do_not_count_may_be_anything(library: Library, colours: Path) -> None:
    library.index(colours)
    with segment(library).open("ab") as file:
        file.write(b"\xff" * 1000)
    (library.path / "vectors" / "stray").mkdir()
    (library.path / "vectors" / "stray" / "000009.f16").write_bytes(b"left by a killed process")
    assert library.check() == []
    assert len(names(library)) == 3
    assert counts(library.index()) == {}


def test_damage_to_another_model_s_vectors_is_mended_by_its_own_command(
    library: Library, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ColourEncoder("other")
    monkeypatch.setattr("sterna.encoders.load", lambda spec: other)
    (tmp_path / "a model").mkdir()
    library.index(colours)
    library.index(model=tmp_path / "a model")
    (path,) = (library.path / "vectors" / other.fingerprint[:16]).iterdir()
    noise(path)
    assert len(names(library)) == 3
    (sentence,) = library.check()
    assert f"run `sterna index --model '{tmp_path / 'a model'}'` to make" in sentence
    with pytest.raises(LibraryError, match="a model"):
        library.search("red", model=other)
    assert counts(library.index()) == {}
    assert [(one.name, one.photos, one.stale) for one in library.status().models] == [
        ("colours", 3, 0), ("other", 0, 3),
    ]  # fmt: skip
    assert counts(library.index(model=other)) == {"new": 3}


def test_vectors_that_may_not_be_read_are_kept(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(colours)
    path = segment(library)
    plain = Path.open

    def refuse(self: Path, *rest: object, **more: object) -> object:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return plain(self, *rest, **more)  # type: ignore[arg-type,call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        for action in (library.index, lambda: library.search("red")):
            with pytest.raises(LibraryError, match="you have no permission to read it; make it readable"):
                action()
        assert "no permission" in library.check()[0]
    assert library.check() == []
    assert len(names(library)) == 3


def test_a_vector_that_is_not_of_unit_length_is_a_failure_with_a_reason(
    tmp_path: Path, colours: Path
) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder("long", sign=2.0))
    assert library.index(colours).failed == 3
    assert "no vector of unit length" in library.status().failed[0].reason
    assert counts(library.index()) == {"failed": 3}


@pytest.mark.parametrize("kind", ["deleted", "emptied", "an empty folder"])
def test_vectors_without_their_catalogue_are_a_damaged_library_that_begins_afresh(
    library: Library, colours: Path, kind: str
) -> None:
    library.index(colours)
    library.close()
    old = segment(library).read_bytes()
    for file in library.path.glob("catalog.sqlite*"):
        file.unlink()
    catalog = library.path / "catalog.sqlite"
    if kind == "emptied":
        catalog.touch()
    elif kind == "an empty folder":
        catalog.mkdir()
    cure = rf"{library.path}: the catalogue \(catalog.sqlite\) is lost, .*; run `sterna index DIR` with your"
    asking = (
        library.status, library.index, library.encoder, lambda: library.search("red"),
        lambda: library.captions(colours / "red.png"),
    )  # fmt: skip
    for action in asking:
        with pytest.raises(LibraryError, match=cure):
            action()
    (sentence,) = library.check()
    assert "is lost" in sentence
    (colours / "red.png").unlink()
    assert counts(library.index(colours)) == {"new": 2}
    assert names(library) == ["blue.png", "green.png"]
    assert segment(library).stat().st_size == len(old) * 2 // 3
    assert library.check() == []


def test_a_folder_full_of_something_in_place_of_the_catalogue_is_not_removed(
    library: Library, colours: Path
) -> None:
    library.index(colours)
    library.close()
    for file in library.path.glob("catalog.sqlite*"):
        file.unlink()
    (library.path / "catalog.sqlite" / "mine").mkdir(parents=True)
    for action in (library.status, lambda: library.index(colours), lambda: library.search("red")):
        with pytest.raises(
            LibraryError, match="catalog.sqlite: not a file, and so no catalogue; move it away"
        ):
            action()


def test_a_library_in_use_sees_that_it_was_made_anew(library: Library, colours: Path) -> None:
    library.index(colours)
    assert len(names(library)) == 3
    for file in library.path.glob("catalog.sqlite*"):
        file.unlink()
    (colours / "red.png").unlink()
    assert counts(Library.open(library.path, model=ColourEncoder()).index(colours)) == {"new": 2}
    assert names(library) == ["blue.png", "green.png"]


def test_a_check_reads_the_whole_catalogue(library: Library, colours: Path) -> None:
    for number in range(60):
        save(colours / f"{number}.png", (number, 0, 0), size=(4, 4))
    library.index(colours)
    library.close()
    catalog = library.path / "catalog.sqlite"
    connection = sqlite3.connect(catalog)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'vector_of_photo'"
    ).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with catalog.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 64)
    (sentence, *_) = library.check()
    assert sentence.startswith(f"{catalog}: the catalogue is damaged (")
    assert sentence.endswith("; move it away and run `sterna index DIR` with your folders again")


def test_a_check_of_nothing_finds_nothing_wrong(library: Library, colours: Path) -> None:
    assert library.check() == []
    assert not library.path.exists()
