"""Searches that read photographs again: as those of the library, within a bound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import sterna
from sterna.errors import UsageError
from sterna.library import Library, Sentence
from tests.library.test_reranking import Corners
from tests.server.conftest import colours
from tests.server.serving import Running, serving


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Three photographs of one colour, and one that is red with a blue corner."""
    folder = tmp_path_factory.mktemp("reranking")
    root = colours(folder)
    both = Image.new("RGB", (32, 24), "red")
    both.paste("blue", (0, 0, 4, 4))
    both.save(root / "both.png")
    library = Library.open(folder / "library", model=Corners())
    library.index(root)
    return library


@pytest.fixture(scope="module")
def corners(library: Library) -> Iterator[Running]:
    with serving(Library.open(library.path, model=Corners()), limits={"rerank": 4}) as running:
        yield running


def test_the_first_hits_are_ordered_as_the_library_orders_them(corners: Running, library: Library) -> None:
    asked = {"text": "blue crimson", "rerank": 4, "min_score": None}
    said = corners.post("/api/search", asked).json["hits"]
    ours = library.search("blue crimson", rerank=4, min_score=None)
    assert [hit["id"] for hit in said] == [hit.photo_id for hit in ours]
    assert [hit["alignment"] for hit in said] == pytest.approx([hit.alignment for hit in ours], abs=1e-5)
    assert corners.search({**asked, "rerank": 0})[0] == "red.png"
    assert corners.search(asked)[:2] == ["both.png", "red.png"]
    plain = corners.post("/api/search", {"text": "blue crimson"}).json["hits"]
    assert {hit["alignment"] for hit in plain} == {None}


def test_pages_of_a_search_that_reads_again_follow_each_other(corners: Running) -> None:
    asked = {"text": "blue crimson", "rerank": 4, "min_score": None}
    whole = corners.search(asked)
    first = corners.post("/api/search", {**asked, "k": 3}).json
    second = corners.post("/api/search", {**asked, "k": 3, "cursor": first["next"]}).json
    assert [hit["path"].rpartition("/")[2] for hit in first["hits"] + second["hits"]] == whole


def test_parts_that_are_sentences_are_compared_word_by_word(corners: Running, library: Library) -> None:
    asked = {
        "text": "red", "plus": [{"text": "lime", "weight": 3}], "minus": [{"text": "blue"}],
        "rerank": 4, "min_score": None,
    }  # fmt: skip
    ours = library.search("red", plus=[(3.0, "lime")], minus=[(1.0, "blue")], rerank=4, min_score=None)
    assert corners.search(asked) == [hit.path.name for hit in ours]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"text": "red", "rerank": 5}, "rerank: at most 4 photographs are read again"),
        ({"text": "red", "rerank": -1}, "rerank: -1 came; at least 0 is needed"),
        ({"text": "red", "rerank": 1.5}, "rerank: 1.5 came; a whole number is needed"),
        ({"photo": 1, "rerank": 2}, "there is a photograph or a vector in the query"),
        ({"text": "red", "plus": [{"photo": 1}], "rerank": 2}, "there is a photograph or a vector"),
        ({"text": "red", "minus": [{"vector": [1.0]}], "rerank": 2}, "there is a photograph or a vector"),
        ({"text": "red", "vector": [1.0], "rerank": 2}, "there is a photograph or a vector"),
        # it is not fetched first: that this service fetches nothing would be said
        (
            {"text": "red", "image_url": "https://a.example/", "rerank": 2},
            "there is a photograph or a vector",
        ),
    ],
)
def test_what_cannot_be_compared_again_is_a_problem(corners: Running, asked: object, words: str) -> None:
    answer = corners.post("/api/search", asked)
    assert (answer.status, answer.problem) == (422, "invalid")
    assert words in answer.json["detail"]


def test_a_photograph_that_is_sent_is_refused_before_it_is_decoded(corners: Running) -> None:
    answer = corners.send("/api/search", b"no photograph", asked={"text": "red", "rerank": 2})
    assert (answer.status, answer.problem) == (422, "invalid")
    assert "there is a photograph or a vector in the query" in answer.json["detail"]


def test_a_model_that_cannot_align_says_so(service: Running) -> None:
    answer = service.post("/api/search", {"text": "red", "rerank": 2})
    assert (answer.status, answer.problem) == (422, "invalid")
    assert "cannot align regions with words" in answer.json["detail"]


class Paths(Corners):
    """Knows every word: one that is no colour is black."""

    def words(self, sentence: str) -> np.ndarray:
        try:
            return super().words(sentence)
        except KeyError:
            return np.zeros((1, 3), np.float32)


def test_a_text_that_names_a_file_is_a_text_here_too(library: Library) -> None:
    red = library.search("red", k=1)[0].path
    with serving(Library.open(library.path, model=Paths())) as service:
        plain = service.post("/api/search", {"text": str(red), "min_score": None})
        again = service.post("/api/search", {"text": str(red), "rerank": 1, "min_score": None})
        assert (plain.status, again.status) == (200, 200)
        # the photograph itself would have 1
        assert plain.json["hits"][0]["score"] < 0.9999
        assert again.json["hits"][0]["alignment"] == 0
    assert library.search(Sentence(str(red)), min_score=None)[0].score < 0.9999
    assert library.search(str(red))[0].score == 1


def test_a_client_asks_for_it_by_the_name_that_the_library_has(corners: Running, library: Library) -> None:
    ours = library.search("blue crimson", rerank=3, min_score=None)
    with sterna.Client(corners.url) as client:
        hits = client.search("blue crimson", rerank=3, min_score=None)
        assert [hit.photo_id for hit in hits] == [hit.photo_id for hit in ours]
        assert hits[0].alignment == pytest.approx(ours[0].alignment, abs=1e-5)
        assert hits[3].alignment is None
        with pytest.raises(UsageError, match="rerank=-1: a whole number is needed, 0 for none"):
            client.search("red", rerank=-1)
