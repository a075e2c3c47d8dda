"""The client: it answers as the library does, and says what is wrong in a sentence."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
        ("red", {"plus": [(-0.5, "blue"), (2.0, "lime")], "minus": [(-1.0, "white"), (0.2, "red")]}),
        ("red", {"plus": [(0.0, "blue")]}),
        (None, {"plus": [(1.0, "lime")], "minus": [(-0.5, "red")]}),
        (None, {"minus": [(-2.0, "lime")]}),
        (None, {"plus": [(-1.0, "lime")]}),
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
    with pytest.raises(UsageError, match="k=0: at least 1 is needed"):
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


@contextlib.contextmanager
def other(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """The address of a program that answers everything alike."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CALLS: dict[str, Callable[[sterna.Client], object]] = {
    "photos": lambda client: client.photos(),
    "duplicates": lambda client: client.duplicates(),
    "explain": lambda client: client.explain(1, "a dog"),
    "folders": lambda client: client.folders(),
    "gone": lambda client: client.gone([1]),
    "generation": lambda client: client.generation,
    "archive": lambda client: client.archive([1]),
    "jobs": lambda client: client.jobs(),
    "follow": lambda client: list(client.follow(1)),
    "search": lambda client: client.search("a dog"),
    "similar": lambda client: client.similar(1),
    "photo": lambda client: client.photo(1),
    "thumbnail": lambda client: client.thumbnail(1),
    "original": lambda client: client.original(1),
    "captions": lambda client: client.captions(1),
    "embed": lambda client: client.embed_texts(["a dog"]),
    "status": lambda client: client.status(),
    "failures": lambda client: client.failures(),
    "models": lambda client: client.models(),
    "index": lambda client: client.index(),
    "forget": lambda client: client.forget(1),
    "cancel": lambda client: client.cancel(1),
}


@pytest.mark.parametrize("call", CALLS)
def test_another_program_s_answers_are_told_as_such(call: str) -> None:
    for status, body in (
        (404, b"<h1>Not here</h1>"),
        (200, b"<html>Sign in</html>"),
        (200, b""),
        (204, b""),
        (200, b"\xff"),
        (200, b'{"status": "ok"}'),
        (200, b"[1, 2]"),
        (200, b"[" * 100_000),
        (200, b"null"),
        (500, b'{"type": 3}'),
    ):
        with other(status, body, Content_Type="text/html") as url, sterna.Client(url) as client:
            with pytest.raises(ServerError, match="no service of Sterna's answers there") as refused:
                CALLS[call](client)
            assert str(refused.value).startswith(f"{url}: ")
            assert refused.value.status == status
    leads = pytest.raises(ServerError, match="leads elsewhere, to 'https://sign-in.example/'")
    with other(302, b"", Location="https://sign-in.example/") as url, sterna.Client(url) as client, leads:
        CALLS[call](client)


def test_numbers_of_numpy_are_numbers(client: sterna.Client, here: tuple[Library, Running]) -> None:
    red = np.int64(here[0].search("red", k=1)[0].photo_id)
    assert same(client.search(red, k=np.int32(2), offset=np.int64(1)), here[0].search(red, k=2, offset=1))
    assert client.search(image=red, k=1, min_score=np.float32(0.5))[0].photo_id == red
    assert client.search("blue", plus=[(np.float32(0.5), red)], min_size=np.int64(1))
    assert client.search(np.eye(49, dtype=np.int64)[0], k=1)
    assert client.photo(red).photo_id == red
    assert client.captions(red, captions=["all red"])[0].caption == "all red"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"offset": -1}, "offset=-1: a whole number is needed, 0 for the first hits"),
        ({"offset": 0.5}, "offset=0.5: a whole number"),
        ({"k": float("nan")}, "k=nan: a whole number is needed"),
        ({"k": True}, "k=True: a whole number is needed"),
        ({"min_score": float("nan")}, "min_score=nan: a finite number is needed"),
        ({"min_score": "high"}, "min_score='high': a finite number"),
        ({"plus": [(float("inf"), "red")]}, "plus: weight=inf: a finite number"),
        ({"plus": "red"}, r"plus: a list of \(weight, what\) is needed"),
        ({"minus": ["red"]}, r"minus: 'red' is no \(weight, what\)"),
        ({"min_size": 0}, "min_size=0: at least 1 is needed"),
        ({"query": np.array([1.0, np.nan])}, "a number of the vector=nan"),
        ({"query": np.array(["a"])}, "a number of the vector='a'"),
        ({"query": True}, "True: a sentence, the id of a photograph or a vector is needed"),
        ({"image": 1.5}, "1.5: no photograph"),
        ({"model": {1}}, "cannot be sent as JSON"),
    ],
)
def test_what_means_nothing_is_refused_before_it_is_sent(asked: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sterna.Client("http://127.0.0.1:1").search(**{"query": "red", **asked})


def test_what_a_connection_cannot_be_made_of_is_told() -> None:
    for options, words in (
        ({"token": "a-secret\n-token-of-many"}, "token: letters, digits and signs"),
        ({"token": ""}, "token: letters"),
        ({"timeout": 0}, "timeout=0: a number of seconds above 0"),
        ({"timeout": float("nan")}, "timeout=nan: a number of seconds"),
    ):
        with pytest.raises(UsageError, match=words) as refused:
            sterna.Client("http://127.0.0.1:1", **options)
        assert "a-secret" not in str(refused.value)
    for url in ("http://a b/", "http://a/\n", "http://a/\xe9", "http://a/\0"):
        with pytest.raises(UsageError, match="no address of a service"):
            sterna.Client(url)


def test_hits_that_the_service_does_not_tell_are_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.client._client._PAGE", 1)
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    with serving(library, limits={"offset": 1}) as running, sterna.Client(running.url) as client:
        assert len(client.search("red", k=2)) == 2
        for k, offset in ((3, 0), (1, 2), (100, 50)):
            with pytest.raises(UsageError, match="tells of the first 2 hits alone, and .* are asked for"):
                client.search("red", k=k, offset=offset)
    with serving(library) as running, sterna.Client(running.url) as client:
        assert len(client.search("red", k=50)) == 3
        assert client.search("red", k=50, offset=3) == []


def test_a_far_hit_is_reached_in_large_steps(
    client: sterna.Client, here: tuple[Library, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    post = client._connection.post

    def counted(path: str, read: Any, **options: Any) -> Any:
        asked.append(options["asked"]["k"])
        return post(path, read, **options)

    monkeypatch.setattr(client._connection, "post", counted)
    assert same(client.search("red", k=1, offset=2), here[0].search("red", k=1, offset=2))
    assert client.search("red", k=1, offset=2000) == []
    assert asked == [3, 100]


def test_a_connection_that_was_closed_meanwhile_is_opened_again(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    with serving(library) as running:
        port = running.port
        client = sterna.Client(running.url)
        assert client.status()["indexed"] == 0
    with pytest.raises(ServerError):
        client.status()
    assert port
