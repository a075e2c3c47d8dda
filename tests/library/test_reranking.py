"""Searches re-ranked by regions and words; the model is stood in for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sterna.errors import ModelError, UsageError
from sterna.images import PhotoSource, open_photo
from sterna.library import Library
from tests.library.fake import ColourEncoder, save


class Corners(ColourEncoder):
    """Regions are the corners of a photograph; a word is a corner's colour."""

    score = alignment = "MrSw"

    def __init__(self) -> None:
        super().__init__("corners")
        self.read: list[str] = []

    def regions(self, photo: PhotoSource) -> np.ndarray:
        self.read.append(Path(str(photo)).name)
        image = np.asarray(open_photo(photo).image.convert("RGB"), np.float32)
        return unit(image[[0, 0, -1, -1], [0, -1, 0, -1]])

    def words(self, sentence: str) -> np.ndarray:
        colours = {"red": (255, 0, 0), "crimson": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}
        return unit(np.array([colours[word] for word in sentence.split()], np.float32))


def unit(colours: np.ndarray) -> np.ndarray:
    return colours / np.linalg.norm(colours, axis=1, keepdims=True).clip(1)


@pytest.fixture
def encoder() -> Corners:
    return Corners()


@pytest.fixture
def indexed(library: Library, colours: Path) -> Library:
    """Three photographs of one colour, and one that is red with a blue corner."""
    both = Image.new("RGB", (32, 24), "red")
    both.paste("blue", (0, 0, 4, 4))
    both.save(colours / "both.png")
    library.index(colours)
    return library


def names(library: Library, query: str, **options: object) -> list[str]:
    return [hit.path.name for hit in library.search(query, **options)]  # type: ignore[arg-type]


def test_the_first_hits_are_ordered_by_regions_and_words(indexed: Library, encoder: Corners) -> None:
    assert names(indexed, "blue crimson") == ["red.png", "both.png", "blue.png", "green.png"]
    hits = indexed.search("blue crimson", rerank=4)
    assert [hit.path.name for hit in hits] == ["both.png", "red.png", "blue.png", "green.png"]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]
    assert [hit.alignment for hit in hits] == pytest.approx([2, 1, 1, 0], abs=1e-5)
    plain = {hit.path: hit.score for hit in indexed.search("blue crimson")}
    assert {hit.path: hit.score for hit in hits} == plain  # scores stay cosines
    assert all(hit.alignment is None for hit in indexed.search("blue crimson"))


def test_only_the_first_are_read_and_the_others_follow(indexed: Library, encoder: Corners) -> None:
    hits = indexed.search("blue crimson", rerank=2)
    assert sorted(encoder.read) == ["both.png", "red.png"]
    assert [hit.path.name for hit in hits] == ["both.png", "red.png", "blue.png", "green.png"]
    assert [hit.alignment is None for hit in hits] == [False, False, True, True]
    assert names(indexed, "blue crimson", rerank=1) == names(indexed, "blue crimson")


def test_hits_from_beyond_k_come_forward(indexed: Library) -> None:
    assert names(indexed, "blue crimson", k=1) == ["red.png"]
    (hit,) = indexed.search("blue crimson", k=1, rerank=3)
    assert (hit.rank, hit.path.name) == (1, "both.png")


def test_sentences_are_weighed(indexed: Library) -> None:
    assert names(indexed, "red", plus=[(3.0, "lime")], rerank=4)[0] == "green.png"
    hits = indexed.search("red", minus=[(0.5, "blue")], rerank=4)
    assert [hit.path.name for hit in hits[:2]] == ["red.png", "both.png"]
    assert [hit.alignment for hit in hits[:2]] == pytest.approx([1, 0.5], abs=1e-5)


def test_a_photograph_that_is_gone_stays_behind_those_that_are_there(indexed: Library, colours: Path) -> None:
    (colours / "red.png").unlink()
    hits = indexed.search("blue crimson", rerank=3)
    assert [hit.path.name for hit in hits] == ["both.png", "blue.png", "red.png", "green.png"]
    assert [hit.alignment is None for hit in hits] == [False, False, True, True]


def test_filters_come_before_re_ranking(indexed: Library, encoder: Corners) -> None:
    assert names(indexed, "blue crimson", folder="trips", rerank=1) == ["blue.png", "green.png"]
    assert encoder.read == ["blue.png"]
    assert names(indexed, "blue crimson", min_score=2, rerank=4) == []


def test_what_cannot_be_re_ranked_is_refused_in_a_sentence(indexed: Library, colours: Path) -> None:
    for options in ({"image": colours / "red.png"}, {"plus": [(1.0, colours / "red.png")]}):
        with pytest.raises(UsageError, match="rerank: the words of a sentence .* a photograph in the query"):
            indexed.search("red", rerank=2, **options)  # type: ignore[arg-type]
    for wrong in (-1, 1.5, True, "3"):
        with pytest.raises(UsageError, match="rerank=.*: a whole number is needed, 0 for none"):
            indexed.search("red", rerank=wrong)  # type: ignore[arg-type]


def test_a_model_that_cannot_align_says_so_before_anything_is_searched(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    save(tmp_path / "photos" / "red.png", "red")
    library.index(tmp_path / "photos")
    with pytest.raises(UsageError, match="colours: this model compares whole photographs and sentences"):
        library.search("red", rerank=2)


def test_a_model_of_order_violations_is_refused(tmp_path: Path) -> None:
    model = ColourEncoder()
    model.score = "order"  # type: ignore[attr-defined]
    save(tmp_path / "photos" / "red.png", "red")
    library = Library.open(tmp_path / "library", model=model)
    with pytest.raises(ModelError, match="colours: was trained to compare vectors by order violations"):
        library.index(tmp_path / "photos")
    with pytest.raises(ModelError, match="use a model trained with another score"):
        library.captions(tmp_path / "photos" / "red.png", captions=["red"])
