"""Answers: operands, filters, order, and what is told of a hit."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sterna.library
from sterna.errors import PhotoError, UsageError
from sterna.library import Library, names_a_photo, read_date
from tests.library.fake import ColourEncoder, save


@pytest.fixture
def indexed(library: Library, colours: Path) -> Library:
    library.index(colours)
    return library


def found(library: Library, *query: object, **options: object) -> list[str]:
    return [hit.path.name for hit in library.search(*query, **options)]


def test_hits_are_ranked_and_described(indexed: Library, colours: Path) -> None:
    hits = indexed.search("lime", k=2)
    assert [hit.rank for hit in hits] == [1, 2]
    assert hits[0].score > hits[1].score
    best = hits[0]
    assert (best.path, best.root, best.width, best.height) == (
        colours / "trips" / "green.png",
        colours,
        32,
        24,
    )
    assert (best.taken_at, best.captions, best.also, best.online) == (None, (), (), True)


@pytest.mark.parametrize("kind", ["path", "text", "bytes"])
def test_an_indexed_photograph_comes_back_first_with_a_score_of_one(
    indexed: Library, colours: Path, kind: str
) -> None:
    save(colours / "nearly.png", (254, 0, 0))
    indexed.index()
    path = colours / "red.png"
    source = {"path": path, "text": str(path), "bytes": path.read_bytes()}[kind]
    hits = indexed.search(image=source)
    assert (hits[0].path, hits[0].score) == (path, 1.0)
    assert len(found(indexed, image=source)) == 4
    assert found(indexed, image=source, k=1) == ["red.png"]
    assert len(found(indexed, image=source, exclude_self=True)) == 3
    assert "red.png" not in found(indexed, image=source, exclude_self=True)


def test_a_photograph_from_elsewhere_finds_its_like(indexed: Library, tmp_path: Path) -> None:
    assert found(indexed, image=Image.new("RGB", (9, 9), (9, 9, 250)), k=1) == ["blue.png"]
    assert found(indexed, save(tmp_path / "q.png", (0, 240, 10)), k=1) == ["green.png"]


def test_operands_are_weighed(indexed: Library, colours: Path) -> None:
    assert found(indexed, "red", plus=[(3.0, "blue")], k=1) == ["blue.png"]
    assert found(indexed, "red", plus=[(3.0, str(colours / "trips" / "green.png"))], k=1) == ["green.png"]
    assert found(indexed, "yellow", minus=[(1.0, "red")], k=1) == ["green.png"]
    assert found(indexed, plus=[(1.0, "blue")], k=1) == ["blue.png"]
    assert found(indexed, "lime", image=colours / "red.png", plus=[(2.0, "lime")], k=1) == ["green.png"]


def test_a_file_s_name_is_an_image_and_other_text_is_text(colours: Path) -> None:
    assert names_a_photo(str(colours / "red.png"))
    assert names_a_photo(colours / "nowhere.png")
    assert not names_a_photo("sunset")
    assert not names_a_photo(str(colours))
    assert not names_a_photo("x" * 5000)
    assert not names_a_photo("a\0b")


def test_a_query_that_names_a_photograph_file_is_that_photograph(
    indexed: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(colours)
    green = indexed.search("trips/green.png")[0]
    assert (green.path.name, green.score) == ("green.png", 1.0)
    (colours / "blue").write_text("a file that happens to be named as a sentence", encoding="utf-8")
    (colours / "notes.txt").write_text("a file that is no photograph", encoding="utf-8")
    assert found(indexed, "blue", k=1) == ["blue.png"]
    assert found(indexed, "notes.txt", k=1)
    assert found(indexed, "nowhere.png", k=1)


def test_filters_by_score_folder_and_date(indexed: Library, colours: Path, monkeypatch) -> None:
    os.utime(colours / "red.png", (0, datetime(2019, 6, 1).timestamp()))
    os.utime(colours / "trips" / "green.png", (0, datetime(2020, 1, 1).timestamp()))
    os.utime(colours / "trips" / "sea" / "blue.png", (0, datetime(2021, 5, 31, 23).timestamp()))
    indexed.index()
    assert found(indexed, "red", min_score=0.9) == ["red.png"]
    assert found(indexed, "red", min_score=2) == []
    for folder in ("trips", "photos/trips", str(colours / "trips"), colours / "trips", "trips/"):
        assert sorted(found(indexed, "red", folder=folder)) == ["blue.png", "green.png"], folder
    assert found(indexed, "red", folder="trips/sea") == ["blue.png"]
    assert found(indexed, "red", folder="sea") == ["blue.png"]
    assert len(found(indexed, "red", folder="photos")) == 3
    assert len(found(indexed, "red", folder=colours.parent)) == 3
    assert found(indexed, "red", folder="trip") == []
    assert found(indexed, "red", folder="green.png") == []
    monkeypatch.chdir(colours / "trips")
    assert found(indexed, "red", folder="./sea") == ["blue.png"]
    assert sorted(found(indexed, "red", after="2020")) == ["blue.png", "green.png"]
    assert sorted(found(indexed, "red", before="2021-05-31")) == ["green.png", "red.png"]
    assert sorted(found(indexed, "red", before="2021-06", after=date(2021, 5, 31))) == ["blue.png"]
    assert found(indexed, "red", folder="trips", before="2020-06") == ["green.png"]


def test_the_date_inside_a_photograph_counts_before_its_file_s(library: Library, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2011:02:03 04:05:06"
    path = tmp_path / "photos" / "dated.jpg"
    path.parent.mkdir()
    Image.new("RGB", (20, 20), "red").save(path, exif=exif)
    library.index(path.parent)
    os.utime(path, (10**9, 10**9))
    library.index(path.parent)
    hit = library.search("red", before="2012")[0]
    assert hit.taken_at == datetime(2011, 2, 3, 4, 5, 6)
    assert hit.file_date == datetime.fromtimestamp(10**9)
    assert library.photo(hit.photo_id).file_date == hit.file_date
    assert library.search("red", after="2012") == []
    assert len(library.search("red", after="2011-02-03", before="2011-02-04")) == 1


def test_dates_are_read_as_the_first_moment_they_name() -> None:
    assert read_date("2019", name="after") == datetime(2019, 1, 1)
    assert read_date("2021-06", name="after") == datetime(2021, 6, 1)
    assert read_date("2021-06-03", name="after") == datetime(2021, 6, 3)
    assert read_date("2021-06-03T10:20", name="after") == datetime(2021, 6, 3, 10, 20)
    assert read_date(date(2021, 6, 3), name="after") == datetime(2021, 6, 3)
    with pytest.raises(UsageError, match=r"before='last year': not a date; write a year, month or day"):
        read_date("last year", name="before")


def test_the_path_shown_is_one_that_passes_and_is_there(library: Library, tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        save(tmp_path / "photos" / folder / "same.png", "red")
    library.index(tmp_path / "photos")
    assert library.search("red")[0].path.parent.name == "a"
    hit = library.search("red", folder="b")[0]
    assert (hit.path.parent.name, [other.parent.name for other in hit.also]) == ("b", ["a", "c"])
    (tmp_path / "photos" / "a" / "same.png").unlink()
    assert library.search("red")[0].path.parent.name == "b"


def test_a_duplicate_in_a_folder_that_may_not_be_entered_is_no_obstacle(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        save(tmp_path / "photos" / folder / "same.png", "red")
    library.index(tmp_path / "photos")
    plain = os.stat

    def stat(path, **options):
        if os.fsencode(path).startswith(os.fsencode(tmp_path / "photos" / "a")):
            raise PermissionError(13, "Permission denied")
        return plain(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    (hit,) = library.search("red")
    assert (hit.path.parent.name, [other.parent.name for other in hit.also]) == ("b", ["a"])


def test_a_photograph_that_cannot_be_looked_at_is_a_photo_error(
    indexed: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PhotoError, match="its name is too long"):
        indexed.search(image="x" * 5000)
    with pytest.raises(PhotoError, match="no such file"):
        indexed.search(image="a\0b.png")
    huge = colours / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(20_000_000_000)
    monkeypatch.setattr("sterna.library._searching.hash_file", lambda _: pytest.fail("it was read"))
    with pytest.raises(PhotoError, match=r"huge.jpg: the file has 20.0 GB: more than the limit"):
        indexed.search(image=huge)

    plain = os.stat

    def stat(path, **options):
        if str(path).endswith("red.png"):
            raise PermissionError(13, "Permission denied")
        return plain(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(PhotoError, match="you have no permission to read it"):
        indexed.search(image=colours / "red.png")


def test_meaningless_queries_are_refused_in_a_sentence(indexed: Library, colours: Path) -> None:
    with pytest.raises(UsageError, match="nothing to search for"):
        indexed.search()
    with pytest.raises(UsageError, match="sentence to search for is empty"):
        indexed.search("  ")
    with pytest.raises(UsageError, match="k=0: at least 1"):
        indexed.search("red", k=0)
    with pytest.raises(UsageError, match="cancel each other out"):
        indexed.search("red", minus=[(1.0, "red")])
    with pytest.raises(UsageError, match="weight=nan"):
        indexed.search("red", plus=[(float("nan"), "blue")])
    with pytest.raises(UsageError, match="folder is empty"):
        indexed.search("red", folder=" ")
    with pytest.raises(PhotoError, match="no such file"):
        indexed.search(image=colours / "nowhere.png")


def test_arguments_of_another_kind_are_refused_in_a_sentence(indexed: Library, colours: Path) -> None:
    refused: list[tuple[dict[str, object], str]] = [
        ({"k": "a"}, "k='a': a whole number is needed"),
        ({"k": 2.5}, r"k=2.5: a whole number"),
        ({"k": True}, "k=True: a whole number"),
        ({"min_score": "abc"}, "min_score='abc': a finite number is needed"),
        ({"min_score": float("nan")}, "min_score=nan: a finite number"),
        ({"min_score": float("inf")}, "min_score=inf: a finite number"),
        ({"plus": "sunset"}, r"plus: a list of \(weight, what\) is needed, .*; 'sunset' came"),
        ({"plus": ["sunset"]}, "plus: a list of .*; 'sunset' is in it"),
        ({"minus": 5}, "minus: a list of .*; 5 came"),
        ({"minus": [(1.0, "a", "b")]}, "minus: a list of .* is in it"),
        ({"plus": [("a", "y")]}, "plus: weight='a': a finite number is needed"),
        ({"model": 5}, "model=5: neither the name of a model nor an encoder"),
        ({"model": ""}, "the model's name is empty"),
    ]
    for options, sentence in refused:
        with pytest.raises(UsageError, match=sentence):
            indexed.search("red", **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        indexed.search(5)  # type: ignore[arg-type]
    for captions in ("a dog", b"a dog", 5):
        with pytest.raises(UsageError, match="a list of sentences is needed, such as"):
            indexed.captions(colours / "red.png", captions=captions)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="captions: 5 is no text"):
        indexed.captions(colours / "red.png", captions=["a dog", 5])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="k='a'"):
        indexed.captions(colours / "red.png", captions=["a dog"], k="a")  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers(indexed: Library) -> None:
    (hit,) = indexed.search("red", k=np.int64(1), min_score=np.float32(0.5), plus=((np.float32(1), "red"),))  # type: ignore[arg-type]
    assert hit.path.name == "red.png"


def test_more_hits_than_photographs_are_all_of_them(indexed: Library) -> None:
    assert len(indexed.search("red", k=10**9)) == 3


def test_a_warm_library_sees_what_others_index(indexed: Library, colours: Path, tmp_path: Path) -> None:
    assert found(indexed, "white", k=1) != ["white.png"]
    other = Library.open(tmp_path / "library", model=ColourEncoder())
    save(colours / "white.png", "white")
    other.index()
    assert found(indexed, "white", k=1) == ["white.png"]
    (colours / "white.png").unlink()
    other.index()
    assert "white.png" not in found(indexed, "white", k=10)
    (colours / "red.png").unlink()
    save(colours / "x.png", "black")
    other.index()
    assert sorted(found(indexed, "white", k=10)) == ["blue.png", "green.png", "x.png"]


def test_given_sentences_are_ranked_without_a_library(library: Library, colours: Path) -> None:
    hits = library.captions(colours / "red.png", captions=["all blue", "all red", "all lime"], k=2)
    assert [hit.rank for hit in hits] == [1, 2]
    assert (hits[0].caption, hits[0].path) == ("all red", None)
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert not library.path.exists()


def test_known_sentences_are_encoded_once(library: Library, colours: Path, encoder: ColourEncoder) -> None:
    lines = "\n".join(f"number {number} red" for number in range(40))
    (colours / "red.txt").write_text(lines, encoding="utf-8")
    library.index(colours)
    first = library.captions(colours / "red.png", k=50)
    speechless = ColourEncoder()
    speechless.encode_texts = None  # type: ignore[assignment,method-assign]
    again = Library.open(library.path, model=speechless)
    assert again.captions(colours / "red.png", k=50) == first
    assert len(first) == 40
    assert np.isfinite([hit.score for hit in first]).all()


def test_a_library_without_sentences_has_none_to_rank(indexed: Library, colours: Path) -> None:
    assert indexed.captions(colours / "red.png") == []


def test_the_door_names_what_is_public() -> None:
    assert all(hasattr(sterna.library, name) for name in sterna.library.__all__)
