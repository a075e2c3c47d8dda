"""Images that are fetched from an address: where that is allowed, from the public Internet alone, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.server
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import sterna
from sterna.errors import ServerError, UsageError
from sterna.library import Library
from sterna.server._addresses import is_near, is_public
from sterna.server._fetching import Fetcher
from tests.library.fake import ColourEncoder
from tests.server.conftest import colours
from tests.server.serving import Answer, Running, serving, until
from tests.server.test_search import png

NOBODY = "image_url: the image cannot be fetched: no server of the public Internet answers there"
Handler = http.server.BaseHTTPRequestHandler


class Elsewhere:
    """A server on this machine: `answers` by path, `asked` the paths and headers that came."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.port = 0

    def url(self, path: str, *, host: str = "pictures.example") -> str:
        return f"http://{host}:{self.port}{path}"


def said(body: bytes, *, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        with contextlib.suppress(OSError):
            handler.wfile.write(body)

    return answer


def forever(piece: bytes, *, pause: float = 0.0, head: bytes = b"") -> Callable[[Handler], None]:
    """An answer without an end."""

    def answer(handler: Handler) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(head)
            while True:
                handler.wfile.write(piece)
                time.sleep(pause)

    return answer


@pytest.fixture
def elsewhere(there: Elsewhere) -> Elsewhere:
    """The server, with red.png alone, and nobody has asked yet."""
    there.asked.clear()
    there.answers.clear()
    there.answers["/red.png"] = said(png((250, 5, 5)), Content_Type="image/png")
    return there


@pytest.fixture(scope="module")
def there() -> Iterator[Elsewhere]:
    there = Elsewhere()

    class Answers(Handler):
        def do_GET(self) -> None:
            there.asked.append((self.path, dict(self.headers)))
            there.answers.get(self.path, said(b"no", status=404))(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    there.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def fetching(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    names: dict[str, list[str]] | None = None,
    ports: tuple[int, ...] = (),
    **limits: object,
) -> Iterator[Running]:
    """A service that fetches; names are looked up in a table, and 127.0.0.1 stands for a public address."""
    table = {"pictures.example": ["127.0.0.1"], **(names or {})}

    def look_up(host: str) -> list[str]:
        if host in table:
            return table[host]
        return [str(place[4][0]) for place in socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)]

    def allows(address: str) -> bool:
        return address == "127.0.0.1" or is_public(address)

    stand_in = partial(Fetcher, look_up=look_up, allows=allows, ports=ports)
    monkeypatch.setattr("sterna.server._service.Fetcher", stand_in)
    library = Library.open(folder / "library", model=ColourEncoder())
    library.index(colours(folder))
    with serving(library, fetch_images=True, limits=limits) as service:
        yield service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, there: Elsewhere) -> Iterator[Running]:
    names = {"mixed.example": ["127.0.0.1", "10.0.0.1"], "home.example": ["192.168.1.1"]}
    folder = tmp_path_factory.mktemp("fetching")
    with (
        pytest.MonkeyPatch.context() as patch,
        fetching(folder, patch, names=names, ports=(there.port,), fetch_seconds=1.5, image=20_000) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def plain_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that fetches as it does for people."""
    folder = tmp_path_factory.mktemp("plain")
    library = Library.open(folder / "library", model=ColourEncoder())
    library.index(colours(folder))
    with serving(library, fetch_images=True) as running:
        yield running


def search(service: Running, url: str) -> Answer:
    return service.post("/api/search", {"image_url": url, "k": 1, "min_score": None})


def refused(service: Running, url: str) -> str:
    answer = search(service, url)
    assert answer.status == 422, answer
    assert answer.problem in {"unfetched-image", "invalid", "unreadable-photo"}
    detail: str = answer.json["detail"]
    return detail


def test_an_image_elsewhere_is_searched_embedded_and_ranked(service: Running, elsewhere: Elsewhere) -> None:
    url = elsewhere.url("/red.png?a=b#part")
    elsewhere.answers["/red.png?a=b"] = elsewhere.answers["/red.png"]
    assert service.search({"image_url": url, "k": 1}) == ["red.png"]
    vectors = service.post("/api/embed", {"texts": ["blue"], "image_url": url}).json["vectors"]
    assert len(vectors) == 2
    own = service.send("/api/embed", png((250, 5, 5))).json["vectors"]
    assert vectors[1] == own[0]
    ranked = service.post("/api/rank", {"texts": ["all blue", "all red"], "image_url": url})
    assert ranked.json["captions"][0]["caption"] == "all red"
    path, headers = elsewhere.asked[0]
    assert path == "/red.png?a=b"
    assert headers["Host"] == f"pictures.example:{elsewhere.port}"
    assert not {"Cookie", "Referer", "Authorization"} & set(headers)


def test_what_is_fetched_is_added_to_what_is_sent(service: Running, elsewhere: Elsewhere) -> None:
    asked = {"image_url": elsewhere.url("/red.png"), "k": 1, "plus": [{"text": "blue", "weight": 3}]}
    assert service.search(asked) == ["blue.png"]
    both = service.send("/api/search", png("blue"), asked={"image_url": elsewhere.url("/red.png"), "k": 3})
    assert both.status == 200
    assert (
        service.send(
            "/api/rank", png("red"), asked={"texts": ["a"], "image_url": elsewhere.url("/red.png")}
        ).problem
        == "invalid"
    )


def test_pages_of_an_image_elsewhere_follow_each_other(service: Running, elsewhere: Elsewhere) -> None:
    asked = {"image_url": elsewhere.url("/red.png"), "k": 2, "min_score": None}
    first = service.post("/api/search", asked).json
    second = service.post("/api/search", {**asked, "cursor": first["next"]}).json
    assert [hit["rank"] for hit in first["hits"] + second["hits"]] == [1, 2, 3]


def test_nothing_is_fetched_unless_that_was_asked_for(root: Path, elsewhere: Elsewhere) -> None:
    with serving(Library.open(root.parent / "library", model=ColourEncoder())) as service:
        for path, asked in (
            ("/api/search", {}), ("/api/embed", {}), ("/api/rank", {"texts": ["a dog"]}),
        ):  # fmt: skip
            answer = service.post(path, {**asked, "image_url": elsewhere.url("/red.png")})
            assert (answer.status, answer.problem) == (403, "fetching-off")
            assert "sterna serve --fetch-images" in answer.json["detail"]
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "168.63.129.16",
        "[::1]", "[::]", "[::ffff:10.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "[fe80::1%25eth0]", "[fd00:ec2::254]",
        "[64:ff9b::a00:1]", "[64:ff9b::7f00:1]", "[2002:a00:1::]", "[2001:0:a00:1::]", "[::7f00:1]", "[ff02::1]",
        "mixed.example", "home.example",
    ],
)  # fmt: skip
def test_no_address_but_the_public_ones_is_connected_to(
    service: Running, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    def connected(*_: object, **__: object) -> None:
        raise AssertionError("it was connected to")

    monkeypatch.setattr("asyncio.open_connection", connected)
    assert refused(service, f"http://{host}/red.png") == NOBODY
    assert refused(service, f"https://{host}/red.png") == NOBODY


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.", "127.0.0.1", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_not_asked(plain_service: Running, host: str) -> None:
    assert refused(plain_service, f"http://{host}/") == NOBODY
    assert refused(plain_service, f"http://{host}:80/") == NOBODY
    assert refused(plain_service, f"https://{host}/") == NOBODY


@pytest.mark.parametrize(
    "url",
    [
        "2130706433", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/",
        "http://127.1/", "http://127.0.0.01/", "http://1.2.3.0x7f/", "http://1.2.3/", "http:///red.png", "http://",
        "file:///etc/passwd", "ftp://pictures.example/", "gopher://pictures.example/", "data:image/png;base64,AA",
        "//pictures.example/", "red.png", "http://[::1", "http://[pictures.example]/", "http://a b/", "http://a\tb/",
        "http://pictures.example\\@evil/", "http://pictures.example:99999/", "http://pictures.example:x/",
        "http://b\u00fccher.example/", "http://\u2460.example/", "http://a..example/", "http://-.example/",
        "http://pictures.example/\r\nX: y", "http://pictures.example\0/",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(service: Running, elsewhere: Elsewhere, url: str) -> None:
    assert refused(service, url) == "image_url: an address such as https://example.org/beach.jpg is needed"
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://me:secret@pictures.example/", "a user's name or password is not taken"),
        ("http://me@pictures.example/", "a user's name or password is not taken"),
        ("http://@pictures.example/", "a user's name or password is not taken"),
        ("http://pictures.example:22/", "a port of its own is not taken; http has 80, and https 443"),
        ("http://pictures.example:443/", "a port of its own is not taken"),
        ("https://pictures.example:80/", "a port of its own is not taken"),
        ("http://pictures.example:0/", "a port of its own is not taken"),
    ],
)
def test_users_and_other_ports_are_refused(service: Running, url: str, words: str) -> None:
    assert words in refused(service, url)


def test_a_closed_port_is_told_as_an_address_that_is_nobody_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with fetching(tmp_path, monkeypatch, ports=(port,)) as service:
        assert refused(service, f"http://pictures.example:{port}/") == NOBODY
        assert refused(service, "http://unknown.example/") == NOBODY
        assert refused(service, "http://10.0.0.1/") == NOBODY


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.long)])
def test_every_address_of_a_name_is_tried_in_turns_of_ipv6_and_ipv4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere, slow: bool
) -> None:
    tried: list[str] = []
    connect = asyncio.open_connection

    async def connected(address: str, *rest: object, **named: object) -> object:
        tried.append(address)
        if address != "127.0.0.1":
            await asyncio.sleep(60 if slow else 0)
            raise OSError
        return await connect(address, *rest, **named)  # type: ignore[arg-type]

    names = {"pictures.example": [f"2606:4700::{n}" for n in range(6)] + ["8.8.8.8", "8.8.4.4", "127.0.0.1"]}
    names["one.example"] = ["8.8.8.8", "127.0.0.1"]
    with fetching(tmp_path, monkeypatch, names=names, ports=(elsewhere.port,), fetch_seconds=3) as service:
        monkeypatch.setattr(asyncio, "open_connection", connected)
        assert service.search({"image_url": elsewhere.url("/red.png"), "k": 1}) == ["red.png"]
        assert tried == [
            "2606:4700::0", "8.8.8.8", "2606:4700::1", "8.8.4.4", "2606:4700::2", "127.0.0.1",
        ]  # fmt: skip
        one = elsewhere.url("/red.png", host="one.example")
        assert service.search({"image_url": one, "k": 1}) == ["red.png"]


def test_an_address_that_is_alone_has_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    connect = asyncio.open_connection

    async def connected(*place: object, **named: object) -> object:
        await asyncio.sleep(1)
        return await connect(*place, **named)  # type: ignore[arg-type]

    with fetching(tmp_path, monkeypatch, ports=(elsewhere.port,), fetch_seconds=2.5) as service:
        monkeypatch.setattr(asyncio, "open_connection", connected)
        assert service.search({"image_url": elsewhere.url("/red.png"), "k": 1}) == ["red.png"]


def test_a_name_is_looked_up_once_and_its_checked_address_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    looked_up: list[str] = []

    def rebinding(host: str) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["127.0.0.2"]

    monkeypatch.setattr(
        "sterna.server._service.Fetcher",
        partial(Fetcher, look_up=rebinding, allows=lambda one: one == "127.0.0.1", ports=(elsewhere.port,)),
    )
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    resolve, resolved = socket.getaddrinfo, []

    def noted(host: object, *rest: object, **named: object) -> object:
        resolved.append(host)
        return resolve(host, *rest, **named)  # type: ignore[arg-type]

    with serving(library, fetch_images=True) as service:
        monkeypatch.setattr(socket, "getaddrinfo", noted)
        assert service.search({"image_url": elsewhere.url("/red.png"), "k": 1}) == ["red.png"]
        assert looked_up == ["pictures.example"]
        assert "pictures.example" not in resolved
        elsewhere.answers["/again"] = said(b"", status=302, Location=elsewhere.url("/red.png"))
        looked_up.clear()
        assert refused(service, elsewhere.url("/again")) == NOBODY  # its second name leads inside
        assert len(looked_up) == 2


@pytest.mark.parametrize(
    "leads", ["http://10.0.0.1/", "http://[::1]/", "http://home.example/", "https://mixed.example/x"]
)
def test_a_redirection_to_a_private_address_leads_nowhere(
    service: Running, elsewhere: Elsewhere, leads: str
) -> None:
    elsewhere.answers["/away"] = said(b"", status=301, Location=leads)
    assert refused(service, elsewhere.url("/away")) == NOBODY


@pytest.mark.parametrize("leads", ["file:///etc/passwd", "http://127.1/", "http://[::1", "http://a\xe9/"])
def test_a_redirection_to_no_address_leads_nowhere(
    service: Running, elsewhere: Elsewhere, leads: str
) -> None:
    elsewhere.answers["/away"] = said(b"", status=302, Location=leads)
    assert "is needed" in (detail := refused(service, elsewhere.url("/away"))) or "no address" in detail


def test_three_redirections_are_followed_and_no_more(service: Running, elsewhere: Elsewhere) -> None:
    for number in range(4):
        leads = "red.png" if number == 0 else f"/{number - 1}"
        elsewhere.answers[f"/{number}"] = said(b"<a>", status=(301, 302, 307, 308)[number], Location=leads)
    assert service.search({"image_url": elsewhere.url("/2"), "k": 1}) == ["red.png"]
    assert "it leads elsewhere more than 3 times" in refused(service, elsewhere.url("/3"))
    elsewhere.answers["/round"] = said(b"", status=302, Location="/round")
    assert "more than 3 times" in refused(service, elsewhere.url("/round"))


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (said(b"x" * 20_001), "the image cannot be fetched: it is longer than 20,000 bytes"),
        (said(b"x", Content_Length="99999999999999"), "longer than 20,000 bytes"),
        (said(b"x", Content_Length="9" * 5000), "breaks off or is no HTTP"),
        (forever(b"x" * 1000, head=HEAD + b"\r\n"), "longer than 20,000 bytes"),
        (forever(b"3e8\r\n" + b"x" * 1000 + b"\r\n", head=CHUNKED), "longer than 20,000 bytes"),
        (forever(b"1\r\nx\r\n" * 1000, head=CHUNKED), "longer than 20,000 bytes"),
        (forever(b"x", pause=0.1, head=HEAD + b"\r\n"), "it takes longer than 1.5 seconds"),
        (forever(b"1\r\nx\r\n", pause=0.1, head=CHUNKED), "it takes longer than 1.5 seconds"),
        (forever(b"X: y\r\n", pause=0.1, head=HEAD), "it takes longer than 1.5 seconds"),
        (forever(b"", pause=0.1), "it takes longer than 1.5 seconds"),
        (forever(b"HTTP/1.1 103 Early Hints\r\n\r\n", pause=0.01), "it takes longer than 1.5 seconds"),
        (forever(b"X: " + b"y" * 1000 + b"\r\n", head=HEAD), "breaks off or is no HTTP"),
        (forever(b"y" * 1000, head=CHUNKED + b"1;"), "breaks off or is no HTTP"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n"), "breaks off or is no HTTP"),
        (lambda handler: None, "breaks off or is no HTTP"),
        (said(b"x" * 10, Content_Length="500"), "breaks off or is no HTTP"),
        (said(b"secret", status=404), "its server answers 404"),
        (said(b"secret", status=500), "its server answers 500"),
        (said(b"", status=302), "its server answers 302"),
        (said(gzip.compress(png("red")), Content_Encoding="gzip"), "its server packs it"),
        (said(gzip.compress(bytes(10_000_000))), "not a photograph"),
        (said(b"<html>secret</html>", Content_Type="image/png"), "not a photograph"),
        (said(b"", Content_Type="image/png"), "the file is empty"),
        (said(png("red")[:40], Content_Type="image/png"), ""),
    ],
)  # fmt: skip
def test_what_is_no_image_within_bounds_is_refused(
    service: Running, elsewhere: Elsewhere, answer: Callable[[Handler], None], words: str
) -> None:
    elsewhere.answers["/it"] = answer
    detail = refused(service, elsewhere.url("/it"))
    assert words in detail
    assert "secret" not in detail
    assert service.search({"image_url": elsewhere.url("/red.png"), "k": 1}) == ["red.png"]


def test_what_is_fetched_takes_its_share_of_what_all_may_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    elsewhere.answers["/long"] = said(b"x" * 3000)
    with fetching(tmp_path, monkeypatch, ports=(elsewhere.port,), bodies=2000) as service:
        for _ in range(3):
            full = search(service, elsewhere.url("/long"))
            assert (full.status, full.headers["retry-after"]) == (503, "2")
        for _ in range(30):  # what is no longer needed is given back
            assert service.search({"image_url": elsewhere.url("/red.png"), "k": 1}) == ["red.png"]


def test_few_are_fetched_at_one_time_and_who_leaves_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere
) -> None:
    gone = threading.Event()

    def slow(handler: Handler) -> None:
        with contextlib.suppress(OSError):
            while handler.connection.recv(1000):
                pass
        gone.set()

    elsewhere.answers["/slow"] = slow
    with (
        fetching(tmp_path, monkeypatch, ports=(elsewhere.port,), fetches=1) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        with socket.create_connection(("127.0.0.1", service.port)) as leaving:
            body = b'{"image_url": "%s"}' % elsewhere.url("/slow").encode()
            leaving.sendall(
                b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )
            until(lambda: elsewhere.asked != [])
            busy = search(service, elsewhere.url("/red.png"))
            assert (busy.status, busy.headers["retry-after"]) == (503, "2")
            assert service.get("/healthz").status == 200
        assert gone.wait(10)  # the connection is closed at once
        found = pool.submit(service.search, {"image_url": elsewhere.url("/red.png"), "k": 1})
        assert found.result() == ["red.png"]


def test_no_proxy_of_the_environment_is_asked(
    service: Running, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert service.search({"image_url": elsewhere.url("/red.png"), "k": 1}) == ["red.png"]


def test_a_certificate_has_to_prove_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_certificate: tuple[Path, Path]
) -> None:
    certificate, key = shared_certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Red(Handler):
        def do_GET(self) -> None:
            said(png((250, 5, 5)))(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Red)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    port, names = server.server_port, {"other.example": ["127.0.0.1"]}
    try:
        with fetching(tmp_path / "a", monkeypatch, names=names, ports=(port,)) as service:
            assert "does not prove its name" in refused(service, f"https://pictures.example:{port}/red.png")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with fetching(tmp_path / "b", monkeypatch, names=names, ports=(port,)) as service:
            url = f"https://pictures.example:{port}/red.png"
            assert service.search({"image_url": url, "k": 1}) == ["red.png"]
            assert "does not prove its name" in refused(service, f"https://other.example:{port}/red.png")
            assert "does not prove its name" in refused(service, f"https://127.0.0.1:{port}/red.png")
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def shared_certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of pictures.example that is its own authority, and its key."""
    import shutil
    import subprocess

    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out",
         str(certificate), "-days", "2", "-subj", "/CN=pictures.example", "-addext",
         "subjectAltName=DNS:pictures.example"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_nothing_of_an_address_is_logged(
    service: Running, elsewhere: Elsewhere, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    elsewhere.answers["/secret"] = elsewhere.answers["/red.png"]
    for url in (
        elsewhere.url("/secret"),
        "http://secret.example/secret",
        "http://secret@a.example/",
        "secret",
    ):
        search(service, url)
    assert caplog.records
    assert not any("secret" in record.getMessage() for record in caplog.records)
    assert b"secret" not in service.get("/metrics").body


def test_a_client_names_an_image_elsewhere(service: Running, root: Path, elsewhere: Elsewhere) -> None:
    with sterna.Client(service.url) as client:
        url = elsewhere.url("/red.png")
        assert client.search(image_url=url, k=1)[0].path.name == "red.png"
        ranked = client.captions(image_url=url, captions=["all blue", "all red"])
        assert [one.caption for one in ranked] == ["all red", "all blue"]
        alone, both = client.embed_images(image_url=url), client.embed_images([png("blue")], image_url=url)
        assert (len(alone), len(both)) == (1, 2)
        assert (both[1] == alone[0]).all()
        for asked in ({}, {"photo": 1, "image_url": url}):
            with pytest.raises(UsageError, match="captions: one photograph is needed"):
                client.captions(**asked, captions=["a dog"])  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="captions: sentences are needed"):
            client.captions(image_url=url)
        with pytest.raises(UsageError, match="no server of the public Internet"):
            client.search(image_url="http://10.0.0.1/")
        with pytest.raises(UsageError, match="image_url=3: the address of an image"):
            client.search(image_url=3)  # type: ignore[arg-type]
    with (
        serving(Library.open(root.parent / "library", model=ColourEncoder())) as other,
        sterna.Client(other.url) as client,
        pytest.raises(ServerError, match="--fetch-images") as off,
    ):
        client.search(image_url=elsewhere.url("/red.png"))
    assert off.value.status == 403


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("93.184.216.34", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True), ("64:ff9b:1::808:808", False), ("2002:808:808::1", False), ("::8.8.8.8", False),
        ("2001:0:808:808::", False), ("100::1", False), ("5f00::1", False), ("3fff::1", False), ("192.88.99.1", False),
        ("192.0.0.192", False), ("8.8.8.8 ", False), ("", False), ("fec0::1", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_addresses_of_the_own_network_are_near() -> None:
    assert is_near("2a02:8100:1:2::5", "2a02:8100:1:ffff::1")
    assert not is_near("2a02:8100:2:2::5", "2a02:8100:1:2::1")
    assert is_near("93.184.216.34", "93.184.216.99")
    assert not is_near("93.184.216.34", "192.168.1.5")
    assert not is_near("93.184.216.34", "2a02:8100:1:2::1")
