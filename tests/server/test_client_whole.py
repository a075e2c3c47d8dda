"""The client has all that the service has, and answers as the library does."""

from __future__ import annotations

import inspect
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sterna
from sterna.errors import ServerError, UnknownPhotoError, UsageError
from sterna.library import Hit, Library
from tests.conftest import draw_photo
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import Running, serving

NOT_OF_THE_LIBRARY = {"/healthz", "/readyz", "/metrics", "/login"}  # of the service itself, and of browsers
METHODS = {
    ("POST", "/api/search"): "search",
    ("GET", "/api/photos/{photo_id}/similar"): "similar",
    ("POST", "/api/embed"): "embed_images embed_texts",
    ("POST", "/api/rank"): "captions",
    ("GET", "/api/photos/{photo_id}/captions"): "captions",
    ("GET", "/api/photos"): "photos",
    ("GET", "/api/photos/{photo_id}"): "photo",
    ("GET", "/api/photos/{photo_id}/thumbnail"): "thumbnail",
    ("GET", "/api/photos/{photo_id}/original"): "original",
    ("POST", "/api/photos/{photo_id}/explain"): "explain",
    ("GET", "/api/photos/zip"): "archive",
    ("POST", "/api/photos/gone"): "gone",
    ("GET", "/api/folders"): "folders",
    ("GET", "/api/generation"): "generation",
    ("GET", "/api/duplicates"): "duplicates",
    ("GET", "/api/status"): "status",
    ("GET", "/api/failures"): "failures",
    ("GET", "/api/models"): "models",
    ("GET", "/api/jobs"): "jobs",
    ("POST", "/api/jobs"): "index",
    ("GET", "/api/jobs/{job_id}"): "job",
    ("DELETE", "/api/jobs/{job_id}"): "cancel",
    ("GET", "/api/jobs/{job_id}/events"): "follow",
    ("DELETE", "/api/roots/{root_id}"): "forget",
}
NAMED = {  # what methods call otherwise, as those of `Library` do
    "text": {"query", "sentence"}, "texts": {"texts", "captions"}, "vector": {"query"}, "photo": {"image", "photo"},
    "filters": {"folder"}, "photo_id": {"photo", "photo_id"}, "root_id": {"root"}, "path": {"root"},
    "ids": {"photo_ids"},
}  # fmt: skip
ITSELF = {"cursor", "encoding", "limit", "skip"}  # what they choose: pages are collected, vectors are arrays


def described(service: Running) -> dict[tuple[str, str], set[str]]:
    """Every operation that is described, with the names of what it takes."""
    said = service.get("/api/openapi.json").json
    found: dict[tuple[str, str], set[str]] = {}
    for path, operations in said["paths"].items():
        for method, one in operations.items():
            names = {parameter["name"] for parameter in one.get("parameters", ())}
            if "requestBody" in one:
                ref = one["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                names |= set(said["components"]["schemas"][ref.rpartition("/")[2]]["properties"])
            found[method.upper(), path] = names
    return found


def test_every_operation_of_the_service_has_a_method_of_the_client(service: Running) -> None:
    wanted = {one for one in described(service) if one[1] not in NOT_OF_THE_LIBRARY}
    assert wanted == set(METHODS), "the service and the client differ"
    for names in METHODS.values():
        for name in names.split():
            assert inspect.getdoc(getattr(sterna.Client, name)), f"Client.{name} says nothing"


def test_every_argument_of_an_operation_is_one_of_its_method(service: Running) -> None:
    missing: list[str] = []
    for operation, names in described(service).items():
        methods = METHODS.get(operation, "").split()
        calls = [one for one in map(sterna.Client.__dict__.get, methods) if callable(one)]
        known = {name for call in calls for name in inspect.signature(call).parameters}
        own = ITSELF | ({"offset"} if methods == ["duplicates"] else set())
        for name in names - own if methods else ():
            if not NAMED.get(name, {name}) & known:
                missing.append(f"{methods[0]}: {name}")
    assert not missing


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Library, Running]]:
    """A library with photographs that look the same, and the same one served."""
    folder = tmp_path_factory.mktemp("whole")
    root = colours(folder)
    for number in range(5):
        save(root / "reds" / f"{number}.png", (250 - number, 3, 3), size=(60 + 6 * number, 40))
    (root / "copy.png").write_bytes((root / "trips" / "green.png").read_bytes())
    library = Library.open(folder / "library", model=ColourEncoder())
    library.index(root)
    with serving(Library.open(folder / "library", model=ColourEncoder())) as running:
        yield library, running


@pytest.fixture
def client(here: tuple[Library, Running]) -> Iterator[sterna.Client]:
    with sterna.Client(here[1].url) as client:
        yield client


@pytest.mark.parametrize(
    "asked",
    [{}, {"k": 3}, {"k": 2, "offset": 3}, {"offset": 50}, {"folder": "trips"}, {"orientation": "portrait"},
     {"name": "*.png", "min_size": 30, "max_size": 70}, {"caption": "wall"}, {"after": "2000", "before": "2001"}],
)  # fmt: skip
def test_photographs_are_listed_as_the_library_lists_them(
    client: sterna.Client,
    here: tuple[Library, Running],
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = [(one.photo_id, str(one.path.relative_to(one.root))) for one in here[0].photos(**asked)]
    assert [(one.photo_id, str(one.path)) for one in client.photos(**asked)] == ours
    monkeypatch.setattr("sterna.client._client._PAGE", 2)
    assert [one.photo_id for one in client.photos(**asked)] == [one for one, _ in ours]


def test_photographs_that_the_service_does_not_list_are_an_error(client: sterna.Client) -> None:
    with pytest.raises(UsageError, match="at most 200 come on a page, and 10000 before it"):
        client.photos(offset=10_001)
    with pytest.raises(UsageError, match="k=0: at least 1 is needed"):
        client.photos(k=0)


def test_folders_and_what_is_gone_are_told_as_by_the_library(
    client: sterna.Client, here: tuple[Library, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = here[0]
    ours = [(str(one.path.relative_to(one.root)), one.root_id, one.photos) for one in library.folders()]
    assert [(str(one.path), one.root_id, one.photos) for one in client.folders()] == ours
    assert len(ours) > 2
    monkeypatch.setattr("sterna.client._client._FOLDERS", 1)
    monkeypatch.setattr("sterna.client._client._IDS", 2)
    assert [str(one.path) for one in client.folders(k=2, offset=1)] == [path for path, _, _ in ours[1:3]]
    ids = [one.photo_id for one in library.photos()]
    assert client.gone([*ids, 999, 1000]) == library.gone([*ids, 999, 1000]) == [999, 1000]
    assert client.gone([]) == []
    assert client.generation == library.generation


def test_files_come_as_one(client: sterna.Client, here: tuple[Library, Running]) -> None:
    photos = here[0].photos(k=3)
    with zipfile.ZipFile(io.BytesIO(client.archive([one.photo_id for one in photos]))) as file:
        assert sorted(map(file.read, file.namelist())) == sorted(one.path.read_bytes() for one in photos)
    with pytest.raises((UnknownPhotoError, ServerError)):
        client.archive([999])
    with pytest.raises(UsageError, match="ids"):
        client.archive([])


def test_an_answer_that_is_too_long_is_refused_and_never_cut_short(
    client: sterna.Client, here: tuple[Library, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [one.photo_id for one in here[0].photos(k=3)]
    length = len(client.archive(ids))
    monkeypatch.setattr("sterna.client._http._MOST", length - 1)
    with pytest.raises(ServerError, match=f"longer than {length - 1:,} bytes"):
        client.archive(ids)
    monkeypatch.setattr("sterna.client._http._MOST", length)
    assert len(client.archive(ids)) == length


def told(groups: Any, *, below: bool) -> list[list[tuple[Any, ...]]]:
    def path(one: Any) -> str:
        return str(one.path.relative_to(one.root) if below else one.path)

    def also(one: Hit) -> list[str]:
        return [str(path.relative_to(one.root) if below else path) for path in one.also]

    return [
        [(one.rank, one.photo_id, path(one), round(one.score, 4), also(one)) for one in group]
        for group in groups
    ]


@pytest.mark.parametrize(
    "asked", [{}, {"copies": True}, {"min_score": 0.999}, {"min_score": 1, "copies": True}]
)
def test_duplicates_are_those_of_the_library(
    client: sterna.Client,
    here: tuple[Library, Running],
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = told(here[0].duplicates(**asked), below=True)
    assert told(client.duplicates(**asked), below=False) == ours
    if asked == {"copies": True}:
        assert sorted(len(group) for group in ours) == [1, 6]
    monkeypatch.setattr("sterna.client._client._GROUPS", 1)
    monkeypatch.setattr("sterna.server._duplicates._MOST", 2)  # of a group, at one time
    assert told(client.duplicates(**asked), below=False) == ours


def test_duplicates_that_mean_nothing_are_an_error(client: sterna.Client) -> None:
    for score, words in (
        (0.1, "min_score: 0.1 came; at least 0.5"),
        (float("nan"), "min_score=nan: a finite"),
    ):
        with pytest.raises(UsageError, match=words):
            client.duplicates(min_score=score)
    with pytest.raises(UsageError, match="no vectors of this one"):
        client.duplicates(model="another")


def test_an_explanation_is_the_one_that_is_made_here(
    client: sterna.Client, here: tuple[Library, Running]
) -> None:
    red = here[0].search("red", k=1)[0]
    there = client.explain(red.photo_id, "a red wall", grid=3)
    ours = sterna.explain(red.path, "a red wall", model=ColourEncoder(), grid=3)
    assert (there.model, there.sentence, there.method) == (ours.model, ours.sentence, ours.method)
    assert there.score == pytest.approx(ours.score, abs=1e-5)
    assert there.area == pytest.approx(ours.area)
    for theirs, our in ((there.cells, ours.cells), (there.boxes, ours.boxes)):
        assert theirs.dtype == np.float32
        assert theirs == pytest.approx(our, abs=2e-5)
    assert [(word.text, word.span) for word in there.words] == [(word.text, word.span) for word in ours.words]
    assert there.words[1].cells == pytest.approx(ours.words[1].cells, abs=2e-5)
    with pytest.raises(UnknownPhotoError):
        client.explain(999, "red")
    with pytest.raises(UsageError, match="grid"):
        client.explain(red.photo_id, "red", grid=99)


def test_photographs_like_one_come_in_pages(
    client: sterna.Client, here: tuple[Library, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    red = here[0].search("red", k=1)[0].photo_id
    ours = [hit.photo_id for hit in here[0].search(red, exclude_self=True, k=6)]
    monkeypatch.setattr("sterna.client._client._PAGE", 4)
    assert [hit.photo_id for hit in client.similar(red, k=6, model="colours")] == ours
    assert [hit.photo_id for hit in client.similar(red, k=2, offset=3)] == ours[3:5]


def test_a_job_is_followed_to_its_end(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "photos").mkdir()
    draw_photo(1).save(tmp_path / "photos" / "1.jpg")
    library = Library.open(tmp_path / "library", model=tiny_model)
    library.index(tmp_path / "photos")
    with serving(library) as running, sterna.Client(running.url) as client:
        assert client.jobs() == []
        job = client.index(wait=False)
        seen = [(one.job_id, one.state) for one in client.follow(job.job_id)]
        assert seen[-1] == (job.job_id, "done")
        assert [one.job_id for one in client.jobs()] == [job.job_id]
        with pytest.raises(ServerError, match="job 7: there is none"):
            next(client.follow(7))
    with pytest.raises(ServerError, match="no service can be reached"):
        next(client.follow(1))
