"""Hits that look the same: the best alone is found, and tells of how many others."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from sterna.library import LIKENESS, Hit, Library
from tests.conftest import draw_photo
from tests.library.fake import ColourEncoder, save
from tests.library.test_duplicates import write


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Forty photographs of reds, limes and blues, more or less alike, and two of noted times."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for number in range(40):
        colour = rng.integers(0, 256, 3)
        colour[number % 3] = 255
        save(folder / f"{number:02}.png", tuple(colour.tolist()), size=(30 + number, 30))
    first = draw_photo(0)
    write(folder / "one.jpg", first, taken_at=datetime(2019, 5, 1, 10))
    write(folder / "two.jpg", first, taken_at=datetime(2019, 5, 1, 11), quality=60)
    write(folder / "copy.jpg", first.resize((160, 120)))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(folder)
    return library


def told(hits: list[Hit]) -> list[tuple[int, str, int]]:
    return [(hit.rank, hit.path.name, hit.folded) for hit in hits]


def slowly(library: Library, hits: list[Hit]) -> list[tuple[int, str, int]]:
    """Each hit joins the best before it that it is like, unless that one has joined another itself."""
    vectors = {hit.photo_id: ColourEncoder().encode_images([hit.path])[0] for hit in hits}
    kept: list[Hit] = []
    counts: dict[int, int] = {}
    for hit in hits:
        for better in kept:
            times = {better.taken_at, hit.taken_at} - {None}
            if vectors[hit.photo_id] @ vectors[better.photo_id] >= LIKENESS and len(times) < 2:
                counts[better.photo_id] = counts.get(better.photo_id, 0) + 1
                break
        else:
            kept.append(hit)
    return [(rank, hit.path.name, counts.get(hit.photo_id, 0)) for rank, hit in enumerate(kept, start=1)]


@pytest.mark.parametrize(
    "asked",
    [{}, {"min_score": 0.2}, {"name": "[0-2]*.png"}, {"min_size": 50}, {"minus": [(0.5, "blue")]}, {"min_score": 2}],
)  # fmt: skip
@pytest.mark.parametrize("query", ["red", "lime", "white"])
def test_what_looks_like_a_better_hit_is_counted_with_it(
    library: Library, query: str, asked: dict[str, object]
) -> None:
    everything = library.search(query, k=100, **asked)
    expected = slowly(library, everything)
    folded = library.search(query, k=100, fold=True, **asked)
    assert told(folded) == expected
    assert len(folded) + sum(hit.folded for hit in folded) == len(everything)
    if not asked:
        assert 3 < len(folded) < len(everything)
    scores = {hit.photo_id: hit.score for hit in everything}
    assert all(hit.score == pytest.approx(scores[hit.photo_id], abs=1e-6) for hit in folded)


def test_pages_of_folded_hits_are_full_and_go_together(library: Library) -> None:
    whole = told(library.search("red", k=100, fold=True))
    for size in (1, 2, 5):
        pages = [
            told(library.search("red", k=size, offset=start, fold=True))
            for start in range(0, len(whole), size)
        ]
        assert all(len(page) == size for page in pages[:-1])
        assert [one for page in pages for one in page] == whole
    assert library.search("red", k=5, offset=len(whole), fold=True) == []


def test_two_moments_are_two_hits_and_a_copy_is_none(library: Library) -> None:
    one = next(photo for photo in library.photos(k=100) if photo.path.name == "one.jpg")
    hits = library.search(one.photo_id, k=100, name="*.jpg", fold=True)
    assert [(hit.path.name, hit.folded) for hit in hits] == [("one.jpg", 1), ("two.jpg", 0)]
    alone = library.search(one.photo_id, k=100, name="*.jpg", fold=True, exclude_self=True)
    assert sum(1 + hit.folded for hit in alone) == 2


def test_as_many_of_the_best_are_looked_at_on_every_page(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._folding.FOLDED", 12)
    monkeypatch.setattr("sterna.library._searching.FOLDED", 12)
    expected = slowly(library, library.search("red", k=12))
    assert told(library.search("red", k=100, fold=True)) == expected
    assert told(library.search("red", k=2, fold=True)) == expected[:2]


def test_nothing_found_is_nothing_folded(library: Library) -> None:
    assert library.search("red", name="none-of-this-name", fold=True) == []
