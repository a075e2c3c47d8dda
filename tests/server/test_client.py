"""The client: it answers as the library does, and says what is wrong in a sentence."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sterna
from sterna.errors import PhotoError, ServerError, UnknownPhotoError, UsageError
from sterna.library import Hit, Library
from tests.library.fake import ColourEncoder
from tests.server.conftest import colours
from tests.server.serving import Running, serving
from tests.server.test_search import png

TOKEN = "a-token-of-many-signs"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Library, Running]]:
    """A library, and the same one served."""
    folder = tmp_path_factory.mktemp("client")
    library = Library.open(folder / "library", model=ColourEncoder())
    library.index(colours(folder))
    with serving(Library.open(folder / "library", model=ColourEncoder()), token=TOKEN) as running:
        yield library, running


@pytest.fixture
def client(here: tuple[Library, Running]) -> Iterator[sterna.Client]:
    with sterna.Client(here[1].url + "/", token=TOKEN) as client:
        yield client


def same(theirs: list, ours: list[Hit]) -> bool:
    return [(hit.rank, hit.photo_id, str(hit.path), hit.captions, hit.width) for hit in theirs] == [
        (hit.rank, hit.photo_id, str(hit.path.relative_to(hit.root)), hit.captions, hit.width) for hit in ours
    ]


def test_a_search_elsewhere_is_a_search_here(client: sterna.Client, here: tuple[Library, Running]) -> None:
    library, _ = here
    vector = ColourEncoder().encode_texts("blue")[0]
    for query, options in (
        ("lime", {}),
        ("lime", {"k": 1, "offset": 1}),
        ("red", {"plus": [(2.0, "blue")], "minus": [(0.5, "lime")]}),
        (vector, {"k": 2}),
        ("red", {"folder": "trips", "min_score": None}),
        ("red", {"orientation": "portrait"}),
        ("red", {"name": "b*", "min_size": 10, "max_size": 99}),
        ("red", {"caption": "wall", "after": "2000"}),
        (library.search("red", k=1)[0].photo_id, {"exclude_self": True}),
        (None, {"image": library.search("red", k=1)[0].photo_id}),
        (None, {"image": png((3, 250, 3))}),
        ("blue", {"image": png("red"), "k": 500}),
        ("red", {"min_score": 1.5}),
    ):
        assert same(client.search(query, **options), library.search(query, **options)), (query, options)
    assert client.search("red", k=1)[0].score == pytest.approx(library.search("red", k=1)[0].score, abs=1e-5)


def test_more_hits_than_a_page_holds_are_collected(
    client: sterna.Client, here: tuple[Library, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.client._client._PAGE", 1)
    assert same(client.search("red", k=3), here[0].search("red", k=3))
    assert same(client.search("red", k=1, offset=2), here[0].search("red", k=1, offset=2))


def test_photographs_and_pictures_come_by_id(client: sterna.Client, here: tuple[Library, Running]) -> None:
    red = here[0].search("red", k=1)[0]
    photo = client.photo(red.photo_id)
    assert (photo.photo_id, str(photo.path), photo.root) == (red.photo_id, "red.png", red.root.name)
    assert client.original(red.photo_id) == red.path.read_bytes()
    assert client.thumbnail(red.photo_id, size=128)[:2] == b"\xff\xd8"
    assert red.photo_id not in {hit.photo_id for hit in client.similar(red.photo_id)}


def test_sentences_are_ranked_as_here(
    client: sterna.Client, here: tuple[Library, Running], tmp_path: Path
) -> None:
    library, _ = here
    red = library.search("red", k=1)[0].photo_id
    texts = ["all blue", "all red"]
    ours = [hit.caption for hit in library.captions(red, captions=texts)]
    assert [hit.caption for hit in client.captions(red, captions=texts)] == ours
    (tmp_path / "a.png").write_bytes(png("blue"))
    assert client.captions(tmp_path / "a.png", captions=texts, k=1)[0].caption == "all blue"
    assert [hit.caption for hit in client.captions(red, k=1, model="colours")] == [
        hit.caption for hit in library.captions(red, k=1)
    ]


def test_vectors_are_those_of_the_model(client: sterna.Client, tmp_path: Path) -> None:
    vectors = client.embed_texts(["red", "lime"])
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, ColourEncoder().encode_texts(["red", "lime"]))
    assert client.embed_images([png("red"), png("blue")]).shape == (2, 49)


def test_the_service_tells_of_itself(client: sterna.Client) -> None:
    assert client.status()["indexed"] == 3
    assert [model["name"] for model in client.models()] == ["colours"]
    assert client.failures() == []


def test_what_is_asked_wrongly_is_an_error_of_ours(
    client: sterna.Client, here: tuple[Library, Running]
) -> None:
    with pytest.raises(UsageError, match="nothing to search for"):
        client.search()
    with pytest.raises(UsageError, match="k: "):
        client.search("red", k=0)
    with pytest.raises(UsageError, match="a sentence, the id of a photograph or a vector"):
        client.search(b"bytes")  # type: ignore[arg-type]
    with pytest.raises(UnknownPhotoError, match="photograph 999"):
        client.photo(999)
    with pytest.raises(PhotoError, match=r"nowhere.png: no such file"):
        client.search(image="nowhere.png")
    with pytest.raises(UsageError, match="sentences are needed"):
        client.captions(png("red"))
    with pytest.raises(ServerError, match="handed over|Python object") as refused:
        client.index()
    assert refused.value.status == 409
    with pytest.raises(ServerError, match="job 5: there is none"):
        client.job(5)
    with pytest.raises(ServerError, match="a token is needed") as refused:
        sterna.Client(here[1].url).status()
    assert refused.value.status == 401


def test_a_service_that_is_not_there_is_told() -> None:
    with pytest.raises(ServerError, match=r"http://127.0.0.1:1: no service can be reached .*sterna serve"):
        sterna.Client("http://127.0.0.1:1").status()
    for url in ("", "127.0.0.1:8265", "ftp://a", "http://", "http://a:x", "http://a/?b=c", "http://[::1"):
        with pytest.raises(UsageError, match="no address of a service"):
            sterna.Client(url)


def test_another_program_s_answers_are_told_as_such() -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(ServerError, match="no service of Sterna's answers there"):
            sterna.Client(f"http://127.0.0.1:{server.server_port}").status()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_connection_that_was_closed_meanwhile_is_opened_again(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    with serving(library) as running:
        port = running.port
        client = sterna.Client(running.url)
        assert client.status()["indexed"] == 0
    with pytest.raises(ServerError):
        client.status()
    assert port
