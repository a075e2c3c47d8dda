"""Answers by id and by vector, pages, filters of shape, size and words, and opening an original safely."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.errors import PhotoError, UnknownPhotoError, UsageError
from sterna.library import Library
from tests.library.fake import ColourEncoder, save


@pytest.fixture
def indexed(library: Library, colours: Path) -> Library:
    library.index(colours)
    return library


def found(library: Library, *query: object, **options: object) -> list[str]:
    return [hit.path.name for hit in library.search(*query, **options)]


def ids(library: Library) -> dict[str, int]:
    return {hit.path.name: hit.photo_id for hit in library.search("red", k=1000, min_score=None)}


def test_an_id_is_the_photograph_that_it_is_of(indexed: Library) -> None:
    green = ids(indexed)["green.png"]
    hits = indexed.search(green)
    assert (hits[0].photo_id, hits[0].score) == (green, 1.0)
    assert "green.png" not in found(indexed, green, exclude_self=True)
    assert found(indexed, plus=[(1.0, np.int64(green))], k=1) == ["green.png"]
    assert found(indexed, "red", minus=[(1.0, green)], k=1) == ["red.png"]
    for unknown in (999, -1, 1 << 70):
        with pytest.raises(UnknownPhotoError, match=f"photograph {unknown}: the library has none"):
            indexed.search(unknown)
    with pytest.raises(UsageError):
        indexed.search(True)


def test_a_vector_of_any_length_is_its_direction(indexed: Library, encoder: ColourEncoder) -> None:
    vector = encoder.encode_texts("lime")[0]
    for scale in (1.0, 1e-30, 1e30):
        hit = indexed.search(vector * np.float64(scale), k=1)[0]
        assert (hit.path.name, hit.score) == ("green.png", pytest.approx(1, abs=1e-3))
    assert found(indexed, image=vector.astype(np.float16), k=1) == ["green.png"]
    assert found(indexed, "red", plus=[(3.0, vector)], k=1) == ["green.png"]


@pytest.mark.parametrize(
    ("vector", "sentence"),
    [
        (np.zeros(49, np.float32), "not all of them 0"),
        (np.full(49, np.nan), "finite numbers"),
        (np.full(49, np.inf), "finite numbers"),
        (np.ones((1, 49)), r"a vector of numbers \[E\] is needed; an array \[1, 49\]"),
        (np.array(["a"] * 49), "a vector of numbers"),
        (np.ones(48), "a vector of colours has 49 numbers; one of 48 came"),
        (np.ones(0), "not all of them 0"),
    ],
)
def test_what_is_no_vector_is_refused(indexed: Library, vector: np.ndarray, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        indexed.search(vector)


def test_pages_have_every_hit_once_and_in_order(library: Library, tmp_path: Path) -> None:
    for number in range(11):  # the same colour many times: equal scores
        save(
            tmp_path / "photos" / f"{number}.png",
            (255, 0, 0) if number % 2 else (250, number, 0),
            size=(9, 9 + number),
        )
    library.index(tmp_path / "photos")
    whole = library.search("red", k=100)
    for size in (1, 3, 11):
        pages = [library.search("red", k=size, offset=start) for start in range(0, 12, size)]
        assert [hit for page in pages for hit in page] == whole
    assert library.search("red", offset=11) == []
    own = whole[4].photo_id
    assert [hit.photo_id for hit in library.search(own, k=2) + library.search(own, k=100, offset=2)] == [
        hit.photo_id for hit in library.search(own, k=100)
    ]
    with pytest.raises(UsageError, match="offset=-1: a whole number is needed"):
        library.search("red", offset=-1)


def test_pages_of_a_re_ranked_search_are_parts_of_it(
    photos: Path, aligned_model: Path, tmp_path: Path
) -> None:
    library = Library.open(tmp_path / "library", model=aligned_model)
    library.index(photos)
    whole = library.search("a red dog", k=12, rerank=6)
    pages = [library.search("a red dog", k=5, offset=start, rerank=6) for start in (0, 5, 10)]
    assert [hit for page in pages for hit in page] == whole


@pytest.fixture
def shapes(library: Library, tmp_path: Path) -> Library:
    root = tmp_path / "shapes"
    for name, size in {
        "wide": (60, 40),
        "high": (40, 60),
        "square": (40, 40),
        "nearly": (41, 40),
        "big": (200, 100),
    }.items():
        save(root / f"{name}.png", "red", size=size)
    library.index(root)
    return library


def test_shape_and_size_narrow(shapes: Library) -> None:
    assert sorted(found(shapes, "red", orientation="landscape")) == ["big.png", "wide.png"]
    assert found(shapes, "red", orientation="portrait") == ["high.png"]
    assert sorted(found(shapes, "red", orientation="square")) == ["nearly.png", "square.png"]
    assert sorted(found(shapes, "red", min_size=60)) == ["big.png", "high.png", "wide.png"]
    assert sorted(found(shapes, "red", min_size=41, max_size=60)) == ["high.png", "nearly.png", "wide.png"]
    assert found(shapes, "red", min_size=1 << 80) == []


def test_names_narrow_in_any_script(library: Library, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for name in ("IMG_0001.png", "img_0002.png", "Käse Ω.png", "a[1].png", "100%.png"):
        save(root / "img" / name, tuple(os.urandom(3)))
    (root / os.fsdecode(b"odd-\xff.png")).write_bytes((root / "img" / "a[1].png").read_bytes() + b"\0")
    library.index(root)
    assert sorted(found(library, "red", name="img_")) == ["IMG_0001.png", "img_0002.png"]
    assert found(library, "red", name="IMG_*1.png") == ["IMG_0001.png"]
    assert sorted(found(library, "red", name="img_000?.png")) == ["IMG_0001.png", "img_0002.png"]
    assert found(library, "red", name="KÄSE ω") == ["Käse Ω.png"]
    assert found(library, "red", name="a[[]1].png") == ["a[1].png"]
    assert found(library, "red", name="0%") == ["100%.png"]
    assert found(library, "red", name=os.fsdecode(b"\xff")) == [os.fsdecode(b"odd-\xff.png")]
    assert found(library, "red", name="img/") == []
    assert found(library, "red", name="*" * 40 + "x") == []


def test_captions_inside_and_beside_narrow(library: Library, colours: Path) -> None:
    (colours / "red.txt").write_text("A Tern above the sea\n", encoding="utf-8")
    (colours / "trips" / "green.png.txt").write_text('ein "Käse"\nanother\n', encoding="utf-8")
    library.index(colours)
    assert found(library, "red", caption="tern ABOVE") == ["red.png"]
    assert found(library, "red", caption="kÄSE") == ["green.png"]
    assert found(library, "red", caption='"k') == ["green.png"]
    assert found(library, "red", caption="%") == []
    assert found(library, "red", caption="tern", name="green") == []


def test_a_caption_inside_narrows(photos: Path, library: Library) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010E] = "A white bird"
    Image.open(photos / "photo-00.jpg").save(photos / "said.jpg", exif=exif)
    library.index(photos)
    assert found(library, "red", caption="WHITE") == ["said.jpg"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"orientation": "wide"}, "orientation='wide' is not known; known: landscape, portrait, square"),
        ({"min_size": 0}, "min_size=0: a whole number of pixels is needed"),
        ({"max_size": 2.5}, "max_size=2.5: a whole number of pixels"),
        ({"name": " "}, "name=' ': a text is needed"),
        ({"caption": 5}, "caption=5: a text is needed"),
        ({"folder": "/a\0b"}, "no folder can have this name"),
        ({"folder": "~nobody-of-this-name/x"}, "no folder can have this name"),
    ],
)
def test_filters_that_mean_nothing_are_refused(indexed: Library, options: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        indexed.search("red", **options)


@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
@settings(max_examples=25, deadline=None)
def test_no_text_breaks_a_filter(name: str, caption: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "photos" / "red.png", "red")
        with Library.open(Path(folder) / "library", model=ColourEncoder()) as library:
            library.index(Path(folder) / "photos")
            for options in ({"name": name}, {"caption": caption}, {"folder": name}):
                try:
                    hits = library.search("red", **options)
                except UsageError:
                    continue
                assert len(hits) <= 1


def test_a_photograph_is_told_of_by_its_id(indexed: Library, colours: Path) -> None:
    hit = indexed.search("lime", k=1)[0]
    record = indexed.photo(hit.photo_id)
    assert (record.path, record.root, record.root_id) == (hit.path, colours, hit.root_id)
    assert (record.width, record.height, record.online) == (32, 24, True)
    assert indexed.status().roots[0].root_id == hit.root_id
    assert indexed.photo_id(hit.path.read_bytes()) == indexed.photo_id(hit.path) == hit.photo_id
    assert indexed.photo_id(b"something else") is None
    assert indexed.photo_id(hit.path, model=ColourEncoder("others")) is None
    with pytest.raises(UnknownPhotoError):
        indexed.photo(999)


def test_captions_are_ranked_for_an_id(indexed: Library) -> None:
    hits = indexed.captions(ids(indexed)["red.png"], captions=["all blue", "all red"], k=1)
    assert hits[0].caption == "all red"


def test_an_original_is_opened_with_what_it_is(indexed: Library, colours: Path) -> None:
    with indexed.open_photo(ids(indexed)["green.png"]) as original:
        assert (original.path, original.media_type) == (colours / "trips" / "green.png", "image/png")
        assert original.file.read() == original.path.read_bytes()
        assert original.size == original.path.stat().st_size
    assert original.file.closed
    with pytest.raises(UnknownPhotoError):
        indexed.open_photo(999)


def test_what_came_in_the_place_of_a_photograph_is_not_opened(
    indexed: Library, colours: Path, tmp_path: Path
) -> None:
    red = ids(indexed)["red.png"]
    secret = save(tmp_path / "secret" / "red.png", "red")
    path = colours / "red.png"

    path.unlink()
    with pytest.raises(PhotoError, match=r"red.png: no such file"):
        indexed.open_photo(red)
    path.symlink_to(secret)
    with pytest.raises(PhotoError, match="red.png"):
        indexed.open_photo(red)
    path.unlink()
    path.write_text("root:x:0:0", encoding="utf-8")
    with pytest.raises(PhotoError, match="not a photograph that can be read"):
        indexed.open_photo(red)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(PhotoError, match="not a regular file"):
        indexed.open_photo(red)


def test_a_folder_that_became_a_link_leads_nowhere(indexed: Library, colours: Path, tmp_path: Path) -> None:
    green, red = ids(indexed)["green.png"], ids(indexed)["red.png"]
    (tmp_path / "elsewhere").mkdir()
    save(tmp_path / "elsewhere" / "green.png", "lime")
    (colours / "trips").rename(tmp_path / "moved")
    (colours / "trips").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PhotoError):
        indexed.open_photo(green)
    colours.rename(tmp_path / "away")
    colours.symlink_to(tmp_path / "away")
    with pytest.raises(PhotoError):
        indexed.open_photo(red)


def test_a_link_within_the_root_is_opened(library: Library, colours: Path) -> None:
    (colours / "copy.png").symlink_to(colours / "red.png")
    library.index(colours)
    (colours / "red.png").rename(colours / "hidden.dat")
    (colours / "copy.png").unlink()
    (colours / "copy.png").symlink_to("hidden.dat")
    with library.open_photo(library.search("red", k=1)[0].photo_id) as original:
        assert original.path.name == "copy.png"
