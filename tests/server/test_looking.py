"""What the page asks for: lists of photographs, duplicates, and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sterna import explanations
from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import GatedEncoder, Running, serving, until


def names(answer: object) -> list[str]:
    return [photo["path"].rpartition("/")[2] for photo in answer["photos"]]  # type: ignore[index]


def test_photographs_are_listed_in_pages_and_filtered(service: Running) -> None:
    first = service.get("/api/photos?k=2").json
    second = service.get(f"/api/photos?k=2&offset={first['next']}").json
    assert sorted(names(first) + names(second)) == ["blue.png", "green.png", "red.png"]
    assert second["next"] is None
    assert names(service.get("/api/photos?folder=sea").json) == ["blue.png"]
    assert names(service.get("/api/photos?orientation=portrait&name=gr*").json) == ["green.png"]
    assert names(service.get("/api/photos?caption=lime").json) == ["red.png"]
    assert names(service.get("/api/photos?before=1990").json) == []
    assert "score" not in first["photos"][0]


@pytest.mark.parametrize(
    "wrong", ["k=0", "k=201", "offset=-1", "offset=10001", "orientation=round", "after=soon"]
)
def test_a_list_that_means_nothing_is_refused(service: Running, wrong: str) -> None:
    assert service.get(f"/api/photos?{wrong}").problem == "invalid"


def test_an_explanation_is_that_of_python(service: Running, ids: dict[str, int], root: Path) -> None:
    asked = {"text": "all red", "grid": 3}
    said = service.post(f"/api/photos/{ids['red.png']}/explain", asked).json
    oracle = explanations.explain(root / "red.png", "all red", model=ColourEncoder(), grid=3).as_json()
    assert said["cells"] == oracle["cells"]
    assert [word["word"] for word in said["words"]] == ["all", "red"]
    assert [word["cells"] for word in said["words"]] == [word["cells"] for word in oracle["words"]]
    assert (said["score"], said["area"], said["method"]) == (oracle["score"], oracle["area"], "occlusion")


@pytest.mark.parametrize(
    ("photo", "asked", "problem"),
    [
        (None, {"text": ""}, "invalid"),
        (None, {"text": "   "}, "invalid"),
        (None, {"text": "!?"}, "invalid"),
        (None, {"text": "red", "grid": 13}, "invalid"),
        (None, {"text": "red", "grid": 1}, "invalid"),
        (None, {"text": "a" * 2001}, "invalid"),
        (None, {"text": "word " * 101}, "invalid"),
        (None, {"text": "red", "model": "nobody"}, "unknown-model"),
        (None, {"text": "red", "path": "/etc/passwd"}, "invalid"),
        (999, {"text": "red"}, "unknown-photo"),
    ],
)
def test_an_explanation_that_cannot_be_given_is_a_problem(
    service: Running, ids: dict[str, int], photo: int | None, asked: object, problem: str
) -> None:
    number = ids["red.png"] if photo is None else photo
    assert service.post(f"/api/photos/{number}/explain", asked).problem == problem


def test_a_photograph_that_cannot_be_decoded_is_not_explained(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    red = library.search("red", k=1)[0].photo_id
    with serving(library, limits={"pixels": 100}) as service:
        refused = service.post(f"/api/photos/{red}/explain", {"text": "red"})
        assert (refused.status, refused.problem) == (422, "unreadable-photo")
        assert refused.json["detail"].startswith("the photograph cannot be explained: ")
        (tmp_path / "photos" / "red.png").unlink()
        gone = service.post(f"/api/photos/{red}/explain", {"text": "red"})
        assert (gone.status, gone.problem) == (404, "photo-not-there")


def test_an_explanation_reads_its_file_when_its_turn_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = GatedEncoder()
    library = Library.open(tmp_path / "library", model=encoder)
    library.index(colours(tmp_path))
    red = library.search("red", k=1)[0].photo_id
    opened: list[int] = []
    open_photo = library.open_photo
    monkeypatch.setattr(library, "open_photo", lambda one: opened.append(one) or open_photo(one))
    with serving(library, limits={"explaining": 1}) as service, ThreadPoolExecutor(2) as pool:
        until(lambda: service.get("/readyz").status == 200)
        encoder.gate.clear()
        ask = partial(service.post, f"/api/photos/{red}/explain", {"text": "all red", "grid": 2})
        answers = [pool.submit(ask), pool.submit(ask)]
        until(lambda: b"sterna_waiting 2.0" in service.get("/metrics").body)
        until(lambda: len(opened) > 0)
        full = ask()
        assert (full.status, full.problem) == (503, "busy")
        assert len(opened) == 1
        encoder.gate.set()
        assert [answer.result().status for answer in answers] == [200, 200]
        assert len(opened) == 2


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("doubled")
    root = colours(folder)
    for number in range(3):
        save(root / f"red-{number}.png", "red", size=(16, 12 + number))
        save(root / f"blue-{number}.png", "blue", size=(16, 12 + number))
    (root / "copy.png").write_bytes((root / "trips" / "green.png").read_bytes())
    library = Library.open(folder / "library", model=ColourEncoder())
    library.index(root)
    with serving(library) as running:
        yield running


def test_duplicates_come_in_groups_and_pages(doubled: Running) -> None:
    said = doubled.get("/api/duplicates").json
    assert (said["total"], said["next"]) == (2, None)
    assert [group["size"] for group in said["groups"]] == [4, 4]
    best = [group["photos"][0] for group in said["groups"]]
    assert {one["path"] for one in best} == {"red.png", "trips/sea/blue.png"}
    assert all(photo["score"] >= 0.9 for group in said["groups"] for photo in group["photos"])
    first = doubled.get("/api/duplicates?limit=1").json
    second = doubled.get(f"/api/duplicates?limit=1&offset={first['next']}").json
    assert first["groups"] + second["groups"] == said["groups"]
    assert second["next"] is None


def test_equal_copies_are_told_where_they_are_asked_for(doubled: Running) -> None:
    groups = doubled.get("/api/duplicates?copies=true").json["groups"]
    (copied,) = [group for group in groups if group["size"] == 1]
    assert {copied["photos"][0]["path"], *copied["photos"][0]["also"]} == {"copy.png", "trips/green.png"}


@pytest.mark.parametrize("wrong", ["min_score=0.1", "min_score=1.1", "limit=0", "limit=101", "offset=-1"])
def test_duplicates_that_mean_nothing_are_refused(doubled: Running, wrong: str) -> None:
    assert doubled.get(f"/api/duplicates?{wrong}").problem == "invalid"
    assert doubled.get("/api/duplicates?model=nobody").problem == "unknown-model"
